"""`rlhf check`: everything that is wrong with a recipe, at once, before anything is read or run."""

from __future__ import annotations

import argparse
import json
import sys

from rlhf.cli import flags


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    flags.add_recipe(parser)
    parser.add_argument(
        "--deep",
        action="store_true",
        help="also look at the rows that each training step would be given, as its model would see them; nothing is "
        "trained (exit code 1: a run would be stopped)",
    )
    flags.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """0 when nothing is wrong (warnings may be printed), else 2; with `--deep` 1 when a run would be stopped."""
    from rlhf.cli.table import filled
    from rlhf.recipe.check import check
    from rlhf.recipe.problem import RecipeProblems, shown

    checked = check(args.recipe, sets=args.set, profile=args.profile)
    if args.deep and not checked.problems:
        from rlhf.cli.deep import deep

        return deep(checked.loaded, flags.open_store(args, checked.loaded.profile), as_json=args.json)
    if args.json:
        found = {
            "recipe": checked.loaded.name,
            "ok": not checked.problems,
            "problems": [p.as_json() for p in checked.problems],
            "warnings": [w.as_json() for w in checked.warnings],
        }
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return 2 if checked.problems else 0
    for warning in checked.warnings:
        sys.stderr.write(filled(f"warning: {warning}", sys.stderr) + "\n")
    if checked.problems:
        raise RecipeProblems(checked.problems)
    steps = len(checked.loaded.steps)
    print(f"{shown(checked.loaded.path)}: {steps} step{'s' * (steps != 1)}, nothing wrong")
    return 0
