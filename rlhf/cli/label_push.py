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
    parser.add_argument("--max-answers", type=int, metavar="N", help="answers in all that are enough (default: all)")
    parser.add_argument(
        "--aspects",
        action="append",
        metavar="NAME[=MEANING]",
        help="rate: what earns points; may be given again",
    )
    parser.add_argument("--reasons", metavar="WORD,WORD", help="review: why a chat may be dropped")
    parser.add_argument("--ask", choices=["pairs", "ranking"], help="compare: how people see more than two answers")
    parser.add_argument(
        "--cross-prompt", type=int, metavar="N", help="compare: so many pairs of answers to different prompts as well"
    )
    parser.add_argument("--gold", metavar="FILE", help="questions whose answer is known, mixed in (JSON lines)")
    parser.add_argument("--gold-items", type=float, metavar="N", help="how many, or a share (default: 0.1)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        help="any other setting of the step: --set consensus=bradley_terry; may be given again",
    )
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

    settings = step_settings(args)
    name = args.name or (f"{args.step.replace('.', '-')}-{args.question}" if args.step else name_of(args.source))
    there = Path(args.source).expanduser()
    source = str(there.absolute()) if there.exists() else args.source
    asking = Asking(name, args.question, source, args.step, args.format, settings)
    store = label_reach.open_store(args)
    if args.step is None and there.is_file():
        warn_of_shapes(there, args)
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


_OF = {"aspects": "rate", "reasons": "review", "ask": "compare", "cross_prompt": "compare"}
"""Flags that one question has."""


def step_settings(args: argparse.Namespace) -> dict[str, Any]:
    """What the flags say of the step.

    Raises:
        RecipeError: a flag is for another question.
    """
    from curation.errors import RecipeError
    from rlhf.recipe.overrides import changes

    for flag, question in _OF.items():
        if getattr(args, flag) is not None and args.question != question:
            what = f"--{flag.replace('_', '-')} is for `--question {question}`, and here it is {args.question}"
            raise RecipeError(what, hint="rlhf label push --help says which question has which")
    said = {name: getattr(args, name) for name in ("min_submitted", "max_answers", "ask", "cross_prompt", "gold_items")}
    settings = {name: value for name, value in said.items() if value is not None}
    for name, file in (("guidelines", args.guidelines), ("gold_file", args.gold)):
        if file:
            settings[name] = str(Path(file).expanduser().absolute())
    if args.aspects:
        pairs = (text.partition("=") for one in args.aspects for text in ([one] if "=" in one else one.split(",")))
        settings["aspects"] = {name.strip(): meaning.strip() for name, _, meaning in pairs}
    if args.reasons:
        settings["reasons"] = [word.strip() for word in args.reasons.split(",") if word.strip()]
    for change in changes(args.set):
        place = list(change.path)
        if len(place) > 1:
            raise RecipeError(f"{change.flag}: a setting of the step is one word", hint="--set consensus=majority")
        settings[str(place[0])] = change.node.plain()
    return settings


def warn_of_shapes(path: Path, args: argparse.Namespace) -> None:
    """Says which records of a file cannot be asked about.

    Raises:
        UserError: none of them can.
    """
    from curation.registry import FORMATS, lookup
    from rlhf.cli.label_shape import look

    if warning := look(path, args.question, lookup(FORMATS, args.format)()):
        print(f"warning: {warning}", file=sys.stderr)


def failure(result: RunResult, name: str) -> UserError:
    """Why the step could not even ask: what failed before it, or what it says itself."""
    from curation.errors import UserError

    failed = {n: o for n, o in result.outcomes.items() if o.state == "failed"}
    name, outcome = next(iter(failed.items()), (name, result.outcomes[name]))
    error = UserError(f"{name}: {outcome.message or 'nothing was asked'}", hint=outcome.hint)
    error.exit_code = result.exit_code or 1
    return error
