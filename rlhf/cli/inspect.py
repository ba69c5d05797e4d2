"""`rlhf inspect`: a file of rows as a model would be trained on it, before anything is trained."""

from __future__ import annotations

import argparse
import sys

from rlhf.cli import flags


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    parser.add_argument(
        "file", metavar="FILE", help="rows of any format: a file, a folder, package:NAME/FILE, a data set on the Hub"
    )
    parser.add_argument(
        "--model",
        required=True,
        metavar="MODEL",
        help="whose tokenizer and template are used: a folder, a .gguf file, an artifact, a name on the Hub",
    )
    parser.add_argument("--format", metavar="NAME", help="format of the file (default: told by its first records)")
    parser.add_argument("--rows", type=int, default=3, metavar="N", help="rows to show (default: 3)")
    parser.add_argument(
        "--max-length",
        type=_length,
        default=1024,
        metavar="N",
        help="tokens after which a row is cut; none for no bound",
    )
    parser.add_argument("--all-tokens", action="store_true", help="as with `assistant_only_loss: false`")
    parser.add_argument("--chat-template", metavar="FILE", help="a template in place of the model's own")
    flags.add_output(parser)


def _length(written: str) -> int | None:
    return None if written in ("none", "null") else int(written)


def run(args: argparse.Namespace) -> int:
    """0 when a run would start, 1 when the preflight would stop it."""
    from rich.console import Console

    from rlhf.training.inspect import inspect

    return inspect(
        args.file,
        args.model,
        format=args.format,
        rows=args.rows,
        max_length=args.max_length,
        assistant_only_loss=not args.all_tokens,
        chat_template_path=args.chat_template,
        json=args.json,
        console=Console(highlight=False, file=sys.stdout),
    )
