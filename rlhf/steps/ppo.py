"""`ppo`: a policy answers prompts, the answers are rewarded, and it learns to answer so that the reward is higher."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import Conversations, Kind, Policy, Ref
from rlhf.recipe.step import Done, Room, Step
from rlhf.training.rewarding import Rewarded
from rlhf.training.settings import FEW_STEPS, Optimizing, few_steps

if TYPE_CHECKING:
    from rlhf.training.ppo import PPO


class Ppo(Rewarded, Optimizing, Step):
    """Proximal policy optimization (arXiv 1707.06347) with a KL penalty (arXiv 1909.08593), on one frozen base.

    What the PPOConfig of TRL 1.12 had, the last one, has its name there. But `response_length` is
    `max_completion_length`, as in all steps that draw answers, and `total_episodes` is `num_train_epochs` or
    `max_steps`. `reward_clip_range` is RLOO's.
    """

    revision: ClassVar[int] = 1
    one_process: ClassVar[str] = "an update's answers, its KL controller and its two adapters are in one"
    step: Literal["ppo"] = "ppo"
    prompts: Ref[Conversations]
    """What is answered: everything before the last answer of each chat. A split data set gives its part `train`, unless
    another one is named."""
    policy: Ref[Policy] | None = None
    """What to start from, and the reference; without it the `base` of the recipe."""
    tune: Literal["lora"] = "lora"
    """Policy and value are adapters on one frozen base, so that it is in memory once."""
    learning_rate: float = Field(1e-4, gt=0)
    """The highest learning rate, of policy and value."""
    global_batch_size: int = Field(32, ge=1)
    """Answers of one update. They are learned from `num_ppo_epochs` times, cut into `num_mini_batches`."""
    num_mini_batches: int = Field(1, ge=1)
    """Optimizer steps that one pass over an update's answers is cut into."""
    num_ppo_epochs: int = Field(4, ge=1)
    """Passes over the answers of an update."""
    num_train_epochs: float = Field(1.0, gt=0)
    """Times that each prompt is answered; without meaning when `max_steps` is set."""
    max_steps: int = Field(-1, ge=-1)
    """Updates, each of `global_batch_size` answers; -1: as many as `num_train_epochs` gives. The learning rate's
    schedule counts them too."""
    max_completion_length: int = Field(128, ge=1)
    """Tokens of an answer, its end token included. One that is longer is cut, and counts as not finished."""
    max_prompt_length: int | None = Field(512, ge=1)
    """Prompts with more tokens are left out. None: those that leave the answer no room."""
    temperature: float = Field(1.0, gt=0)
    """Answers are drawn, and probabilities are taken, at this temperature."""
    kl_coef: float = Field(0.05, ge=0)
    """How dear it is to stray from the reference, in reward a nat; with `target_kl` only at first."""
    target_kl: float | None = Field(None, gt=0)
    """KL from the reference to hold, in nats an answer: `kl_coef` follows it. None: `kl_coef` stays."""
    kl_estimator: Literal["k1", "k3"] = "k1"
    """The KL penalty of a token: `k1`, the log-ratio, is unbiased; `k3` is never negative and varies less
    (http://joschu.net/blog/kl-approx.html)."""
    max_update_kl: float | None = Field(None, gt=0)
    """An update ends early when the policy has moved this far from where it began, in nats an answer. None: a sixth of
    `target_kl` where that is set, else never."""
    cliprange: float = Field(0.2, gt=0)
    """A token's ratio of probabilities counts up to this far from 1."""
    cliprange_value: float = Field(0.2, gt=0)
    """A value counts up to this far from what it was when the answer was drawn."""
    vf_coef: float = Field(0.1, ge=0)
    """Weight of the value loss."""
    gamma: float = Field(1.0, ge=0, le=1)
    """Discount of a reward for each token that it lies ahead."""
    lam: float = Field(0.95, ge=0, le=1)
    """Lambda of the generalized advantage estimate (arXiv 1506.02438): 0 trusts the value model, 1 the rewards."""
    whiten_rewards: bool = False
    """Scale the rewards of an update to variance 1; their mean stays."""
    reward_clip_range: tuple[float, float] | None = None
    """Rewards are held between these two numbers. None: they are taken as they are."""
    missing_eos_penalty: float | None = Field(None, ge=0)
    """Taken off the reward of an answer that did not end by itself."""

    @model_validator(mode="after")
    def _fits_ppo(self) -> Self:
        if self.lora_dropout:
            raise ValueError("PPO compares probabilities of one model with another's; `lora_dropout` would be in both")
        if self.global_batch_size % self.num_mini_batches:
            raise ValueError(
                f"`global_batch_size` {self.global_batch_size} does not divide by `num_mini_batches` "
                f"{self.num_mini_batches}"
            )
        return self

    @property
    def mini_batch_size(self) -> int:
        """Answers of one optimizer step."""
        return self.global_batch_size // self.num_mini_batches

    def advice(self) -> list[str]:
        steps = self.max_steps * self.num_ppo_epochs * self.num_mini_batches
        return [few_steps(steps)] if 0 < steps < FEW_STEPS else []

    def algorithm(self) -> type[PPO]:
        """What trains: override it to give a subclass of `PPO` with another advantage, say."""
        from rlhf.training.ppo import PPO

        return PPO

    def makes(self) -> type[Kind]:
        return Policy

    def run(self, room: Room) -> Done:
        from rlhf.steps.endpoints import rewarded
        from rlhf.training.ppo_running import train

        return rewarded(train, self, room)
