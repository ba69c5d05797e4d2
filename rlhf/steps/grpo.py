"""`grpo`: a policy learns from rewards of its own answers, in units of how they differ within a prompt."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.online import Online
from rlhf.training.settings import by_tune


class Grpo(Online, Step):
    """Group relative policy optimization: an answer's advantage is its reward beyond the mean of its group, divided by
    the group's deviation.
    """

    revision: ClassVar[int] = 1
    step: Literal["grpo"] = "grpo"
    learning_rate: float = Field(default_factory=by_tune(1e-5, 1e-6), gt=0)
    """The highest learning rate. Default: 1e-5 with LoRA, 1e-6 for all weights."""
    beta: float = Field(0.0, ge=0)
    """How dear it is to stray from the reference, token by token. 0: it is not looked at, as is usual where rewards can
    be checked."""
    loss_type: Literal["grpo", "dapo", "dr_grpo", "cispo", "sapo"] = "dapo"
    """How tokens are averaged: `dapo` (arXiv 2503.14476) over all of an optimizer step; `grpo` (arXiv 2402.03300)
    within each answer, then over answers; `dr_grpo` (arXiv 2503.20783) over `max_completion_length`. `cispo` (arXiv
    2506.13585) clips the weight and not the gradient, at `epsilon_high` from above (5.0, arXiv 2510.13786); `sapo`
    (arXiv 2511.20347) lets go softly. TRL's `bnpo` is left out: it averages over the rows in memory at once."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """Whose deviation the advantages are divided by."""
    importance_sampling_level: Literal["token", "sequence"] = "token"
    """Whether a token's or an answer's probability ratio is clipped (`sequence`: GSPO, arXiv 2507.18071)."""
    use_bias_correction_kl: bool = True
    """Weigh the divergence by the probability ratio, so that its gradient is unbiased (arXiv 2512.02556); false: the
    first paper's."""

    @model_validator(mode="after")
    def _clipped_above(self) -> Self:
        if self.loss_type == "cispo" and (self.epsilon_high is None or self.epsilon_high <= 1):
            raise ValueError(
                "`cispo` needs `epsilon_high` above 1: it is the highest weight of a token there, and below 1 all are "
                "cut; 5.0 is usual"
            )
        return self

    def advice(self) -> list[str]:
        """Warnings that the settings alone justify."""
        found = super().advice()
        if self.importance_sampling_level == "sequence" and self.loss_type != "grpo":
            found.append(
                "`importance_sampling_level: sequence` with "
                f"`loss_type: {self.loss_type}` weighs answers by their lengths; GSPO's paper has `loss_type: grpo`"
            )
        return found

    def run(self, room: Room) -> Done:
        from rlhf.steps.endpoints import rewarded
        from rlhf.training.grpo import train

        return rewarded(train, self, room)
