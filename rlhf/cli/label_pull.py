"""`rlhf label pull`: takes in what people said of something that was pushed, and writes it as a data set folder."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf.cli import flags, label_reach
from rlhf.cli.label_push import failure

if TYPE_CHECKING:
    from rlhf.recipe.asking import Asking
    from rlhf.recipe.store import Store


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="what was pushed (default: the only one)")
    parser.add_argument(
        "--out", metavar="DIR", help="folder of the data set that is made; without it, answers are kept"
    )
    parser.add_argument("--now", action="store_true", help="take what is there, although answers lack")
    label_reach.add_flags(parser)
    flags.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """0 when the data set is written, 3 while answers lack."""
    from rlhf.recipe.asking import kept

    store = label_reach.open_store(args)
    return write(kept(store, args.name), store, args, label_reach.sets(args, store))


def write(asking: Asking, store: Store, args: argparse.Namespace, sets: list[str]) -> int:
    """Looks once at what people said, and writes the folder where that is enough, or `--now` says so."""
    from rlhf.cli import folder
    from rlhf.recipe.asking import answered
    from rlhf.recipe.run import Choice
    from rlhf.recipe.run import run as run_recipe
    from rlhf.recipe.view import view

    out = Path(args.out).expanduser() if args.out else None
    if out:
        folder.refuse_others(out)
    name = asking.name
    choice = Choice(only=name) if asking.data else Choice(until=name)

    def once(more: list[str]) -> tuple[Any, Any]:
        loaded = asking.loaded(sets=[*sets, *more], profile=args.profile)
        with view(sys.stderr) as listener:
            return loaded, run_recipe(loaded, store, choice=choice, listener=listener)

    loaded, result = once([])
    outcome = result.outcomes[name]
    have = answered(outcome.message)
    if outcome.state == "waiting" and args.now and have:
        loaded, result = once([f"{name}.max_answers={have}"])
        outcome = result.outcomes[name]
    if outcome.manifest is None and outcome.state != "waiting":
        raise failure(result, name)
    facts = folder.release(out, store, result, loaded, name) if out and outcome.manifest else None
    _say(args, name, outcome, facts, out)
    return int(result.exit_code)


def _say(args: argparse.Namespace, name: str, outcome: Any, facts: dict[str, Any] | None, out: Path | None) -> None:
    from rlhf.recipe.asking import answered
    from rlhf.report.words import count

    path = str(out.absolute()) if out and facts else None
    if args.json:
        said = {"name": name, "state": outcome.state, "message": outcome.message, "url": outcome.hint or None}
        print(json.dumps({**said, "path": path, **(facts or {})}, ensure_ascii=False))
    elif facts:
        splits = ", ".join(f"{count(n, 'row')} of {split}" for split, n in facts["splits"].items())
        ties = f", {count(facts['ties'], 'tie')}" if facts["ties"] else ""
        print(f"{out}: {splits}{ties}, {facts['dropped']:,} dropped beside them")
        print(f'datasets.load_dataset("{out}") opens it; its README.md says who decided')
    elif outcome.manifest:
        print(f"{name}: the answers are kept; --out DIR writes them as a data set")
    else:
        print(f"{name}: {outcome.message}, at {outcome.hint}; the answers are kept")
        if args.now:
            print("nobody has answered yet, so there is nothing to write")
        elif answered(outcome.message):
            print("--now writes what is there")
