"""Odds ratio preference optimization (arXiv 2403.07691), on TRL's experimental `ORPOTrainer`.

The chosen answer's likelihood, and minus beta times the log-sigmoid of the log odds ratio of both answers, where the
odds are those of an answer's mean log-probability: one step in place of SFT and DPO.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from rlhf.training import reference_free

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that it is experimental is said by the step
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

if TYPE_CHECKING:
    from rlhf.recipe.step import Room
    from rlhf.steps.orpo import Orpo


class Trainer(reference_free.ReferenceFree, ORPOTrainer):
    """TRL's, on the log-probabilities of the answers."""


def train(step: Orpo, room: Room) -> dict[str, Any]:
    """Trains, measures and writes the policy to `room.out`; returns the fields of `Done`."""
    return reference_free.train(step, room, Trainer, ORPOConfig, averaged=True)
