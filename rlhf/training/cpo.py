"""Contrastive preference optimization (arXiv 2401.08417) and SimPO (arXiv 2405.14734), on TRL's experimental
`CPOTrainer`: DPO's loss without the reference, plus `cpo_alpha` times the chosen answer's likelihood.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from rlhf.training import reference_free

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that it is experimental is said by the step
    from trl.experimental.cpo import CPOConfig, CPOTrainer

if TYPE_CHECKING:
    from rlhf.recipe.step import Room
    from rlhf.steps.cpo import Cpo


class Trainer(reference_free.ReferenceFree, CPOTrainer):
    """TRL's, on the log-probabilities of the answers."""


def train(step: Cpo, room: Room) -> dict[str, Any]:
    """Trains, measures and writes the policy to `room.out`; returns the fields of `Done`."""
    return reference_free.train(
        step,
        room,
        Trainer,
        CPOConfig,
        averaged=step.loss_type in ("ipo", "simpo", "alphapo"),
        loss_type=step.loss_type,
        label_smoothing=step.label_smoothing,
        cpo_alpha=step.cpo_alpha,
        simpo_gamma=step.simpo_gamma,
        alpha=step.alpha,
    )
