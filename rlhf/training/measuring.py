"""Figures on rows that were held out, measured the way they are trained on."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from curation.conversation import Preference
from curation.progress import Progress
from rlhf.training.encoding import Encodings

if TYPE_CHECKING:
    from rlhf.training.running import Ours


def batches(found: Encodings, size: int) -> Iterator[list[int]]:
    """Indices of rows, longest first, in batches of equal lengths."""
    order = sorted(range(len(found)), key=lambda i: (-found.lengths[i], i))
    for start in range(0, len(order), size):
        yield order[start : start + size]


@contextlib.contextmanager
def measuring(trainer: Ours) -> Iterator[None]:
    """No dropout, no gradients, the same numbers as in training."""
    model = trainer.model
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), trainer.accelerator.autocast():
            yield
    finally:
        model.train(was_training)


def each(trainer: Ours, found: Encodings, progress: Progress, what: str) -> Iterator[tuple[list[int], dict[str, Any]]]:
    """(indices, batch as the model takes it) over all rows."""
    with progress.bar(what, total=len(found)) as bar:
        for indices in batches(found, trainer.args.per_device_eval_batch_size):
            rows = [{name: column[i] for name, column in found.columns.items()} for i in indices]
            yield indices, trainer._prepare_inputs(trainer.data_collator(rows))
            bar.advance(len(indices))


def loss_per_token(trainer: Ours, found: Encodings, progress: Progress, what: str = "held-out loss") -> float:
    """Mean negative log-likelihood, in nats, of the tokens that are learned."""
    total, count = 0.0, 0
    with measuring(trainer):
        for _, batch in each(trainer, found, progress, what):
            out = trainer.model(**batch, use_cache=False, fused_lm_head=True)
            total -= float(out.log_probs.double().sum())
            count += int(out.label_mask.sum())
    return total / count


def accuracy(margins: Sequence[float]) -> dict[str, float]:
    """Share of margins above zero (a zero counts half) with Wilson's 95% interval (J. Am. Stat. Assoc. 22, 1927)."""
    n = len(margins)
    mean = sum(1.0 if m > 0 else 0.5 if m == 0 else 0.0 for m in margins) / n
    z = 1.959964
    middle = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n))
    return {"mean": mean, "low": middle - half, "high": middle + half, "n": n}


def length_margins(rows: Sequence[Preference]) -> list[float]:
    """Characters of the chosen answer beyond those of the rejected one: what "the longer answer wins" goes by."""
    sizes = ([sum(len(m.content) for m in answer) for answer in row.answers] for row in rows)
    return [float(chosen - rejected) for chosen, rejected in sizes]


def softplus(x: Tensor) -> Tensor:
    """`-log sigmoid(-x)`."""
    return torch.nn.functional.softplus(x)
