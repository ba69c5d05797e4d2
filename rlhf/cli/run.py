"""`rlhf run`: does what is not done yet, watched on one screen, and ends with what came of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf.cli import flags

if TYPE_CHECKING:
    from rlhf.recipe.load import LoadedRecipe
    from rlhf.recipe.run import RunResult
    from rlhf.recipe.store import Store


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    flags.add_recipe(parser)
    parser.add_argument("--only", metavar="STEP", help="this step alone; what it needs must be made already")
    parser.add_argument("--from", dest="from_", metavar="STEP", help="this step and all that comes after it")
    parser.add_argument("--until", metavar="STEP", help="this step and all that it needs")
    parser.add_argument(
        "--redo",
        action="append",
        default=[],
        metavar="STEP",
        help="run this step although it is done; may be given again",
    )
    parser.add_argument("--no-wait", action="store_true", help="fail when another run works on the same step")
    parser.add_argument(
        "--watch",
        action="store_true",
        help="stay while people answer, and go on by itself; Ctrl-C leaves, and keeps what was said",
    )
    parser.add_argument("--no-page", action="store_true", help="write no page at the end")
    flags.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Checks, runs, sums up; the exit code of the run."""
    from rlhf.cli import summary
    from rlhf.cli.table import filled
    from rlhf.recipe.check import check
    from rlhf.recipe.problem import RecipeProblems
    from rlhf.recipe.run import Choice
    from rlhf.recipe.run import run as run_recipe
    from rlhf.recipe.view import view

    checked = check(args.recipe, sets=args.set, profile=args.profile)
    if checked.problems:
        raise RecipeProblems(checked.problems)
    for warning in checked.warnings:
        sys.stderr.write(filled(f"warning: {warning}", sys.stderr) + "\n")
    loaded = checked.loaded
    store = flags.open_store(args, loaded.profile)
    choice = Choice(args.only, args.from_, args.until, frozenset(args.redo))
    with view(sys.stderr if args.json else sys.stdout) as listener:
        result = run_recipe(loaded, store, choice=choice, wait=not args.no_wait, listener=listener, watch=args.watch)
    page = None if args.no_page else _page(loaded, store, result)
    if args.json:
        summary.print_json(loaded, store, result, page)
    else:
        summary.print_text(loaded, store, result, page, verbose=args.verbose)
    return result.exit_code


def _page(loaded: LoadedRecipe, store: Store, result: RunResult) -> Path | None:
    """The page of the run. A page that cannot be written is no reason to call the run failed."""
    if result.record is None:
        return None
    try:
        from rlhf.cli import page

        return page.write(store, result.record)
    except Exception as error:  # the run itself is done and recorded
        sys.stderr.write(f"warning: the page could not be written: {type(error).__name__}: {error}\n")
        sys.stderr.write(f"  `rlhf report {loaded.path}` tries again\n")
        return None
