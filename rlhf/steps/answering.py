"""What `rloo`, `grpo` and `distill` share: prompts, and answers that are written while training."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from curation.artifact import Conversations, Kind, Policy, Ref
from curation.models.settings import Sampling
from rlhf.training.settings import Optimizing


class Answering(Sampling, Optimizing):
    """Methods that answer prompts and learn from their own answers."""

    prompts: Ref[Conversations]
    """Whose prompts are answered: all that stands before the last answer, which is not looked at. Equal prompts are
    asked once. A split data set gives its part `train`, unless another one is named."""
    policy: Ref[Policy] | None = None
    """What to start from; without it the `base` of the recipe."""
    temperature: float = Field(1.0, gt=0)
    """Of the answers, and of the probabilities that are learned. Below 1 sharpens, above 1 flattens."""
    seed: int = 42
    """Draws the adapter's first weights, the order of the prompts and the answers."""
    one_process: ClassVar[str] = "the answers that it learns from are written in one"
    global_batch_size: int = Field(16, ge=1)
    """Answers of one optimizer step, over all processes and accumulation."""
    disable_dropout: bool = True
    """Switch dropout off, the adapter's too."""

    @property
    def at_once(self) -> int:
        """Answers written at once."""
        return self.global_batch_size

    @property
    def answers_a_prompt(self) -> int:
        """Answers to each prompt."""
        return 1

    @property
    def passes_over_answers(self) -> int:
        """How often the same answers are learned from."""
        return 1

    @property
    def steps_a_generation(self) -> int:
        """Optimizer steps that the same answers are learned from: a run can be taken up again only between two."""
        return self.at_once // self.global_batch_size * self.passes_over_answers

    def passes(self, rows: int) -> int:
        """Answers that are learned from in one epoch over this many prompts."""
        generations = -(-rows * self.answers_a_prompt // self.at_once)
        return generations * self.at_once * self.passes_over_answers

    def makes(self) -> type[Kind]:
        return Policy
