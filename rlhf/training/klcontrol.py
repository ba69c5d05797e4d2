"""How dear it is to stray from the reference, so that the policy strays as far as it should and no further.

The usual adaptive controller (Ziegler et al., arXiv 1909.08593) multiplies the coefficient by at most 1.02 an update:
it needs hundreds of updates to turn, and in shorter runs the KL passes the target by far. Two things hold it here. The
coefficient is set by a proportional-integral controller in its logarithm: dear at once where the KL is above the
target, and slowly moved to where the KL stays on it. What learns slowly would still be late, so a policy that was found
beyond the target is moved back towards the reference, along the line between their weights, on which the KL grows about
with the square of the distance.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

PROPORTIONAL = 2.0
"""The power of KL / target by which the coefficient answers the KL of now."""
UP, DOWN = 0.4, 0.12
"""The power of KL / target by which it moves on with each update, above the target and below. Above, the policy has
been moved back each time, so that what is left of the error says too little."""
FAR = math.log(2)
"""A KL further from the target than twice or half of it counts as that: at first it is always far below."""
MOST_BACK = 0.5
"""A policy is moved back to this share of its KL at most, in one update: what was measured is one batch of answers."""
BOUNDS = (1e-4, 1e2)
"""The coefficient stays within."""


@dataclass
class KLController:
    """The coefficient of the KL penalty.

    Args:
        coef: At first; it stays there where no target is set.
        target: KL to hold, in nats an answer.
    """

    coef: float
    target: float | None = None
    level: float | None = None
    """The coefficient for a KL that is on the target."""

    def observe(self, kl: float) -> float:
        """Takes in the KL of one batch of answers, and sets the coefficient for the next.

        Returns:
            By which the distance of the policy's weights from the reference's is to be multiplied, 1 at most.
        """
        if self.target is None:
            return 1.0
        error = max(-FAR, min(FAR, math.log(max(kl, 1e-9) / self.target)))
        level = (self.coef if self.level is None else self.level) * math.exp((UP if error > 0 else DOWN) * error)
        self.level = max(BOUNDS[0], min(BOUNDS[1], level))
        self.coef = self.level * math.exp(PROPORTIONAL * error)
        return math.sqrt(max(MOST_BACK, self.target / kl)) if kl > self.target else 1.0

    def state(self) -> dict[str, Any]:
        """All that decides what it does next."""
        return asdict(self)
