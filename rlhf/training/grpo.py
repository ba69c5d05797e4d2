"""GRPO (Shao et al. 2024, arXiv 2402.03300) and its kin, on TRL's `GRPOTrainer`.

Of the answers to a prompt each one's advantage is its reward beyond the mean of all, in units of their deviation. The
loss is that advantage times the clipped probability ratio, token by token, plus beta times a non-negative estimate of
the divergence from the reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trl import GRPOConfig, GRPOTrainer

from rlhf.training import online

if TYPE_CHECKING:
    from rlhf.recipe.step import Room
    from rlhf.steps.grpo import Grpo


class Trainer(online.Online, GRPOTrainer):
    """TRL's, with answers and rewards of ours."""

    def _generate(self, prompts: list[int]) -> tuple[Any, ...]:
        prompt_ids, ids, chats = self.write(prompts)
        return prompt_ids, ids, None, chats, None, {}, None, []


def train(step: Grpo, room: Room) -> dict[str, Any]:
    """Trains, measures and writes the policy to `room.out`; returns the fields of `Done`."""
    own = ("beta", "loss_type", "scale_rewards", "importance_sampling_level", "use_bias_correction_kl")
    return online.train(step, room, Trainer, GRPOConfig, own)
