"""`rlhf check --deep`: which steps can be looked at, what came of it, and what has to run first."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlhf.recipe.load import LoadedRecipe
    from rlhf.recipe.manifest import Manifest
    from rlhf.recipe.store import Store
    from rlhf.training.inspect import Inspection

ROWS = 2
"""Rows of a step that are shown."""


def deep(loaded: LoadedRecipe, store: Store, *, as_json: bool) -> int:
    """Prints the preflight of each training step; 1 when a run would be stopped, else 0."""
    from rich.console import Console

    from curation.errors import UserError
    from rlhf.recipe.plan import plan
    from rlhf.training.deep import look
    from rlhf.training.inspect import show

    made = {p.name: p.manifest for p in plan(loaded, store) if p.manifest is not None}
    console = Console(highlight=False, file=sys.stdout)
    found: dict[str, Any] = {}
    stopped = False
    for name in loaded.order:
        step: Any = loaded.steps[name]
        if not {"tune", "learning_rate"} <= type(step).model_fields.keys():
            continue
        given = step.prompts if hasattr(step, "prompts") else step.data
        refs = given if isinstance(given, list) else [given]
        model, missing = _model(loaded, made, name), [r.step for r in refs if r.step not in made]
        if missing or model is None:
            first = missing[0] if missing else "base"
            found[name] = {"ok": None, "waits_for": first}
            if not as_json:
                console.print(f"{name}: not looked at, {first} has not run yet: rlhf run {loaded.name} --until {first}")
            continue
        bound = [r.bound(store.artifact(made[r.step].output.digest), made[r.step].output.digest) for r in refs]
        try:
            seen: Inspection = look(step, bound, store.artifact(made[model].output.digest))
        except UserError as error:
            stopped = True
            found[name] = {"ok": False, "errors": [{"what": error.what, "hint": error.hint}]}
            if not as_json:
                console.print(f"{name}: error: {error.what}\n  {error.hint}", style="red", markup=False, soft_wrap=True)
            continue
        stopped = stopped or bool(seen.findings.errors)
        found[name] = seen.as_json(ROWS)
        if not as_json:
            console.rule(f"{name}: {step.step}", align="left")
            show(seen, console, ROWS)
    if as_json:
        print(json.dumps({"recipe": loaded.name, "ok": not stopped, "steps": found}, indent=1, ensure_ascii=False))
    return 1 if stopped else 0


def _model(loaded: LoadedRecipe, made: dict[str, Manifest], name: str) -> str | None:
    """The step whose model this one starts from, or the nearest below that is there; all share one tokenizer."""
    while True:
        policy = getattr(loaded.steps[name], "policy", None)
        if policy is None:
            return None
        name = policy.step
        if name in made:
            return name
