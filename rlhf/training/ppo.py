"""Proximal policy optimization, in one file: Schulman et al., arXiv 1707.06347, as Ziegler et al., arXiv 1909.08593,
use it on language models.

An update draws answers to a batch of prompts, rewards each for what its scorers say and for staying near the reference,
estimates for every token how much better it was than expected (`advantages`), and then takes a few steps in which a
token's probability may change by `cliprange` and no more. Answers go through the models in micro-batches that stay the
same from the first look at an answer to the last step, so that the ratio is exactly 1 until something was learned.

A variant overrides one method, most often `advantages` or `token_rewards`, and a step that gives it as `algorithm`.
Letters in names are shapes: G answers of an update, T tokens of its longest one, M answers of a micro-batch, K tokens.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from curation.conversation import Conversation
from curation.errors import UserError
from rlhf.training.klcontrol import KLController
from rlhf.training.ppo_actors import Actors, Micro, micro_batch
from rlhf.training.ppo_answers import Prompts, Writer
from rlhf.training.rewarding import Rewards, Scored, answered

if TYPE_CHECKING:
    from rlhf.steps.ppo import Ppo


@dataclass
class Rollout:
    """The answers of one update, and what the models say of each token before anything is learned from them."""

    chats: list[Conversation]
    finished: Tensor
    """(G) True where the answer ended by itself."""
    scored: Scored
    minis: list[list[Micro]]
    """The micro-batches of each optimizer step."""
    mask: Tensor
    """(G, T) True for tokens of the answers; what lies beyond is 0 in all that follows."""
    logprobs: Tensor
    """(G, T) under the policy that drew them."""
    reference: Tensor
    """(G, T) under the reference."""
    divergence: Tensor
    """(G, T) KL of the policy from the reference where each token was drawn."""
    values: Tensor
    """(G, T) expected rewards from each token on."""

    @property
    def kl(self) -> float:
        """How far the policy is from the reference, in nats an answer."""
        return float(self.divergence.sum(1).mean())

    @property
    def micros(self) -> Iterator[Micro]:
        """All micro-batches."""
        for mini in self.minis:
            yield from mini


class PPO:
    """One policy in training.

    Args:
        settings: The step's.
        actors: The models.
        prompts: What is asked.
        writer: Draws the answers.
        rewards: Says what they are worth.
        optimizer: Over the weights of `actors` that are trained.
        scheduler: Of its learning rate, by updates.
        rows: Answers that go through a model at once.
    """

    def __init__(
        self,
        settings: Ppo,
        actors: Actors,
        prompts: Prompts,
        writer: Writer,
        rewards: Rewards,
        optimizer: torch.optim.Optimizer,
        scheduler: Any,
        rows: int,
    ) -> None:
        self.settings, self.actors, self.prompts, self.writer = settings, actors, prompts, writer
        self.rewards, self.optimizer, self.scheduler, self.rows = rewards, optimizer, scheduler, rows
        self.controller = KLController(settings.kl_coef, settings.target_kl)
        self.update = 0
        """Updates that are done."""

    def step(self) -> dict[str, float]:
        """One update; gives its statistics."""
        rollout = self.rollout()
        rewards_GT = self.token_rewards(rollout)
        advantages_GT, returns_GT = self.advantages(rewards_GT, rollout.values, rollout.mask)
        stats = self.describe(rollout, returns_GT)
        stats |= self.learn(rollout, whiten(advantages_GT, rollout.mask), returns_GT)
        stats |= {"kl_coef": self.controller.coef, "learning_rate": self.scheduler.get_last_lr()[0]}
        self.actors.move_back(self.controller.observe(rollout.kl))
        self.scheduler.step()
        self.update += 1
        return stats

    # What happened

    @torch.no_grad()
    def rollout(self) -> Rollout:
        """Draws the answers of the next update and has them looked at by all models."""
        asked = self.prompts.of(self.update)
        made = self.writer.write([request for _, request in asked])
        answers = [[*c.tokens, *([] if c.end is None else [c.end])] for c in made]
        chats = [
            answered(row, self.writer.plain(c.text), finished=c.finished)
            for (row, _), c in zip(asked, made, strict=True)
        ]
        scored = self.rewards(chats)
        width = max(map(len, answers))
        minis = self.cut([request.prompt for _, request in asked], answers, width)
        device = self.actors.device
        mask_GT = torch.arange(width)[None] < torch.tensor([len(a) for a in answers])[:, None]
        zeros = torch.zeros(mask_GT.shape, device=device)
        found = Rollout(
            chats,
            torch.tensor([c.finished for c in made], device=device),
            scored,
            minis,
            mask_GT.to(device),
            zeros,
            zeros.clone(),
            zeros.clone(),
            zeros.clone(),
        )
        first = next(self.passes(found))[0]  # looked at last, so that learning begins with what is there already
        for micro in sorted(found.micros, key=lambda micro: micro is first):
            micro.fill(found.values, self.actors.values(micro))
            logprobs_K, reference_K, kl_K = self.actors.compare(micro, keep=micro is first)
            micro.fill(found.logprobs, logprobs_K)
            micro.fill(found.reference, reference_K)
            micro.fill(found.divergence, kl_K)
        return found

    def cut(self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], width: int) -> list[list[Micro]]:
        """The answers at random into optimizer steps, and those by length into micro-batches."""
        order = list(range(len(answers)))
        random.Random(f"{self.settings.seed} {self.update}").shuffle(order)
        size, minis = self.settings.mini_batch_size, []
        for start in range(0, len(order), size):
            mini = sorted(order[start : start + size], key=lambda i: len(prompts[i]) + len(answers[i]), reverse=True)
            parts = [mini[i : i + self.rows] for i in range(0, len(mini), self.rows)]
            minis.append([micro_batch(part, prompts, answers, width, self.actors.inner) for part in parts])
        return minis

    # What it was worth

    def token_rewards(self, rollout: Rollout) -> Tensor:
        """(G, T) the KL penalty at each token, and at the last one what the answer as a whole is worth."""
        settings = self.settings
        penalty_GT = kl_estimate(rollout.logprobs - rollout.reference, settings.kl_estimator)
        rewards_GT = -self.controller.coef * penalty_GT
        last_G = rollout.mask.sum(1) - 1
        rewards_GT[torch.arange(len(last_G), device=last_G.device), last_G] += self.worth(rollout)
        if settings.whiten_rewards:
            rewards_GT = whiten(rewards_GT, rollout.mask, shift_mean=False)
        return rewards_GT

    def worth(self, rollout: Rollout) -> Tensor:
        """(G) what the scorers say, clipped, with the penalty for answers that did not end."""
        settings = self.settings
        scores_G = torch.tensor(rollout.scored.total, dtype=torch.float32, device=rollout.mask.device)
        if settings.reward_clip_range is not None:
            scores_G = scores_G.clamp(*settings.reward_clip_range)
        if settings.missing_eos_penalty is not None:
            scores_G = scores_G - settings.missing_eos_penalty * ~rollout.finished
        return scores_G

    def advantages(self, rewards_GT: Tensor, values_GT: Tensor, mask_GT: Tensor) -> tuple[Tensor, Tensor]:
        """(G, T) how much better each token was than expected, and what the value model should have said.

        Advantages are whitened afterwards.
        """
        advantages_GT = gae(rewards_GT, values_GT, mask_GT, self.settings.gamma, self.settings.lam)
        return advantages_GT, advantages_GT + values_GT

    # What is learned from it

    def learn(self, rollout: Rollout, advantages_GT: Tensor, returns_GT: Tensor) -> dict[str, float]:
        """Takes the optimizer steps of an update; gives the means over them."""
        settings = self.settings
        seen: list[dict[str, float]] = []
        planned = settings.num_ppo_epochs * len(rollout.minis)
        for mini in self.passes(rollout):
            stats = self.losses(mini, rollout, advantages_GT, returns_GT)
            if not math.isfinite(stats["policy_loss"] + stats["value_loss"]):
                raise UserError(
                    f"the loss is no number at update {self.update + 1}",
                    hint="lower learning_rate, or use `dtype: float32`; what was learned before is lost",
                )
            if seen and self.has_moved(stats):
                self.optimizer.zero_grad()
                break
            weights = [p for group in self.optimizer.param_groups for p in group["params"]]
            norm = torch.nn.utils.clip_grad_norm_(weights, settings.max_grad_norm or math.inf)
            self.optimizer.step()
            self.optimizer.zero_grad()
            seen.append({**stats, "grad_norm": float(norm)})
        means = {name: sum(s[name] for s in seen) / len(seen) for name in seen[0]}
        return {**means, "first_ratio": seen[0]["ratio"], "share_of_steps": len(seen) / planned}

    def passes(self, rollout: Rollout) -> Iterator[list[Micro]]:
        """The optimizer steps of an update, each pass in an order of its own."""
        for epoch in range(self.settings.num_ppo_epochs):
            order = list(rollout.minis)
            random.Random(f"{self.settings.seed} {self.update} {epoch}").shuffle(order)
            yield from order

    def losses(
        self, mini: list[Micro], rollout: Rollout, advantages_GT: Tensor, returns_GT: Tensor
    ) -> dict[str, float]:
        """Adds the gradients of one optimizer step up; gives its figures, means over its tokens."""
        settings = self.settings
        tokens = sum(len(micro.targets) for micro in mini)
        answers = sum(len(micro.rows) for micro in mini)
        sums = dict.fromkeys(("policy_loss", "value_loss", "clip_fraction", "value_clip_fraction", "ratio"), 0.0)
        moved = 0.0
        for micro in mini:
            logprobs_K, old_K = self.actors.logprobs(micro), micro.flat(rollout.logprobs)
            ratio_K = (logprobs_K - old_K).exp()
            loss_K, clipped_K = clipped_policy_loss(ratio_K, micro.flat(advantages_GT), settings.cliprange)
            (loss_K.sum() / tokens).backward()
            sums["policy_loss"] += float(loss_K.detach().sum())
            sums["clip_fraction"] += float(clipped_K.sum())
            sums["ratio"] += float(ratio_K.detach().sum())
            moved += float(kl_estimate((old_K - logprobs_K).detach(), "k3").sum())
            loss_K, clipped_K = clipped_value_loss(
                self.actors.values(micro), micro.flat(rollout.values), micro.flat(returns_GT), settings.cliprange_value
            )
            (settings.vf_coef * loss_K.sum() / tokens).backward()
            sums["value_loss"] += float(loss_K.detach().sum())
            sums["value_clip_fraction"] += float(clipped_K.sum())
        return {**{name: value / tokens for name, value in sums.items()}, "update_kl": moved / answers}

    def has_moved(self, stats: dict[str, float]) -> bool:
        """Whether an update should end before this step."""
        limit = self.settings.max_update_kl
        if limit is None and self.settings.target_kl is not None:
            limit = self.settings.target_kl / 6
        return limit is not None and stats["update_kl"] > limit

    def describe(self, rollout: Rollout, returns_GT: Tensor) -> dict[str, float]:
        """Statistics of the answers."""
        tokens_G = rollout.mask.sum(1)
        total = float(tokens_G.sum())
        left = variance(returns_GT - rollout.values, rollout.mask)
        spread = variance(returns_GT, rollout.mask)
        return {
            "reward": sum(rollout.scored.total) / len(rollout.chats),
            **{f"reward_{name}": sum(part) / len(part) for name, part in rollout.scored.parts.items()},
            "kl": rollout.kl,
            "entropy": -float(rollout.logprobs.sum()) / total,
            "answer_tokens": total / len(tokens_G),
            "ended": float(rollout.finished.float().mean()),
            "explained_variance": 1 - left / spread if spread else 0.0,
        }


# The formulas


def kl_estimate(log_ratio: Tensor, kind: str) -> Tensor:
    """An estimate of KL(p, q) for each token drawn from p, from `log p - log q` (http://joschu.net/blog/kl-approx.html).

    `k1` is the log-ratio itself, `k3` is `q/p - 1 - log(q/p)`: both have the KL as their mean; k3 is never negative.
    """
    return log_ratio if kind == "k1" else torch.expm1(-log_ratio) + log_ratio


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> Tensor:
    """Generalized advantage estimates (arXiv 1506.02438, equation 16); nothing follows the last token.

    Args:
        rewards: (G, T), as are `values` and `mask`; rows are as long as their mask is true.
    """
    after_G = torch.zeros_like(rewards[:, 0])
    next_G = torch.zeros_like(after_G)
    found: list[Tensor] = []
    for t in reversed(range(rewards.shape[1])):
        surprise_G = rewards[:, t] + gamma * next_G - values[:, t]
        after_G = (surprise_G + gamma * lam * after_G) * mask[:, t]
        next_G = values[:, t] * mask[:, t]
        found.append(after_G)
    return torch.stack(found[::-1], 1)


def whiten(x: Tensor, mask: Tensor, *, shift_mean: bool = True) -> Tensor:
    """Scaled to variance 1 over the mask, around 0 or around its own mean; 0 elsewhere.

    The variance is the unbiased one. One token alone is left as it is.
    """
    count = mask.sum()
    if count < 2:
        return x * mask
    mean = (x * mask).sum() / count
    variance = (((x - mean) * mask) ** 2).sum() / (count - 1)
    white = (x - mean) * torch.rsqrt(variance + 1e-8)
    return (white if shift_mean else white + mean) * mask


def variance(x: Tensor, mask: Tensor) -> float:
    """Variance over the mask."""
    return float(x[mask].var(correction=0))


def clipped_policy_loss(ratio: Tensor, advantages: Tensor, cliprange: float) -> tuple[Tensor, Tensor]:
    """(loss of each token, where the clip holds it): arXiv 1707.06347, equation 7, to be made small."""
    free = -advantages * ratio
    held = -advantages * ratio.clamp(1 - cliprange, 1 + cliprange)
    return torch.maximum(free, held), held > free


def clipped_value_loss(values: Tensor, old: Tensor, returns: Tensor, cliprange: float) -> tuple[Tensor, Tensor]:
    """(half the squared error of each value, where the clip holds it): a value counts near its old one only."""
    free = (values - returns) ** 2
    held = (old + (values - old).clamp(-cliprange, cliprange) - returns) ** 2
    return 0.5 * torch.maximum(free, held), held > free
