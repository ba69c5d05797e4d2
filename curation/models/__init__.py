"""Language models as curation needs them: point at one, load it, let it answer, score text with it.

`OutsideModel` and `Lineage` cost nothing to import; every other name brings in torch when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from curation.models.lineage import Lineage, parents

if TYPE_CHECKING:
    from curation.models.numerics import (
        compute_dtype,
        device,
        has_bfloat16,
        numerics,
        release,
        set_threads,
        use_device,
    )
    from curation.models.saving import save_model, save_tokenizer

_LATE = {
    "compute_dtype": "numerics",
    "device": "numerics",
    "has_bfloat16": "numerics",
    "numerics": "numerics",
    "release": "numerics",
    "save_model": "saving",
    "save_tokenizer": "saving",
    "set_threads": "numerics",
    "use_device": "numerics",
}

__all__ = [
    "Lineage",
    "compute_dtype",
    "device",
    "has_bfloat16",
    "numerics",
    "parents",
    "release",
    "save_model",
    "save_tokenizer",
    "set_threads",
    "use_device",
]


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'curation.models' has no attribute {name!r}")
    return getattr(importlib.import_module(f"curation.models.{_LATE[name]}"), name)
