"""`kto`: a policy learns from answers that are good or bad, without pairs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import Conversations, Kind, Policy, Ref
from curation.settings import ONE_OR_MORE
from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.training import trained
from rlhf.training.settings import Optimizing, by_tune


class Kto(Optimizing, Step):
    """Kahneman-Tversky optimization on conversations whose last answer is labelled good or bad."""

    revision: ClassVar[int] = 1
    step: Literal["kto"] = "kto"
    data: Annotated[list[Ref[Conversations]], ONE_OR_MORE]
    """The chats, with a `label`; those without one are left out. A split data set is trained on by its part `train`,
    unless another one is named."""
    policy: Ref[Policy] | None = None
    """What to start from, and the reference; without it the `base` of the recipe."""
    learning_rate: float = Field(default_factory=by_tune(5e-5, 1e-6), gt=0)
    """The highest learning rate. Default: 5e-5 with LoRA, 1e-6 for all weights."""
    loss_type: Literal["kto", "apo_zero_unpaired"] = "kto"
    """`kto` is the paper's (arXiv 2402.01306); `apo_zero_unpaired` (arXiv 2408.06266) makes good answers likelier and
    bad ones less likely, without an estimate of how far the policy has moved."""
    beta: float = Field(0.1, gt=0)
    """How dear it is to stray from the reference: smaller moves further."""
    desirable_weight: float = Field(1.0, gt=0)
    """Weight of the good answers' losses; where there are fewer of them, raise it."""
    undesirable_weight: float = Field(1.0, gt=0)
    """Weight of the bad answers' losses."""
    max_length: int | None = Field(1024, ge=2)
    """Tokens of a prompt with its answer; what lies beyond is cut off and its end is not learned. None: nothing is
    cut."""
    disable_dropout: bool = True
    """Switch dropout off, the adapter's too, in the policy and the reference."""

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.loss_type == "kto" and self.global_batch_size < 2:
            raise ValueError("`kto` compares the rows of a batch, so `global_batch_size` must be 2 or more")
        return self

    def makes(self) -> type[Kind]:
        return Policy

    def run(self, room: Room) -> Done:
        from rlhf.training.kto import train

        return trained(train, self, room)
