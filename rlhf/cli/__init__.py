"""The command `rlhf`: one file a verb, of which only the one that was typed is imported.

A verb has `arguments(parser)` and `run(args) -> exit code`. Exit codes: 0 done, 1 failed, 2 the recipe (or a flag) is
wrong, 3 waiting for people, 4 a gate did not hold. What a user can put right is said without a traceback.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from curation.errors import UserError

VERBS = {
    "run": "run a recipe: skip what is done, go on where something stopped",
    "check": "say everything that is wrong with a recipe, reading no data",
    "plan": "say what a run would do, and why",
    "show": "show what a recipe has made: rows, figures, places",
    "curate": "curate files without a recipe: a preset's operators, and a data set folder comes out",
    "inspect": "look at a file of rows as a model would be trained on it",
    "label": "let people answer in the Argilla UI: start its server, add users, look how far they are",
    "chat": "talk to a model that a recipe made",
    "recipes": "list, show or copy the recipes that come with this package",
    "report": "write the page of a recipe's last run again",
    "convert": "make a recipe of a config of axolotl, LLaMA-Factory or TRL",
    "schema": "print the JSON Schema of recipes, for editors",
    "doctor": "look at this machine: versions, cores, memory, device, extras",
}

_EXIT_CODES = "exit codes: 0 done, 1 failed, 2 the recipe is wrong, 3 waiting for people, 4 a gate did not hold"
_INTERRUPTED = 130
"""What shells expect of a program that Ctrl-C ended."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a flag in one line, with the nearest right one."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"error: {message}\n  {self.prog} --help shows what it takes\n")
        raise SystemExit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point; returns the exit code."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for some costs a tenth of `rlhf check`
    gc.set_threshold(50_000)  # what imports make stays, so looking through it again and again finds nothing
    words = list(sys.argv[1:] if argv is None else argv)
    verb = next((w for w in words if not w.startswith("-")), None)
    if verb is not None and verb not in VERBS:
        near = get_close_matches(verb, VERBS, n=1)
        sys.stderr.write(f"error: there is no verb {verb!r}\n")
        sys.stderr.write(f"  did you mean {near[0]!r}?\n" if near else f"  verbs: {', '.join(VERBS)}\n")
        return 2
    module = importlib.import_module(f"rlhf.cli.{verb}") if verb else None
    parser = _parser()
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for name, text in VERBS.items():
        about = f"{text[0].upper()}{text[1:]}."
        own = verbs.add_parser(name, help=text, description=about, epilog=_EXIT_CODES, allow_abbrev=False)
        if name == verb and module:
            module.arguments(own)
    if verb is None and not {"-h", "--help", "--version"} & set(words):
        parser.print_help()
        return 2
    args = parser.parse_args(words)
    assert module is not None  # without a verb, argparse has ended the program
    return _guarded(module.run, args)


def _parser() -> argparse.ArgumentParser:
    from rlhf import __version__

    parser = _Parser(
        prog="rlhf", description="From raw chats to a judged model, by recipes.", epilog=_EXIT_CODES, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"rlhf-curation {__version__}")
    return parser


def _guarded(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Runs a verb; what a user can put right becomes a sentence and an exit code, a bug stays a traceback."""
    from curation.errors import UserError, disk_is_full

    try:
        code = run(args)
        sys.stdout.flush()
    except UserError as error:
        if getattr(args, "verbose", False):
            traceback.print_exc()
        _say(error, as_json=getattr(args, "json", False))
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped. What was finished is kept; the same command goes on from here.\n")
        return _INTERRUPTED
    except BrokenPipeError:  # `rlhf show | head`: what is still to be flushed has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if not disk_is_full(error):
            raise
        place = getattr(error, "filename", None) or "no place to write to"
        full = UserError(f"the disk is full: {place}", hint=_FREE_SOME)
        _say(full, as_json=getattr(args, "json", False))
        return full.exit_code
    return code


_FREE_SOME = "free some space and run again: nothing that was finished is lost"


def _say(error: UserError, as_json: bool) -> None:
    from rlhf.recipe.problem import RecipeProblems

    said: dict[str, Any] = {"ok": False}
    if isinstance(error, RecipeProblems):
        said["problems"] = [p.as_json() for p in error.problems]
        n = len(error.problems)
        text = f"{error}\n" + (f"{n} problems\n" if n > 1 else "")
    else:
        said["error"] = {"where": error.where, "what": error.what, "hint": error.hint, "exit_code": error.exit_code}
        text = f"error: {error}\n"
    if as_json:
        print(json.dumps(said, indent=1, ensure_ascii=False))
    else:
        sys.stderr.write(text)
