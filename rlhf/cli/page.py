"""Where store and page meet: a run's record and the manifests it names, written as HTML beside the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlhf.recipe.store import Store

_MADE = ("done", "cached", "gated")
"""States of steps whose artifact belongs to the run; one that failed may have a manifest of an earlier run."""


def write(store: Store, record: Path) -> Path:
    """Writes the page of the run whose record lies there; returns its place.

    Raises:
        UserError: a manifest is damaged.
    """
    from rlhf.report import build

    run = json.loads(record.read_text(encoding="utf-8"))
    manifests = {}
    for name, step in run["steps"].items():
        found = store.manifest(step["key"]) if step["state"] in _MADE and step["key"] else None
        if found:
            manifests[name] = found.model_dump(mode="json")
    return build(run, manifests, record.with_suffix(".html"))
