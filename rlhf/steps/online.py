"""What `rloo` and `grpo` share: several answers to each prompt, and what they are rewarded for."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from rlhf.steps.answering import Answering
from rlhf.training.rewarding import Rewarded


class Online(Answering, Rewarded):
    """Methods that answer prompts, score the answers, and make the better ones of each prompt likelier."""

    global_batch_size: int = Field(16, ge=2)
    """Answers of one optimizer step, over all processes and accumulation."""
    num_generations: int = Field(8, ge=2)
    """Answers to each prompt, which are compared with each other."""
    generation_batch_size: int | None = Field(None, ge=2)
    """Answers written at once: a multiple of `global_batch_size`, learned from in several optimizer steps. None: as
    many as one step takes."""
    num_iterations: int = Field(1, ge=1)
    """How often the same answers are learned from."""
    epsilon: float = Field(0.2, gt=0)
    """How far the probability of an answer may move from where it was written, up or down, before it is no longer
    pushed."""
    epsilon_high: float | None = Field(None, gt=0)
    """The same upwards; None: as `epsilon`."""
    mask_truncated_completions: bool = False
    """Do not learn from answers that were cut at `max_completion_length`."""
    held_out_rows: int = Field(32, ge=0)
    """Prompts of the `test` part that are answered before and after training, at most; 0: none."""

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.at_once % self.num_generations:
            key = "global_batch_size" if self.generation_batch_size is None else "generation_batch_size"
            raise ValueError(
                f"`{key}` {self.at_once} counts answers, so it must be a multiple of "
                f"`num_generations` {self.num_generations}"
            )
        if self.at_once % self.global_batch_size:
            raise ValueError(
                f"`generation_batch_size` {self.at_once} must be a multiple of "
                f"`global_batch_size` {self.global_batch_size}"
            )
        return self

    @property
    def at_once(self) -> int:
        """Answers written at once."""
        return self.generation_batch_size or self.global_batch_size

    @property
    def answers_a_prompt(self) -> int:
        return self.num_generations

    @property
    def passes_over_answers(self) -> int:
        return self.num_iterations
