"""`rloo`: a policy learns from rewards of its own answers, each against the others to the same prompt."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.online import Online
from rlhf.training.settings import by_tune


class Rloo(Online, Step):
    """REINFORCE with a leave-one-out baseline: an answer's advantage is its reward beyond the mean of the others."""

    revision: ClassVar[int] = 1
    step: Literal["rloo"] = "rloo"
    learning_rate: float = Field(default_factory=by_tune(1e-5, 1e-6), gt=0)
    """The highest learning rate. Default: 1e-5 with LoRA, 1e-6 for all weights."""
    num_generations: int = Field(4, ge=2)
    """Answers to each prompt, which are compared with each other."""
    beta: float = Field(0.05, ge=0)
    """How dear it is to stray from the reference: this much of an answer's log-ratio is taken off its reward."""
    normalize_advantages: bool = False
    """Bring the advantages of a generation to mean 0 and deviation 1."""
    reward_clip_range: tuple[float, float] | None = None
    """Rewards are held between these two numbers. None: they are taken as they are."""

    def run(self, room: Room) -> Done:
        from rlhf.steps.endpoints import rewarded
        from rlhf.training.rloo import train

        return rewarded(train, self, room)
