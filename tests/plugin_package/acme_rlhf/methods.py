from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from rlhf.recipe.step import Done, Room
from rlhf.steps.ppo import Ppo
from rlhf.steps.sft import Sft
from rlhf.steps.training import trained

if TYPE_CHECKING:
    from rlhf.training.ppo import PPO


class Focal(Sft):
    """Fine-tuning that cares less for tokens that are likely already (focal loss, arXiv:1708.02002)."""

    step: Literal["acme/focal"] = "acme/focal"
    focus: float = Field(2.0, ge=0)
    """How much less; 0 is `sft`."""

    def run(self, room: Room) -> Done:
        from acme_rlhf.trainers import FocalTrainer
        from rlhf.training.sft import train

        return trained(partial(train, trainer_class=partial(FocalTrainer, focus=self.focus)), self, room)


class Reinforce(Ppo):
    """PPO in which each token is worth what its answer as a whole is worth."""

    step: Literal["acme/reinforce"] = "acme/reinforce"

    def algorithm(self) -> type[PPO]:
        from acme_rlhf.trainers import Whole

        return Whole
