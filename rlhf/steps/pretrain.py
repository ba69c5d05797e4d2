"""`pretrain`: a small model and its tokenizer from nothing but the data, in seconds."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import Conversations, Kind, Policy, Ref
from curation.settings import ONE_OR_MORE
from rlhf.recipe.step import Done, Room, Step


class Pretrain(Step):
    """A Llama of a few hundred thousand weights and a byte-level tokenizer, trained on every token of the chats.

    It learns the shape of the data, not the world: enough to run a whole recipe where no model can be had. A killed
    step starts again, since the whole takes seconds.
    """

    step: Literal["pretrain"] = "pretrain"
    data: Annotated[list[Ref[Conversations]], ONE_OR_MORE]
    """The chats; a split data set gives its part `train`, unless another one is named."""
    vocab_size: int = Field(512, ge=259)
    """Tokens of the vocabulary: 256 bytes, 3 special ones, and merges learned from the data."""
    hidden_size: int = Field(64, ge=8)
    """Width of the model; a multiple of `num_attention_heads`."""
    num_hidden_layers: int = Field(2, ge=1)
    num_attention_heads: int = Field(4, ge=1)
    max_length: int = Field(512, ge=8)
    """Tokens that the model can look at; longer chats are cut."""
    max_steps: int = Field(200, ge=1)
    """Optimizer steps."""
    global_batch_size: int = Field(16, ge=1)
    """Chats of one optimizer step."""
    learning_rate: float = Field(3e-3, gt=0)
    """The highest learning rate of AdamW; a tenth of the steps warm up, then it falls to zero along a cosine."""
    seed: int = 42

    @model_validator(mode="after")
    def _heads(self) -> Self:
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError("`hidden_size` must be a multiple of 2 x `num_attention_heads`: heads have an even width")
        return self

    def makes(self) -> type[Kind]:
        return Policy

    def run(self, room: Room) -> Done:
        from rlhf.training.pretrain import from_scratch

        return Done(**from_scratch(self, room))
