"""`rlhf plan`: what a run would do, step by step, and why."""

from __future__ import annotations

import argparse
import json
import sys

from rlhf.cli import flags

STATES = {"cached": "green", "runs": "yellow", "waits": "cyan", "unknown": "dim"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    flags.add_recipe(parser)
    flags.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the plan; 0."""
    from rlhf.cli.table import columns, filled
    from rlhf.recipe.plan import plan

    loaded = flags.load(args)
    planned = plan(loaded, flags.open_store(args, loaded.profile))
    if args.json:
        steps = {
            p.name: {
                "step": p.step.step,
                "state": p.state,
                "why": p.why,
                "key": p.key,
                "digest": p.digest,
                "warning": p.warning,
                "outlook": p.step.outlook(),
            }
            for p in planned
        }
        print(json.dumps({"recipe": loaded.name, "steps": steps}, indent=1, ensure_ascii=False))
        return 0
    print(columns([[p.name, p.step.step, p.state, p.why] for p in planned], ["name", "step", "state", "why"], STATES))
    cached = sum(p.state == "cached" for p in planned)
    print(f"\n{cached} of {len(planned)} steps are cached")
    for p in planned:
        for line in p.step.outlook():
            print(filled(f"{p.name}: {line}", sys.stdout))
    for p in planned:
        if p.warning:
            sys.stderr.write(filled(f"warning: {p.name}: {p.warning}", sys.stderr) + "\n")
    return 0
