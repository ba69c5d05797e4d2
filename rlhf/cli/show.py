"""`rlhf show`: what a recipe has made so far; with a step's name, everything about that step."""

from __future__ import annotations

import argparse
import json
import shlex
from typing import TYPE_CHECKING, Any

from rlhf.cli import flags

if TYPE_CHECKING:
    from rlhf.recipe.load import LoadedRecipe
    from rlhf.recipe.manifest import Manifest
    from rlhf.recipe.plan import Planned
    from rlhf.recipe.store import Store

STATES = {"done": "green", "waiting": "yellow", "failed": "red", "gated": "red", "not run": "dim"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    flags.add_recipe(parser)
    parser.add_argument("step", metavar="STEP", nargs="?", help="everything about this step")
    lost = parser.add_mutually_exclusive_group()
    lost.add_argument(
        "--dropped",
        metavar="WORD",
        nargs="?",
        const="",
        help="rows that the step dropped: all, those of an operator, or those with a reason",
    )
    lost.add_argument(
        "--malformed",
        metavar="WORD",
        nargs="?",
        const="",
        help="records that the step could not read: all, or those of a file or with a reason",
    )
    parser.add_argument("--limit", metavar="N", type=int, default=10, help="rows to show (default 10; 0: all)")
    flags.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Prints what there is; 0."""
    from curation.errors import RecipeError, did_you_mean
    from rlhf.cli.summary import step_json
    from rlhf.cli.table import columns
    from rlhf.recipe.headline import headline
    from rlhf.recipe.plan import plan

    loaded = flags.load(args)
    store = flags.open_store(args, loaded.profile)
    planned = {p.name: p for p in plan(loaded, store)}
    last = store.last_run(loaded.name)
    record: dict[str, Any] = last[1] if last else {}
    states = _states(record, planned)
    if args.step:
        args.step = loaded.called(args.step)
        if args.step not in planned:
            raise RecipeError(f"there is no step {args.step!r}", hint=did_you_mean(args.step, planned))
        if args.dropped is not None or args.malformed is not None:
            return _lost(args, store, planned[args.step])
        return _one(args, loaded, store, planned[args.step], states[args.step])
    if args.dropped is not None or args.malformed is not None:
        with_rows = [name for name, p in planned.items() if p.manifest and p.manifest.side]
        raise RecipeError("whose rows?", hint=f"name the step: {', '.join(with_rows) or 'none has lost any yet'}")
    if args.json:
        steps = {name: step_json(p.step.step, states[name], p.manifest, store) for name, p in planned.items()}
        print(json.dumps({"recipe": loaded.name, "steps": steps}, indent=1, ensure_ascii=False))
        return 0
    rows = [
        [p.name, p.step.step, states[p.name], (p.digest or "")[:12], headline(p.manifest) if p.manifest else p.why]
        for p in planned.values()
    ]
    print(columns(rows, ["name", "step", "state", "digest", ""], STATES))
    print(f"\nstore: {store.root}")
    if other := _otherwise(loaded, record, planned):
        print(other)
    return 0


def _otherwise(loaded: LoadedRecipe, last: dict[str, Any], planned: dict[str, Planned]) -> str:
    """A line that says so when the last run was made with other settings, which is why its results do not show."""
    changes = last.get("changes", [])
    if changes == list(loaded.changes):
        return ""
    made = {name for name, step in last.get("steps", {}).items() if step["state"] in ("done", "cached")}
    if all(p.manifest for name, p in planned.items() if name in made):
        return ""
    flags_then = " ".join(shlex.quote(word) for change in changes for word in change.split(" ", 1))
    return f"the last run had other settings; to see what it made: rlhf show {loaded.name} {flags_then}".rstrip()


def _states(last: dict[str, Any], planned: dict[str, Planned]) -> dict[str, str]:
    """`done` where there is an artifact; else how the last run of the same key ended; else `not run`."""
    noted: dict[str, Any] = last.get("steps", {})

    def state(name: str, p: Planned) -> str:
        before = noted.get(name, {})
        if p.manifest:
            return "gated" if before.get("state") == "gated" and before.get("key") == p.key else "done"
        ended = before.get("state") in ("failed", "waiting") and before.get("key") == p.key
        return str(before["state"]) if ended else "not run"

    return {name: state(name, p) for name, p in planned.items()}


def _lost(args: argparse.Namespace, store: Store, p: Planned) -> int:
    from curation.errors import UserError
    from rlhf.cli import lost

    if p.manifest is None:
        raise UserError(f"step {p.name!r} has made nothing yet", hint=p.why)
    what = "dropped" if args.dropped is not None else "malformed"
    word = args.dropped if args.dropped is not None else args.malformed
    return lost.show(p.name, p.manifest, store, what, word, max(args.limit, 0), args.json)


def _one(args: argparse.Namespace, loaded: LoadedRecipe, store: Store, p: Planned, state: str) -> int:
    from rlhf.cli.summary import step_json

    if args.json:
        found = step_json(p.step.step, state, p.manifest, store)
        manifest = p.manifest.model_dump(mode="json") if p.manifest else None
        print(
            json.dumps(
                {"recipe": loaded.name, "name": p.name, **found, "manifest": manifest}, indent=1, ensure_ascii=False
            )
        )
        return 0
    print(f"{p.name}: {p.step.step}, {state}")
    if p.manifest:
        print("\n".join(_about(p.manifest, store)))
    else:
        print(f"  {p.why}")
        log = store.log(p.key) if p.key else None
        if log and log.exists():
            print(f"  what it printed is in {log}")
    return 0


def _about(m: Manifest, store: Store) -> list[str]:
    from rlhf.cli.table import columns
    from rlhf.recipe.headline import duration, headline, size

    again = f", resumed {m.resumed} times" if m.resumed else ""
    lines = [
        f"  {headline(m)}",
        f"  {store.artifact(m.output.digest)} ({size(m.output.bytes)})",
        f"  {duration(m.seconds)}, peak {m.peak_memory_mb:,.0f} MB{again}",
    ]
    for place, written in m.sources.items():
        lines.append(f"  {place}: {written}")
    for name, made in m.side.items():
        lines.append(f"  {name}: {made.rows} rows in {store.artifact(made.digest)}")
    if m.ledger and m.ledger.readings:
        rows = [
            [r.source, f"{r.records:,}", f"{r.used:,}", ", ".join(f"{w} {n}" for w, n in r.malformed.items())]
            for r in m.ledger.readings
        ]
        lines += ["", columns(rows, ["source", "records", "used", "malformed"])]
        lines += [
            f"{r.source} was read as {name} ({r.formats.get(name, 0):,} records): {why}"
            for r in m.ledger.readings
            for name, why in r.evidence.items()
        ]
    if m.ledger and m.ledger.entries:
        rows = [
            [e.operator, f"{e.made:,}", f"{e.children:,}", f"{e.kept:,}", f"{e.replaced:,}", _reasons(e.dropped)]
            for e in m.ledger.entries
        ]
        lines += ["", columns(rows, ["operator", "given", "children", "kept", "replaced", "dropped"])]
    if m.metrics:
        lines += ["", columns([[name, _number(value)] for name, value in _flat(m.metrics)], ["figure", ""])]
    lines += [f"warning: {text}" for text in m.warnings]
    return lines


def _reasons(dropped: dict[str, int]) -> str:
    return ", ".join(f"{reason} {n:,}" for reason, n in sorted(dropped.items(), key=lambda item: -item[1]))


def _flat(metrics: Any, place: str = "") -> list[tuple[str, Any]]:
    """(`dpo.brevity.n`, 64) for every figure; an interval is one."""
    from rlhf.recipe.headline import interval, is_interval

    if is_interval(metrics) and set(metrics) <= {"mean", "low", "high", "n"}:
        n = f" (n {metrics['n']})" if metrics.get("n") else ""
        return [(place, interval(metrics) + n)]
    if isinstance(metrics, dict):
        return [x for name, value in metrics.items() for x in _flat(value, f"{place}.{name}" if place else str(name))]
    return [(place, metrics)]


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
