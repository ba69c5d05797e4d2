"""Merged weights that are shown to be right: they give the logits of the adapters, or nothing is written.

A LoRA adapter adds (alpha / r) B A to a weight W (Hu et al., arXiv 2106.09685), so adding it up once changes no output
beyond rounding. The sum is done in float32, adapter by adapter, bottom up. Rounding to a smaller type for the release
comes last, and what it costs is measured too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from curation.errors import UserError
from curation.models.lineage import Lineage, chain_of
from curation.models.loading import is_sum, with_adapter
from curation.models.saving import save_model

TOLERANCE = 1e-4
"""Largest difference of a logit that float32 sums in another order may make."""

PROBES = (
    "How do I keep bread fresh?",
    "Explain in one sentence why the sky is blue.",
    "Viết một câu về mùa hè.",
    "def add(a, b):\n    return a + b",
)
"""What both models are asked; any text would do."""


def merge(policy: Path, out: Path, dtype: str) -> dict[str, float]:
    """Writes the policy's full weights into `out`.

    Args:
        policy: A model artifact; its parents lie beside it.
        dtype: `float32` or `bfloat16`, of the weights that are written.

    Returns:
        `merge_error`: largest difference between the logits of the merged weights and of the adapters, in float32;
        `rounding_error`: between what is written and the adapters, in float32.

    Raises:
        UserError: the merged logits differ by more than `TOLERANCE`; nothing is written then.
    """
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(policy)
    chain = chain_of(policy)
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(chain[0], dtype=torch.float32).eval()
    for adapter in chain[1:-1]:
        model = with_adapter(model, adapter).merge_and_unload()
    error = 0.0
    expected = _logits(model, tokenizer)
    if len(chain) > 1 and not is_sum(policy):
        raise UserError("this adapter cannot be added to the weights", hint="export with `merged: false`")
    if len(chain) > 1:
        attached = with_adapter(model, policy).eval()
        expected = _logits(attached, tokenizer)
        model = attached.merge_and_unload()
        error = _largest_difference(expected, _logits(model, tokenizer))
        if not error <= TOLERANCE:
            raise UserError(
                f"the merged weights give other logits than the adapter (by {error:.2g}, allowed {TOLERANCE:g})",
                hint="export with `merged: false`; the adapter itself is not affected",
            )
    written = model.to(getattr(torch, dtype))
    save_model(out, written, tokenizer, Lineage(tune="full"))
    rounded = _logits(written.float(), tokenizer)
    return {"merge_error": error, "rounding_error": _largest_difference(expected, rounded)}


@torch.no_grad()
def _logits(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase) -> list[Tensor]:
    return [model(**tokenizer(text, return_tensors="pt")).logits.float() for text in PROBES]


def _largest_difference(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))
