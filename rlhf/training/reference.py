"""What the reference says is kept, so that a run with another beta, loss or learning rate need not ask it again.

The reference is frozen: its log-probabilities are a function of its weights, of the numbers it is computed in, and of
the batch. So a batch is what they are kept under, and not a row: the same row in other company is rounded otherwise,
and a run must end in the same bytes whether anything was kept or not. Runs that share the parent, the data, the seed
and the size of a batch meet the same batches. What is kept lies with the features in the store and outlives every key.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from curation.models.numerics import numerics_class

if TYPE_CHECKING:
    from rlhf.recipe.step import FeatureCache
    from rlhf.steps.dpo import Dpo
    from rlhf.training.running import Run

REVISION = 1
"""Raised by hand when the same reference would give other numbers."""
LogProbs = tuple[Tensor, Tensor]
"""Summed log-probabilities (N) of the chosen and of the rejected answers of a batch of N pairs."""


class KeptReference:
    """A cache in front of the reference.

    Args:
        cache: Where it is kept. None: nowhere.
        about: All that the numbers depend on beside the batch.
    """

    def __init__(self, cache: FeatureCache | None, about: dict[str, Any]) -> None:
        self.cache = cache
        self.key = f"reference-{sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()}"

    def __call__(self, batch: dict[str, Any], work_out: Callable[[], LogProbs]) -> LogProbs:
        """Of a batch (`input_ids` and `completion_mask`, both (2N, L)), kept or worked out now and kept."""
        if self.cache is None:
            return work_out()
        name = _name(batch)
        found = self.cache.get(self.key, [name]).get(name)
        if found is None:
            chosen, rejected = work_out()
            self.cache.put(self.key, {name: torch.cat([chosen, rejected]).float().cpu().numpy()})
            return chosen, rejected
        chosen, rejected = torch.from_numpy(found.copy()).to(batch["input_ids"].device).chunk(2)
        return chosen, rejected


def kept_reference(step: Dpo, run: Run, cache: FeatureCache | None) -> KeptReference:
    """The cache of a step's reference."""
    assert step.policy is not None
    same = (
        "tune adapter load_in_4bit load_in_8bit bnb_4bit_quant_type use_bnb_nested_quant ld_alpha use_weighting".split()
    )
    about = {
        "revision": REVISION,
        "policy": step.policy.digest,
        "numerics": numerics_class(step.dtype, run.device),
        "attn_implementation": run.training.attn_implementation,
        **{name: getattr(step, name) for name in same},
    }
    return KeptReference(cache, about)


def _name(batch: dict[str, Any]) -> str:
    """A digest of a batch's tokens and of which of them are answers."""
    tensors = [np.ascontiguousarray(batch[name].cpu().numpy()) for name in ("input_ids", "completion_mask")]
    return sha256(repr(tensors[0].shape).encode() + b"".join(t.tobytes() for t in tensors)).hexdigest()
