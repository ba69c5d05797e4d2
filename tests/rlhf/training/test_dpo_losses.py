"""Every loss that `dpo` accepts is its paper's, worked out by hand on a micro model that has moved."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from small_runs import Make, model_ref, pair, push, trainer_for
from torch import Tensor
from torch.nn.functional import logsigmoid

from rlhf.steps.dpo import Dpo, Loss

BETA, NOISE, TAU = 0.3, 0.2, 0.1
PAIRS = 5


class Moved:
    """A trainer whose policy has moved, a batch, and the log-probabilities of both."""

    def __init__(self, trainer: Any, rows: Any) -> None:
        self.trainer = trainer
        self.rows = [{name: column[i] for name, column in rows.columns.items()} for i in range(PAIRS)]
        policy, reference = trainer.policy(rows), trainer.reference(rows)
        self.policy, self.reference = (torch.tensor(p, dtype=torch.float64) for p in (policy, reference))
        self.lengths = torch.tensor([[len(r[f"{side}_ids"]) for r in self.rows] for side in ("chosen", "rejected")])

    def loss(self, loss_type: str) -> float:
        self.trainer.loss_types, self.trainer.loss_weights = [loss_type], [1.0]
        return float(self.trainer.compute_loss(self.trainer.model, self.trainer.data_collator(self.rows)).item())


def moved(step: Dpo, place: Path, monkeypatch: pytest.MonkeyPatch) -> Moved:
    trainer, rows = trainer_for(step, place, monkeypatch)
    push(trainer, 0.1, seed=1)
    return Moved(trainer, rows)


def settings(micro: Path, rows_ref: Make, **more: Any) -> Dpo:
    rows = [pair(i) for i in range(PAIRS)]
    return Dpo(data=rows_ref(rows), policy=model_ref(micro), beta=BETA, lora_r=4, global_batch_size=PAIRS, **more)


def by_hand(m: Moved) -> dict[str, Tensor]:
    """(pairs) losses; c and r are the log-ratios of the chosen and the rejected answers to the reference."""
    c, r = m.policy - m.reference
    n_c, n_r = m.lengths
    x, per_token = BETA * (c - r), c / n_c - r / n_r
    q = 1 / (1 + torch.exp(-x))
    sorted_ = [torch.sort(margins).values for margins in (m.policy[0] - m.policy[1], m.reference[0] - m.reference[1])]
    paired, unpaired = BETA * (sorted_[0] - sorted_[1]), BETA * (torch.sort(c).values - torch.sort(r).values)
    share = 1 / (1 + torch.exp(-x / TAU))
    return {
        # Rafailov et al. (2305.18290) eq. 7, and with mean log-ratios
        "sigmoid": torch.log(1 + torch.exp(-x)),
        "sigmoid_norm": torch.log(1 + torch.exp(-BETA * per_token)),
        # Zhao et al. (2305.10425)
        "hinge": torch.clamp(1 - x, min=0),
        # Azar et al. (2310.12036) eq. 17, by token
        "ipo": (per_token - 1 / (2 * BETA)) ** 2,
        # Ji et al. (2402.00856) eq. 16: KL from (q, 1 - q) to (1 - noise, noise)
        "exo_pair": q * torch.log(q / (1 - NOISE)) + (1 - q) * torch.log((1 - q) / NOISE),
        # Chen et al. (2402.05369), with two answers of which one is good
        "nca_pair": -logsigmoid(BETA * c) - 0.5 * logsigmoid(-BETA * c) - 0.5 * logsigmoid(-BETA * r),
        # Chowdhury et al. (2403.00409) eq. 12
        "robust": (-(1 - NOISE) * logsigmoid(x) + NOISE * logsigmoid(-x)) / (1 - 2 * NOISE),
        # Jung et al. (2404.04656) eq. 5, without the shift of rewards
        "bco_pair": -logsigmoid(BETA * c) - logsigmoid(-BETA * r),
        # Wu et al. (2405.00675) eq. 4.7, the chosen answer winning always
        "sppo_hard": (c - 1 / (2 * BETA)) ** 2 + (r + 1 / (2 * BETA)) ** 2,
        # Melnyk et al. (2406.05882) eq. 10 and 11: quantile against quantile, with noise
        "aot": -(1 - NOISE) * logsigmoid(paired) - NOISE * logsigmoid(-paired),
        "aot_unpaired": -(1 - NOISE) * logsigmoid(unpaired) - NOISE * logsigmoid(-unpaired),
        # D'Oosterlinck et al. (2408.06266) eq. 7 and 8, shifted by a constant to be positive
        "apo_zero": 1 - torch.sigmoid(BETA * c) + torch.sigmoid(BETA * r),
        "apo_down": torch.sigmoid(BETA * c) + 1 - torch.sigmoid(x),
        # Lu et al. (2406.08414) eq. 5: from logistic to exponential
        "discopop": (1 - share) * torch.log(1 + torch.exp(-x)) + share * torch.exp(-x),
        # the likelihood of the chosen answers, a token counting as much as any other
        "sft": -m.policy[0].sum().expand(PAIRS) / n_c.sum(),
    }


def test_the_losses_are_the_papers(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = settings(micro_copy, rows_ref, label_smoothing=NOISE, discopop_tau=TAU)
    m = moved(step, tmp_path / "room", monkeypatch)
    c, r = m.policy - m.reference
    assert (c - r).abs().max() > 0.1  # far enough for the losses to differ
    expected = by_hand(m)
    assert expected.keys() == set(get_args(Loss))
    for loss_type, each in expected.items():
        assert m.loss(loss_type) == pytest.approx(each.mean().item(), abs=1e-6, rel=1e-6), loss_type

    # Several are added up by their weights.
    m.trainer.loss_types, m.trainer.loss_weights = ["sigmoid", "sft"], [1.0, 0.5]
    both = m.trainer.compute_loss(m.trainer.model, m.trainer.data_collator(m.rows)).item()
    assert both == pytest.approx((expected["sigmoid"] + expected["sft"] / 2).mean().item(), abs=1e-6)

    # Other divergences (Wang et al., 2309.16240): an answer's reward is f'(t), t its ratio to the reference.
    f_prime = {
        "forward_kl": lambda t: 1 - 1 / t,
        "js_divergence": lambda t: torch.log(2 * t / (1 + t)),
        "alpha_divergence": lambda t: (t**-0.5 - 1) / -0.5,
    }
    m.trainer.f_alpha_divergence_coef = 0.5
    for name, f in f_prime.items():
        m.trainer.f_divergence_type = name
        found = -logsigmoid(BETA * (f(c.exp()) - f(r.exp()))).mean().item()
        assert m.loss("sigmoid") == pytest.approx(found, abs=1e-6, rel=1e-6), name


def test_long_answers_weigh_less_and_unlikely_pairs_too(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LD-DPO (Liu et al., 2409.06411) eq. 9; WPO (Zhou et al., 2406.11827) eq. 2, weights aligned."""
    step = settings(micro_copy, rows_ref, ld_alpha=0.4, use_weighting=True)
    trainer, rows = trainer_for(step, tmp_path / "room", monkeypatch)
    push(trainer, 0.1, seed=1)
    batch = trainer.data_collator([{name: column[i] for name, column in rows.columns.items()} for i in range(PAIRS)])
    loss = trainer.compute_loss(trainer.model, batch).item()

    ratios, weights = [], []
    for prompt, chosen, rejected in zip(*rows.columns.values(), strict=True):
        shared = min(len(chosen), len(rejected))
        for answer in (chosen, rejected):
            ids, at = torch.tensor([prompt + answer]), torch.arange(len(answer))
            sums = []
            for adapter in (True, False):
                with torch.no_grad(), trainer.model.disable_adapter() if not adapter else torch.no_grad():
                    logp = trainer.model(ids).logits[0, len(prompt) - 1 : -1].double().log_softmax(-1)
                token = logp[at, answer]
                sums.append(float(token[:shared].sum() + 0.4 * token[shared:].sum()))
                if adapter:
                    weights.append(math.exp(float((token - (2 * logp).logsumexp(-1)).mean())))
            ratios.append(sums[0] - sums[1])
    x = BETA * (torch.tensor(ratios[::2]) - torch.tensor(ratios[1::2]))
    weight = torch.tensor(weights[::2]) * torch.tensor(weights[1::2])
    assert loss == pytest.approx((-logsigmoid(x) * weight).mean().item(), abs=1e-6, rel=1e-5)
