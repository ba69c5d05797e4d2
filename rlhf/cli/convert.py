"""`rlhf convert`: the recipe of another tool's config, and what of it a recipe does not take."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rlhf.cli import flags


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    parser.add_argument("file", metavar="FILE", help="the config, a YAML file")
    parser.add_argument(
        "--from", dest="tool", required=True, metavar="TOOL", help="whose it is: axolotl, llamafactory or trl"
    )
    parser.add_argument(
        "--method", metavar="STEP", help="the step that trains (sft, dpo ...), where the config does not say it"
    )
    parser.add_argument(
        "--num-processes",
        type=int,
        default=1,
        metavar="N",
        help="processes that the config was run on, for the batch of one optimizer step (default: 1)",
    )
    parser.add_argument("--out", metavar="FILE", help="write the recipe there, where there is no such file yet")
    flags.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """0; 2 when something has to be filled in before the recipe loads."""
    from curation.errors import RecipeError, UserError
    from rlhf.recipe.convert import convert
    from rlhf.recipe.problem import shown

    if args.num_processes < 1:
        raise RecipeError("--num-processes takes 1 or more", hint="the processes, or GPUs, that the config was run on")
    out = Path(args.out) if args.out else None
    if out is not None and out.exists():
        raise UserError(f"{shown(out)}: already there", hint="nothing is overwritten; name another file")
    made = convert(
        Path(args.file),
        args.tool,
        method=args.method,
        num_processes=args.num_processes,
        folder=out.parent if out else None,
    )
    text = made.text()
    if out is not None:
        from rlhf.recipe.store import write_atomically

        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, text)
    if args.json:
        found = {
            "recipe": made.recipe,
            "carried": made.carried,
            "not_carried": made.not_carried,
            "defaults": made.defaults,
            "to_fill_in": [{"path": p.path, "what": p.what, "hint": p.hint} for p in made.to_fill_in],
        }
        print(json.dumps(found, indent=1, ensure_ascii=False))
    elif out is None:
        print(text, end="")
    else:
        kept, left = len(made.carried), len(made.not_carried)
        print(f"{shown(out)}: {kept} keys carried over, {left} not (they are listed at its top)")
    for problem in made.to_fill_in:
        sys.stderr.write(f"to fill in: {problem}\n")
    return 2 if made.to_fill_in else 0
