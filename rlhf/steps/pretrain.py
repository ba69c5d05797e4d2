"""`pretrain`: a model and its tokenizer from nothing but the data: in seconds for a test, in hours as Cerebras-GPT."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import Conversations, Kind, Policy, Ref
from curation.settings import ONE_OR_MORE, UNLESS_DEFAULT
from rlhf.recipe.step import Done, Room, Step

COMPUTE_OPTIMAL = 20
"""Tokens a parameter that give the lowest loss for a given amount of computing (arXiv 2203.15556)."""


class Pretrain(Step):
    """A Llama and a byte-level tokenizer, trained on every token of the chats.

    As it stands it has a few hundred thousand weights and learns the shape of the data, not the world: enough to run a
    whole recipe where no model can be had. `parametrization: mup` and `tokens_per_parameter` make one that is worth its
    computing at any size, as Cerebras-GPT was made.
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
    """Heads that ask; half as many keys and values."""
    intermediate_size: Annotated[int | None, UNLESS_DEFAULT] = Field(None, ge=1)
    """Width inside the feed-forward layers. None: twice `hidden_size`."""
    parametrization: Annotated[Literal["standard", "mup"], UNLESS_DEFAULT] = "standard"
    """How the first weights and the learning rates depend on the width. `mup` (arXiv 2203.03466, with the table of
    Cerebras-GPT, arXiv 2304.03208): activations stay of one size at every width, so that `learning_rate`,
    `initializer_range` and `embedding_multiplier` that are best for a narrow model are best for a wide one. The model
    is then transformers' Granite, a Llama with these multipliers in its config."""
    mup_base_width: Annotated[int, UNLESS_DEFAULT] = Field(256, ge=1)
    """Width at which `learning_rate` and `initializer_range` are meant, for `mup`."""
    embedding_multiplier: Annotated[float, UNLESS_DEFAULT] = Field(10.0, gt=0)
    """What embeddings are multiplied by, for `mup`."""
    initializer_range: Annotated[float, UNLESS_DEFAULT] = Field(0.02, gt=0)
    """Standard deviation of the first weights (at `mup_base_width`, with `mup`). Cerebras-GPT took 0.08 with `mup`."""
    max_length: int = Field(512, ge=8)
    """Tokens that the model can look at; longer chats are cut, unless `packing` goes on in the next row."""
    packing: Annotated[bool, UNLESS_DEFAULT] = False
    """Lay the chats one behind the other and cut that into rows of exactly `max_length`: no token is padded and none is
    lost but at the very end. A token may look at the chat before its own in the row."""
    max_steps: int = Field(200, ge=1)
    """Optimizer steps."""
    tokens_per_parameter: Annotated[float | None, UNLESS_DEFAULT] = Field(None, gt=0)
    """In place of `max_steps`: read so many tokens for each weight of the model. 20 is compute-optimal (arXiv
    2203.15556). Needs `packing`, under which all rows count the same."""
    global_batch_size: int = Field(16, ge=1)
    """Chats (with `packing` rows) of one optimizer step."""
    learning_rate: float = Field(3e-3, gt=0)
    """The highest learning rate of AdamW; a tenth of the steps warm up, then it falls to zero along a cosine.
    Cerebras-GPT took 6e-3 with `mup`."""
    weight_decay: Annotated[float, UNLESS_DEFAULT] = Field(0.0, ge=0)
    adam_beta2: Annotated[float, UNLESS_DEFAULT] = Field(0.999, ge=0, lt=1)
    dtype: Annotated[Literal["float32", "bfloat16"], UNLESS_DEFAULT] = "float32"
    """Numbers of the forward pass; weights stay in float32."""
    seed: int = 42

    @model_validator(mode="after")
    def _heads(self) -> Self:
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError("`hidden_size` must be a multiple of 2 x `num_attention_heads`: heads have an even width")
        return self

    @model_validator(mode="after")
    def _belong(self) -> Self:
        if self.parametrization == "standard":
            for key in ("mup_base_width", "embedding_multiplier"):
                if key in self.model_fields_set:
                    raise ValueError(f"`{key}` is for `parametrization: mup`")
        if self.tokens_per_parameter is not None:
            if "max_steps" in self.model_fields_set:
                raise ValueError("`tokens_per_parameter` says how long, so remove `max_steps`")
            if not self.packing:
                raise ValueError("`tokens_per_parameter` needs `packing: true`, under which all rows count the same")
        return self

    @property
    def width_multiplier(self) -> float:
        """How many times wider than the base of muP: its m."""
        return self.hidden_size / self.mup_base_width

    def parameters(self, vocabulary: int) -> int:
        """Weights of a model with so many tokens; the output layer shares those of the embedding."""
        d = self.hidden_size
        keys = d // self.num_attention_heads * max(1, self.num_attention_heads // 2)
        layer = 2 * d * d + 2 * d * keys + 3 * d * (self.intermediate_size or 2 * d) + 2 * d
        return vocabulary * d + self.num_hidden_layers * layer + d

    def steps(self, parameters: int) -> int:
        """Optimizer steps, for a model of so many weights."""
        if self.tokens_per_parameter is None:
            return self.max_steps
        return math.ceil(self.tokens_per_parameter * parameters / (self.global_batch_size * self.max_length))

    def compute_optimal(self, parameters: int) -> int:
        """Tokens that are worth reading with so many weights."""
        return COMPUTE_OPTIMAL * parameters

    def outlook(self) -> list[str]:
        size = self.parameters(self.vocab_size)
        steps = self.steps(size)
        most = steps * self.global_batch_size * self.max_length
        reads = f"{most:,}" if self.packing else f"at most {most:,}"
        return [
            f"{size:,} weights with the whole vocabulary; compute-optimal are {self.compute_optimal(size):,} tokens "
            f"({COMPUTE_OPTIMAL} a weight); {steps:,} steps read {reads} ({most / size:.3g} a weight), "
            f"{6 * size * most:.2g} floating-point operations"
        ]

    def makes(self) -> type[Kind]:
        return Policy

    def run(self, room: Room) -> Done:
        from rlhf.training.pretrain import from_scratch

        return Done(**from_scratch(self, room))
