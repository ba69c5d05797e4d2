"""`sft`: a policy learns to say what the assistant says in the data."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import Conversations, Kind, Policy, Ref
from curation.settings import ONE_OR_MORE
from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.training import trained
from rlhf.training.settings import Optimizing, by_tune


class Sft(Optimizing, Step):
    """Supervised fine-tuning on conversations."""

    revision: ClassVar[int] = 1
    apart_from_parent: ClassVar[bool] = True
    step: Literal["sft"] = "sft"
    data: Annotated[list[Ref[Conversations]], ONE_OR_MORE]
    """The chats; a split data set is trained on by its part `train`, unless another one is named."""
    policy: Ref[Policy] | None = None
    """What to start from; without it the `base` of the recipe."""
    learning_rate: float = Field(default_factory=by_tune(2e-4, 2e-5), gt=0)
    """The highest learning rate. Default: 2e-4 with LoRA, 2e-5 for all weights."""
    max_length: int | None = Field(1024, ge=2)
    """Tokens of a row; what lies beyond is cut off and its end is not learned. None: nothing is cut."""
    packing: bool = False
    """Put several chats into one row of `max_length`, apart for attention: faster for short chats on a GPU. Then
    `global_batch_size` counts packed rows."""
    assistant_only_loss: bool = True
    """Learn what the assistant wrote and its end tokens, and nothing else; false: every token of the chat."""
    loss_type: Literal["nll", "dft"] = "nll"
    """`nll`: likelihood; `dft`: weighted by the model's own probability (arXiv 2508.05629)."""

    @model_validator(mode="after")
    def _packed(self) -> Self:
        if self.packing and self.max_length is None:
            raise ValueError("`packing` fills rows up to `max_length`; give one")
        return self

    def makes(self) -> type[Kind]:
        return Policy

    def run(self, room: Room) -> Done:
        from rlhf.training.sft import train

        return trained(train, self, room)
