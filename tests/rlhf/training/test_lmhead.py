"""The compact output layer: the losses and gradients of TRL and of plain torch, where labels are and only there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM
from trl.trainer.utils import add_fused_lm_head

from rlhf.training.lmhead import FrozenHeadLogProbs, use_compact_head


def model_with(folder: Path, head: str, *, lora: bool = True) -> Any:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    base = model
    if lora:
        torch.manual_seed(0)
        model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
        with torch.no_grad():  # LoRA's second half is zero at first, and then half of the gradients are
            for name, p in model.named_parameters():
                if "lora_B" in name:
                    p.normal_(0, 0.02)
    if head != "plain":
        add_fused_lm_head(base, outputs=("log_probs", "entropy", "is_top1"))
    if head == "compact":
        assert use_compact_head(base)
    return model


def batch() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    ids = torch.randint(3, 256, (3, 20))
    mask = torch.ones_like(ids)
    mask[1, 15:] = 0
    labels = ids.masked_fill(torch.rand(ids.shape) < 0.5, -100).masked_fill(mask == 0, -100)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def loss_of(model: Any, head: str) -> torch.Tensor:
    if head == "plain":
        return model(**batch()).loss
    return model(**batch(), fused_lm_head=True).loss


@pytest.mark.parametrize("lora", [True, False], ids=["frozen head", "trained head"])
def test_loss_and_gradients_are_those_of_trl_and_of_transformers(micro: Path, lora: bool) -> None:
    found = {}
    for head in ("plain", "trl", "compact"):
        model = model_with(micro, head, lora=lora)
        loss = loss_of(model, head)
        loss.backward()
        grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        found[head] = (loss.item(), grads)
    for other in ("plain", "trl"):
        assert found["compact"][0] == pytest.approx(found[other][0], abs=1e-5)
        assert found["compact"][1].keys() == found[other][1].keys()
        for name, grad in found[other][1].items():
            torch.testing.assert_close(found["compact"][1][name], grad, atol=1e-5, rtol=1e-3)


def test_log_probs_lie_where_trl_puts_them(micro: Path) -> None:
    with torch.no_grad():
        ours = model_with(micro, "compact")(**batch(), fused_lm_head=True)
        theirs = model_with(micro, "trl")(**batch(), fused_lm_head=True)
    torch.testing.assert_close(ours.log_probs, theirs.log_probs, atol=1e-5, rtol=0)
    assert torch.equal(ours.label_mask, theirs.label_mask)


def test_the_gradient_is_the_derivative() -> None:
    """Against finite differences, in float64, over more rows than one chunk holds."""
    torch.manual_seed(0)
    hidden = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    weight, bias = torch.randn(11, 7, dtype=torch.float64), torch.randn(11, dtype=torch.float64)
    targets = torch.randint(0, 11, (5,))

    def plain(h: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(h, weight, bias).log_softmax(-1).gather(-1, targets[:, None])[:, 0]

    upstream = torch.randn(5)
    FrozenHeadLogProbs.apply(hidden, weight, bias, targets).backward(upstream)
    got, hidden.grad = hidden.grad, None
    plain(hidden).backward(upstream.double())
    torch.testing.assert_close(got, hidden.grad, atol=1e-5, rtol=1e-5)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(10, 4), torch.randn(9, 4)
    targets = torch.randint(0, 9, (10,))
    whole = FrozenHeadLogProbs.apply(hidden, weight, None, targets)
    monkeypatch.setattr("rlhf.training.lmhead.CHUNK", 3)
    torch.testing.assert_close(FrozenHeadLogProbs.apply(hidden, weight, None, targets), whole, atol=1e-6, rtol=0)


def test_a_batch_without_labels_gives_a_zero_that_can_be_learned_from(micro: Path) -> None:
    model = model_with(micro, "compact")
    empty = batch()
    empty["labels"] = torch.full_like(empty["labels"], -100)
    loss = model(**empty, fused_lm_head=True).loss
    loss.backward()
    assert loss.item() == 0.0


def test_other_calls_of_the_model_are_as_before(micro: Path) -> None:
    with torch.no_grad():
        ours, plain = model_with(micro, "compact"), model_with(micro, "plain")
        assert torch.equal(ours(**batch()).logits, plain(**batch()).logits)
        ids = batch()["input_ids"][:1]
        assert torch.equal(
            ours.generate(ids, max_new_tokens=4, do_sample=False),
            plain.generate(ids, max_new_tokens=4, do_sample=False),
        )


def test_models_that_change_their_logits_keep_trl_s_layer(micro: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(micro)
    model.config.final_logit_softcapping = 30.0
    assert not use_compact_head(model)
