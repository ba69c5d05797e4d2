"""`orpo`: a policy learns the chosen answers and, in the same step, to prefer them. Experimental in TRL."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.reference_free import ReferenceFree
from rlhf.steps.training import trained
from rlhf.training.settings import by_tune


class Orpo(ReferenceFree, Step):
    """Odds ratio preference optimization on preferences, without a reference. TRL's trainer is experimental."""

    revision: ClassVar[int] = 1
    step: Literal["orpo"] = "orpo"
    learning_rate: float = Field(default_factory=by_tune(5e-5, 5e-6), gt=0)
    """The highest learning rate. Default: 5e-5 with LoRA, 5e-6 for all weights."""
    beta: float = Field(0.1, gt=0)
    """Weight of the odds ratio beside the likelihood; the paper's lambda (arXiv 2403.07691)."""

    def run(self, room: Room) -> Done:
        from rlhf.training.orpo import train

        return trained(train, self, room)
