from __future__ import annotations

from typing import Any

from torch import Tensor

from rlhf.training.ppo import PPO
from rlhf.training.sft import Trainer


class FocalTrainer(Trainer):
    """TRL's SFTTrainer with another loss."""

    def __init__(self, *args: Any, focus: float, **kwargs: Any) -> None:
        self.focus = focus
        super().__init__(*args, **kwargs)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        out = model(**inputs, use_cache=False, fused_lm_head=True)
        losses = -((1 - out.log_probs.exp()) ** self.focus) * out.log_probs
        loss = losses.sum() / num_items_in_batch * self.accelerator.num_processes
        return (loss, out) if return_outputs else loss


class Whole(PPO):
    """Another advantage: the sum of an answer's rewards, for each of its tokens."""

    def advantages(self, rewards: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        total = rewards.sum(1, keepdim=True) * mask
        return total, total
