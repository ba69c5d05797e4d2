"""PPO's formulas against worked examples, exact expectations and their papers' definitions."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from rlhf.steps.ppo import Ppo
from rlhf.training.ppo import PPO, clipped_policy_loss, clipped_value_loss, gae, kl_estimate, whiten
from rlhf.training.rewarding import Scored


def close(found: Tensor, expected: Any) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=1e-6, rtol=0)


def test_gae_by_hand() -> None:
    """gamma 0.9, lambda 0.8: delta_2 = 2 - 0.3, delta_1 = 0 + 0.9*0.3 - 0.2, delta_0 = 1 + 0.9*0.2 - 0.1."""
    rewards = torch.tensor([[1.0, 0.0, 2.0], [5.0, 7.0, 0.0]])
    values = torch.tensor([[0.1, 0.2, 0.3], [0.5, 0.25, 9.0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    deltas = [1.08, 0.07, 1.7]
    first = [deltas[0] + 0.72 * (deltas[1] + 0.72 * deltas[2]), deltas[1] + 0.72 * deltas[2], deltas[2]]
    second = [5 + 0.9 * 0.25 - 0.5 + 0.72 * (7 - 0.25), 7 - 0.25, 0.0]  # what stands beyond the answer counts nothing
    close(gae(rewards, values, mask, 0.9, 0.8), [first, second])


def test_gae_with_lambda_1_is_the_return_less_the_value_and_with_0_the_surprise() -> None:
    """arXiv 1506.02438, equations 17 and 18."""
    chance = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(4, 6, generator=chance), torch.randn(4, 6, generator=chance)
    mask = torch.ones(4, 6, dtype=torch.bool)
    discounted = [sum(0.9 ** (k - t) * rewards[:, k] for k in range(t, 6)) - values[:, t] for t in range(6)]
    torch.testing.assert_close(gae(rewards, values, mask, 0.9, 1.0), torch.stack(discounted, 1), atol=1e-5, rtol=0)
    after = torch.cat([values[:, 1:], torch.zeros(4, 1)], 1)
    close(gae(rewards, values, mask, 0.9, 0.0), rewards + 0.9 * after - values)


def test_k1_and_k3_have_the_kl_as_their_mean() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
    exact = sum(a * math.log(a / b) for a, b in zip(p.tolist(), q.tolist(), strict=True))
    for kind in ("k1", "k3"):
        estimates = kl_estimate(p.log() - q.log(), kind)
        assert float((p * estimates).sum()) == pytest.approx(exact, abs=1e-6)
    assert (kl_estimate(p.log() - q.log(), "k3") >= 0).all()
    assert (kl_estimate(p.log() - q.log(), "k1") < 0).any()
    close(kl_estimate(torch.tensor([math.log(2)]), "k3"), [0.5 - 1 + math.log(2)])


def test_whitening() -> None:
    """1, 2, 6 have the mean 3 and the unbiased variance 7."""
    x = torch.tensor([[1.0, 2.0, 100.0], [6.0, -50.0, 0.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    root = math.sqrt(7)
    close(whiten(x, mask), [[-2 / root, -1 / root, 0], [3 / root, 0, 0]])
    close(whiten(x, mask, shift_mean=False), [[3 - 2 / root, 3 - 1 / root, 0], [3 + 3 / root, 0, 0]])
    alone = torch.tensor([[True, False, False], [False, False, False]])
    close(whiten(x, alone), [[1.0, 0, 0], [0, 0, 0]])


def test_the_clipped_losses() -> None:
    """min(r A, clip(r) A), negated: a ratio of 1.5 counts as 1.2 where it is good, and in full where it is bad."""
    loss, held = clipped_policy_loss(torch.tensor([1.5, 1.5, 0.5, 0.5, 1.1]), torch.tensor([2.0, -2, 2, -2, 2]), 0.2)
    close(loss, [-2.4, 3.0, -1.0, 1.6, -2.2])
    assert held.tolist() == [True, False, False, True, False]
    values, old, returns = torch.tensor([1.0, 1.0, 0.1]), torch.tensor([0.0, 0.0, 0.0]), torch.tensor([2.0, 0.5, 1.0])
    loss, held = clipped_value_loss(values, old, returns, 0.2)
    close(loss, [0.5 * 1.8**2, 0.5 * 0.5**2, 0.5 * 0.9**2])
    assert held.tolist() == [True, False, False]


def rollout(**more: Any) -> Any:
    mask = torch.tensor([[True, True, True], [True, True, False]])
    return SimpleNamespace(
        mask=mask,
        logprobs=torch.tensor([[-1.0, -2.0, -0.5], [-1.0, -3.0, 0.0]]),
        reference=torch.tensor([[-1.5, -2.0, -1.0], [-0.5, -3.25, 0.0]]),
        finished=torch.tensor([True, False]),
        scored=Scored([4.0, 0.5], {}),
        **more,
    )


def ppo(**settings: Any) -> PPO:
    step = Ppo(prompts="chats", rewards=["brevity"], **settings)
    return PPO(step, *[None] * 6, rows=4)  # type: ignore[arg-type]


def test_rewards_of_tokens() -> None:
    """-kl_coef * k1 at each token; the answer's reward at its last one, clipped, less the penalty where it ran on."""
    found = ppo(kl_coef=0.1).token_rewards(rollout())
    close(found, [[-0.05, 0, 4 - 0.05], [0.05, 0.5 - 0.025, 0]])
    found = ppo(kl_coef=0.1, reward_clip_range=(-1.0, 2.0), missing_eos_penalty=1.5).token_rewards(rollout())
    close(found, [[-0.05, 0, 2 - 0.05], [0.05, -1 - 0.025, 0]])
    k3 = [[math.exp(-x) - 1 + x for x in row] for row in ([0.5, 0, 0.5], [-0.5, 0.25])]
    found = ppo(kl_coef=0.1, kl_estimator="k3").token_rewards(rollout())
    close(found, [[-0.1 * k3[0][0], 0, 4 - 0.1 * k3[0][2]], [-0.1 * k3[1][0], 0.5 - 0.1 * k3[1][1], 0]])
    plain = [-0.05, 0, 3.95, 0.05, 0.475]
    mean = sum(plain) / 5
    spread = math.sqrt(sum((x - mean) ** 2 for x in plain) / 4)
    white = [(x - mean) / spread + mean for x in plain]
    found = ppo(kl_coef=0.1, whiten_rewards=True).token_rewards(rollout())
    close(found, [white[:3], [*white[3:], 0]])


def test_an_update_ends_early_by_its_own_limit_or_a_sixth_of_the_target() -> None:
    assert not ppo().has_moved({"update_kl": 100.0})
    assert [ppo(max_update_kl=0.5).has_moved({"update_kl": kl}) for kl in (0.4, 0.6)] == [False, True]
    assert [ppo(target_kl=3.0).has_moved({"update_kl": kl}) for kl in (0.4, 0.6)] == [False, True]
