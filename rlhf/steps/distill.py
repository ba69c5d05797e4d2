"""`distill`: a student learns its teacher's probabilities, token by token, on its own answers."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from curation.artifact import Policy, Ref
from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.answering import Answering
from rlhf.steps.training import trained
from rlhf.training.settings import by_tune


class Distill(Answering, Step):
    """On-policy distillation: the student answers prompts, and at each token comes nearer to what its teacher thinks of
    the next one (GKD, arXiv 2306.13649). Both must have one vocabulary.
    """

    revision: ClassVar[int] = 1
    step: Literal["distill"] = "distill"
    teacher: Ref[Policy]
    """Whose probabilities are learned: a step that makes a policy, or a second `base` step with a larger model."""
    learning_rate: float = Field(default_factory=by_tune(1e-4, 1e-5), gt=0)
    """The highest learning rate. Default: 1e-4 with LoRA, 1e-5 for all weights."""
    beta: float = Field(1.0, ge=0, le=1)
    """Which divergence falls: 0 is that of the teacher from the student (covers all that the teacher might say), 1 that
    of the student from the teacher (keeps to what the teacher is sure of), between them the generalized Jensen-Shannon
    divergence."""
    held_out_rows: int = Field(128, ge=0)
    """Chats of the `test` part on which the student's loss is measured, before and after, and its teacher's, at most;
    0: none."""

    def run(self, room: Room) -> Done:
        from rlhf.training.distill import train

        return trained(train, self, room)
