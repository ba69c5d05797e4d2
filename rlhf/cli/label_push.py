"""`rlhf label push`: puts a file, or what a step of a recipe made, before people, without a recipe for it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf.cli import flags, label_reach

if TYPE_CHECKING:
    from curation.errors import UserError
    from rlhf.recipe.run import RunResult


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    parser.add_argument("source", metavar="FILE|RECIPE", help="rows of any format, or the recipe whose step is meant")
    parser.add_argument("step", metavar="STEP", nargs="?", help="the step of that recipe (or STEP.PART)")
    parser.add_argument(
        "--question",
        required=True,
        choices=["compare", "rate", "review"],
        help="compare: which answer is better, or their ranking; rate: 1 to 5 points; review: accept, edit or drop",
    )
    parser.add_argument("--guidelines", metavar="FILE", help="what people should go by, in Markdown")
    parser.add_argument("--min-submitted", type=int, metavar="N", help="people who answer each item (default: 1)")
    parser.add_argument("--name", metavar="NAME", help="what it is called (default: as the file, or the step)")
    parser.add_argument("--format", metavar="FORMAT", default="auto", help="what a record looks like (default: auto)")
    label_reach.add_flags(parser)
    flags.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """0 when it is put up: that people have yet to answer is no failure here."""
    from rlhf.recipe.asking import Asking, name_of
    from rlhf.recipe.run import Choice
    from rlhf.recipe.run import run as run_recipe
    from rlhf.recipe.view import view

    settings: dict[str, Any] = {}
    if args.guidelines:
        settings["guidelines"] = str(Path(args.guidelines).expanduser().absolute())
    if args.min_submitted is not None:
        settings["min_submitted"] = args.min_submitted
    name = args.name or (f"{args.step.replace('.', '-')}-{args.question}" if args.step else name_of(args.source))
    there = Path(args.source).expanduser()
    source = str(there.absolute()) if there.exists() else args.source
    asking = Asking(name, args.question, source, args.step, args.format, settings)
    store = label_reach.open_store(args)
    loaded = asking.loaded(sets=label_reach.sets(args, store), profile=args.profile)
    new = asking.keep(store)  # first: whatever lies before people has a name here, also after a kill
    with view(sys.stderr) as listener:
        choice = Choice(only=name) if args.step else Choice(until=name)
        result = run_recipe(loaded, store, choice=choice, listener=listener)
    outcome = result.outcomes[name]
    if outcome.state not in ("waiting", "done", "cached"):
        if new:
            asking.forget(store)
        raise failure(result, name)
    if args.json:
        said = {"name": name, "state": outcome.state, "message": outcome.message, "url": outcome.hint or None}
        print(json.dumps(said, ensure_ascii=False))
    elif outcome.state == "waiting":
        print(f"{name}: {outcome.message}, at {outcome.hint}")
        print(f"`rlhf label pull {name} --out DIR` takes in what people said")
    else:
        print(f"{name}: everything is answered; `rlhf label pull {name} --out DIR` writes it")
    return 0


def failure(result: RunResult, name: str) -> UserError:
    """Why the step could not even ask: what failed before it, or what it says itself."""
    from curation.errors import UserError

    failed = {n: o for n, o in result.outcomes.items() if o.state == "failed"}
    name, outcome = next(iter(failed.items()), (name, result.outcomes[name]))
    error = UserError(f"{name}: {outcome.message or 'nothing was asked'}", hint=outcome.hint)
    error.exit_code = result.exit_code or 1
    return error
