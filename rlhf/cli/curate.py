"""`rlhf curate`: files in, a curated data set out, with no recipe: the operators come from a preset or a YAML file.

It is a recipe of two steps, `rows` (ingest) and `curated` (curate), that nobody had to write, run in the store like any
other: what was finished is kept, the same command goes on after a kill, and model scores are never computed twice.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf.cli import flags

if TYPE_CHECKING:
    from rlhf.recipe.run import RunResult


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    parser.add_argument(
        "files", metavar="FILE", nargs="+", help="a file, a folder, package:NAME/FILE, or a data set on the Hub"
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--preset",
        metavar="NAME",
        help="the operators of a recipe: its name or file; NAME.STEP takes another curate step than the first",
    )
    how.add_argument("--operators", metavar="YAML", help="a YAML file with a list of operators, or the list itself")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder of the data set that is made")
    parser.add_argument("--format", metavar="FORMAT", default="auto", help="what a record looks like (default: auto)")
    parser.add_argument(
        "--makes", choices=["conversations", "preferences"], help="what records become (default: as the preset does)"
    )
    parser.add_argument("--license", metavar="SPDX", default="", help="licence of the data, for the card")
    parser.add_argument(
        "--engine", metavar="ENGINE", help="local, ray, or the address of a Ray cluster (default: the profile's)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PLACE=VALUE",
        help="change a setting: operators.0.normalize.form=NFKC, rows.datasets.0.split=test; may be given again",
    )
    parser.add_argument("--profile", metavar="FILE", help="where and how fast to run (default: RLHF_PROFILE)")
    parser.add_argument(
        "--store", metavar="FOLDER", help="where work and caches lie (default: RLHF_STORE, the profile's, .rlhf)"
    )
    flags.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Checks, runs, writes the folder; the exit code."""
    from rlhf.cli import folder, summary
    from rlhf.recipe.preset import loaded_for
    from rlhf.recipe.run import run as run_recipe
    from rlhf.recipe.view import view

    out = Path(args.out).expanduser()
    folder.refuse_others(out)
    loaded = loaded_for(
        args.files,
        preset=args.preset,
        operators=args.operators,
        format=args.format,
        makes=args.makes,
        license=args.license,
        sets=[*args.set, *_engine(args.engine)],
        profile=args.profile,
        name=_name(out),
    )
    store = flags.open_store(args, loaded.profile)
    with view(sys.stderr if args.json else sys.stdout) as listener:
        result = run_recipe(loaded, store, listener=listener)
    facts = folder.release(out, store, result, loaded, "curated") if result.exit_code == 0 else None
    if args.json:
        _print_json(out, facts, result)
    elif facts is None:
        summary.print_text(loaded, store, result, None, verbose=args.verbose)
    else:
        _print_text(out, facts, result)
    return result.exit_code


def _engine(written: str | None) -> list[str]:
    """`--engine ray` and `--engine ray://head:10001` as changes of the profile."""
    if written is None:
        return []
    if written in ("local", "ray"):
        return [f"profile.engine.kind={written}"]
    if re.fullmatch(r"auto|(ray://)?[\w.-]+:\d+", written):
        return ["profile.engine.kind=ray", f"profile.engine.address={json.dumps(written)}"]
    from curation.errors import RecipeError, did_you_mean

    near = did_you_mean(written, ["local", "ray"])
    hint = near if near.startswith("did") else "it is `local`, `ray`, or an address like ray://head:10001"
    raise RecipeError(f"there is no engine {written!r}", hint=hint)


def _name(out: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", out.absolute().name).strip("-_")
    return (name or "curated")[:60]


def _print_json(out: Path, facts: dict[str, Any] | None, result: RunResult) -> None:
    steps = {n: {"state": o.state, "message": o.message, "hint": o.hint} for n, o in result.outcomes.items()}
    path = str(out.absolute()) if facts else None
    print(json.dumps({"exit_code": result.exit_code, "path": path, "run": steps, **(facts or {})}, ensure_ascii=False))


def _print_text(out: Path, facts: dict[str, Any], result: RunResult) -> None:
    from rlhf.cli.table import filled
    from rlhf.recipe.headline import duration

    curated = result.manifests["curated"]
    if curated.ledger:
        print("\n" + "\n".join(filled(line) for line in curated.ledger.waterfall()))
    splits = ", ".join(f"{split} {n:,}" for split, n in facts["splits"].items())
    took = sum(o.seconds for o in result.outcomes.values() if o.state == "done")
    in_time = f", in {duration(took)}" if took else ""
    print(f"\n{out}: {splits} rows, {facts['dropped']:,} dropped and {facts['malformed']:,} malformed beside them")
    print(f'datasets.load_dataset("{out}") opens it; its README.md says what was done{in_time}')
