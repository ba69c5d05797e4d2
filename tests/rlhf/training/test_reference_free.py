"""`orpo` and `cpo` on a micro model: the papers' losses on the answers' tokens, however a batch is cut up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_runs import Make, Run, model_ref, pair, push, trainer_for
from torch.nn.functional import logsigmoid

from curation.models.loading import load_policy
from rlhf.steps.cpo import Cpo
from rlhf.steps.orpo import Orpo

QUICK: dict[str, Any] = {"lora_r": 4, "learning_rate": 3e-3, "global_batch_size": 8}
SIMPO: dict[str, Any] = {"loss_type": "simpo", "beta": 2.0, "cpo_alpha": 0.0, "simpo_gamma": 0.4}


@pytest.mark.parametrize(("method", "more"), [(Orpo, {}), (Cpo, {}), (Cpo, SIMPO)], ids=["orpo", "cpo", "simpo"])
def test_it_prefers_and_comes_back(
    micro_copy: Path, rows_ref: Make, run_step: Run, method: Any, more: dict[str, Any]
) -> None:
    rows = [pair(i, split="test" if i % 4 == 0 else "train") for i in range(32)]
    step = method(data=rows_ref(rows), policy=model_ref(micro_copy), num_train_epochs=2, **QUICK, **more)
    done, folder, room = run_step(step, beside=micro_copy)
    assert any("experimental" in text for text in room.warnings)
    assert any("experimental" in text for text in step.advice())
    assert done.metrics["loss_last"] < done.metrics["loss_first"]
    after, before = done.metrics["held_out"], done.metrics["held_out_before"]
    assert after["margin"] > before["margin"]
    weights = load_file(folder / "adapter_model.safetensors")
    assert all(w.abs().max() > 0 for name, w in weights.items() if "lora_B" in name)

    policy = load_policy(folder, where=torch.device("cpu"))
    averaged = method is Orpo or "loss_type" in more
    margins = []
    for row in rows:
        if row.split == "test":
            prompt = policy.template.prompt_ids(row.prompt)
            values = []
            for answer in (row.chosen[0].content, row.rejected[0].content):
                ids = policy.tokenizer(answer + "<|im_end|>", add_special_tokens=False)["input_ids"]
                with torch.no_grad():
                    logp = policy.model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
                tokens = logp[torch.arange(len(ids)), ids]
                values.append(float(tokens.mean() if averaged else tokens.sum()))
            margins.append(values[0] - values[1])
    assert after["margin"] == pytest.approx(step.beta * sum(margins) / len(margins), abs=1e-4)


def expected(step: Any, chosen: torch.Tensor, rejected: torch.Tensor, n: torch.Tensor, m: torch.Tensor) -> float:
    """The papers' losses from sums of log-probabilities and numbers of tokens.

    ORPO: Hong et al. (2403.07691) eq. 4 to 7. CPO: Xu et al. (2401.08417) eq. 3; hinge: Zhao et al. (2305.10425); IPO:
    Azar et al. (2310.12036) eq. 17; SimPO: Meng et al. (2405.14734) eq. 6; AlphaPO: Gupta et al. (2501.03884) eq. 7.
    """
    likelihood = -(chosen / n).mean()
    if isinstance(step, Orpo):
        p, q = (chosen / n).exp(), (rejected / m).exp()
        odds = (p / (1 - p)) / (q / (1 - q))
        return float(likelihood - step.beta * logsigmoid(odds.log()).mean())
    beta, smooth = step.beta, step.label_smoothing
    if step.loss_type == "alphapo":
        r, s = ((1 - (x / k).exp() ** -step.alpha) / step.alpha for x, k in ((chosen, n), (rejected, m)))
        return float(-logsigmoid(beta * (r - s) - step.simpo_gamma).mean())
    if step.loss_type == "simpo":
        x = beta * (chosen / n - rejected / m) - step.simpo_gamma
    elif step.loss_type == "ipo":
        x = chosen / n - rejected / m
    else:
        x = beta * (chosen - rejected)
    loss = {
        "sigmoid": -(1 - smooth) * logsigmoid(x) - smooth * logsigmoid(-x),
        "simpo": -(1 - smooth) * logsigmoid(x) - smooth * logsigmoid(-x),
        "hinge": (1 - x).clamp(min=0),
        "ipo": (x - 1 / (2 * beta)) ** 2,
    }[step.loss_type]
    return float(loss.mean() + step.cpo_alpha * likelihood)


@pytest.mark.parametrize(
    ("method", "more"),
    [
        (Orpo, {"beta": 0.25}),
        (Cpo, {"label_smoothing": 0.1}),
        (Cpo, {"loss_type": "hinge", "beta": 0.2, "cpo_alpha": 0.5}),
        (Cpo, {"loss_type": "ipo", "cpo_alpha": 0.0}),
        (Cpo, SIMPO),
        (Cpo, {"loss_type": "alphapo", "beta": 2.5, "alpha": 0.25}),
    ],
    ids=["orpo", "sigmoid", "hinge", "ipo", "simpo", "alphapo"],
)
def test_the_loss_is_the_papers(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Any, more: dict[str, Any]
) -> None:
    rows = [pair(i) for i in range(5)]
    step = method(data=rows_ref(rows), policy=model_ref(micro_copy), lora_r=4, global_batch_size=5, **more)
    trainer, encoded = trainer_for(step, tmp_path / "room", monkeypatch)
    push(trainer, 0.1)
    rows_of = [{n: c[i] for n, c in encoded.columns.items()} for i in range(5)]
    loss = trainer.compute_loss(trainer.model, trainer.data_collator(rows_of))
    sums: list[list[float]] = []
    for row in rows_of:
        prompt = row["prompt_ids"]
        with torch.no_grad():
            sums.append([
                trainer.model(torch.tensor([prompt + row[name]])).logits[0, len(prompt) - 1 : -1].double()
                .log_softmax(-1)[torch.arange(len(row[name])), row[name]].sum().item()
                for name in ("chosen_ids", "rejected_ids")
            ])  # fmt: skip
    chosen, rejected = torch.tensor(sums, dtype=torch.float64).T
    n, m = torch.tensor([[len(r["chosen_ids"]), len(r["rejected_ids"])] for r in rows_of], dtype=torch.float64).T
    assert loss.item() == pytest.approx(expected(step, chosen, rejected, n, m), abs=1e-6, rel=1e-6)


@pytest.mark.parametrize(("method", "more"), [(Orpo, {}), (Cpo, {})], ids=["orpo", "cpo"])
def test_how_a_batch_is_cut_up_changes_nothing(
    micro_copy: Path, rows_ref: Make, run_step: Run, method: Any, more: dict[str, Any]
) -> None:
    step = method(data=rows_ref([pair(i) for i in range(16)]), policy=model_ref(micro_copy), **QUICK, **more)
    whole, _, _ = run_step(step, beside=micro_copy, per_device_train_batch_size=8)
    parts, _, _ = run_step(step, beside=micro_copy, per_device_train_batch_size=2)
    for (_, a), (_, b) in zip(whole.curves["loss"], parts.curves["loss"], strict=True):
        assert a == pytest.approx(b, abs=1e-5)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"loss_type": "hinge", "label_smoothing": 0.1}, "no place for"),
        ({"loss_type": "alphapo"}, "needs an `alpha`"),
        ({"loss_type": "kto_pair"}, "loss_type"),
    ],
)
def test_what_does_not_go_together_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Cpo.model_validate({"data": "d", **wrong})
