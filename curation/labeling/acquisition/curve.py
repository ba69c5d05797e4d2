"""How good the head has become, by the number of answers, and whether more answers still tell anything.

The accuracy is that on held-out records, which are drawn at random before anything else and never learned from. Its
interval holds two kinds of chance: which prompts were held out, and which labels the head was fitted on (the heads of
the bootstrap ensemble stand for other labels). The second kind shrinks as labels come in. When the interval of the last
rounds is no narrower than that of the rounds before, asking goes on at its price and shows nothing new.

Beside it stands what "the longer answer wins" gets on the same records, which on many people's preferences is more than
a small reward model does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from curation.labeling.acquisition.head import Array
from curation.labeling.acquisition.pool import Verdicts
from curation.labeling.acquisition.strategies import Belief

PATIENCE = 3
"""Rounds whose mean width is compared with that of as many before them: a single width moves by a tenth by chance."""
NARROWER = 0.02
"""Share by which it must be narrower to count as that."""
_SAMPLES = 2_000
_LEVEL = 0.95


@dataclass(frozen=True)
class Point:
    """One round of the curve."""

    answers: int
    """Answers that had been submitted, those about held-out records too."""
    learned: int
    """Comparisons that the head had learned from."""
    accuracy: float
    low: float
    high: float
    length: float
    """What "the longer answer wins" gets on the same records."""

    @property
    def width(self) -> float:
        return self.high - self.low

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def hits(gaps: Array, outcomes: Array) -> Array:
    """1 where the sign of a gap is that of the verdict, 0 where it is not, 0.5 for a gap of nothing.

    Args:
        gaps: (..., comparisons).
        outcomes: (comparisons,) 1 or 0.
    """
    found: Array = np.where(gaps == 0, 0.5, (gaps > 0) == (outcomes > 0.5))
    return found


def measure(
    points: Array,
    belief: Belief,
    held_out: Verdicts,
    lengths: Sequence[int],
    *,
    answers: int,
    learned: int,
    seed: int,
) -> Point | None:
    """The curve's next point; None where no held-out record has a winner yet.

    Args:
        held_out: Verdicts on held-out records. Ties say nothing of who wins, and are left out.
        lengths: Characters of each answer.
    """
    decided = held_out.results() != 0.5
    if not decided.any():
        return None
    outcomes, differences = held_out.results()[decided], held_out.differences(points)[decided]
    names = {p: k for k, p in enumerate(dict.fromkeys(held_out.prompts))}
    group = np.array([names[p] for p in held_out.prompts])[decided]
    right = hits(belief.head.gap(differences), outcomes)
    others = hits(belief.members @ differences.T, outcomes)  # (members, comparisons)
    size = np.array(lengths, dtype=np.float64)
    longer = (size[held_out.first] - size[held_out.second])[decided]
    low, high = _interval(right, others, group, seed)
    return Point(answers, learned, float(right.mean()), low, high, float(hits(longer, outcomes).mean()))


def _interval(right: Array, others: Array, group: Array, seed: int) -> tuple[float, float]:
    """Bounds of the accuracy: prompts are drawn anew, and with them a head of the ensemble.

    Heads that were fitted on a bootstrap sample have seen fewer different labels and are a little worse, so what is
    added is how far one of them is from the others' mean.
    """
    count = int(group.max()) + 1
    rows = np.vstack([right, others])
    sums = np.stack([np.bincount(group, row, count) for row in rows])  # (1 + members, prompts)
    sizes = np.bincount(group, minlength=count).astype(np.float64)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=_SAMPLES)  # (samples, prompts)
    total = drawn @ sizes
    shares = (drawn @ sums.T)[total > 0] / total[total > 0, None]
    member = rng.integers(0, len(others), len(shares))
    off = shares[np.arange(len(shares)), 1 + member] - shares[:, 1:].mean(axis=1)
    low, high = np.quantile(shares[:, 0] + off, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    # All right or all wrong: there is nothing to draw from, and Clopper and Pearson's bound stands in.
    certain = ((1 - _LEVEL) / 2) ** (1 / len(np.unique(group)))
    if right.min() == 1:
        low = min(low, certain)
    if right.max() == 0:
        high = max(high, 1 - certain)
    return float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1))


def has_stopped(curve: Sequence[Point]) -> bool:
    """Whether the interval of the last `PATIENCE` rounds is on average no narrower than that of as many before them.

    Rounds in which there was nothing to learn from do not count: a head that knows nothing is sure of one half.
    """
    widths = [point.width for point in curve if point.learned]
    if len(widths) < 2 * PATIENCE:
        return False
    before, after = widths[-2 * PATIENCE : -PATIENCE], widths[-PATIENCE:]
    return sum(after) >= sum(before) * (1 - NARROWER)
