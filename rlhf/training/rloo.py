"""RLOO (Ahmadian et al. 2024, arXiv 2402.14740), on TRL's `RLOOTrainer`.

Of the answers to a prompt each one's advantage is its reward, less beta times its log-ratio to the reference, beyond
the mean of the others. The loss is that advantage times the clipped probability ratio of the whole answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trl import RLOOConfig, RLOOTrainer

from rlhf.training import online

if TYPE_CHECKING:
    from rlhf.recipe.step import Room
    from rlhf.steps.rloo import Rloo


class Trainer(online.Online, RLOOTrainer):
    """TRL's, with answers and rewards of ours."""

    def _generate(self, prompts: list[int]) -> tuple[Any, ...]:
        return self.write(prompts)


def train(step: Rloo, room: Room) -> dict[str, Any]:
    """Trains, measures and writes the policy to `room.out`; returns the fields of `Done`."""
    return online.train(step, room, Trainer, RLOOConfig, ("beta", "normalize_advantages", "reward_clip_range"))
