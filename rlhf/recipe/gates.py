"""Gates: a `require` is no part of a key. It is tested on the metrics of its step at every run, cached or not.

So a gate that does not hold gives exit code 4 again and again until the metrics or the gate change, and changing the
gate runs nothing anew. What stands behind a gated step does not run.
"""

from __future__ import annotations

from rlhf.recipe.manifest import Manifest
from rlhf.recipe.step import Step


def check(step: Step, manifest: Manifest) -> str | None:
    """Why the step's `require` does not hold, or None when it holds or there is none."""
    require = getattr(step, "require", None)
    if not require:
        return None
    from curation.expression import explain  # late: only gates need it here

    return explain(require, manifest.metrics)
