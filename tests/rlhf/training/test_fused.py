"""LoRA layers as one operation: outputs, gradients and memory beside peft's own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import GemmaConfig, GemmaForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from rlhf.training.fused import fuse

SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
}
KINDS = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SIZES)),
    "llama with biases": (LlamaForCausalLM, LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES)),
    "gemma": (GemmaForCausalLM, GemmaConfig(**SIZES)),  # its norm adds 1 to the weight, its MLP has a gelu
}
IDS = torch.arange(14).view(2, 7)


def tuned(kind: str, **lora: Any) -> Any:
    """A model with an adapter that has been moved from zero."""
    torch.manual_seed(0)
    cls, config = KINDS[kind]
    model = get_peft_model(cls(config).eval(), LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", **lora))
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim == 1 or weights.requires_grad:
                weights.add_(torch.randn(weights.shape) * 0.1)
    return model.eval()


def run(model: Any) -> tuple[Tensor, dict[str, Tensor], int]:
    """(logits, gradients, bytes kept for the backward pass, each storage once)."""
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        logits: Tensor = model(IDS).logits
    (logits * torch.linspace(-1, 1, logits.numel()).view(logits.shape)).sum().backward()
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    return logits.detach(), grads, sum(size for place, size in kept.items() if place not in weights)


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_gradients_are_pefts(kind: str) -> None:
    theirs, ours = tuned(kind), tuned(kind)
    fuse(ours)
    named = {name: type(module).__name__ for name, module in ours.named_modules() if "forward" in module.__dict__}
    assert len([n for n in named if n.endswith("_proj")]) == 14
    assert len([n for n in named if n.endswith("mlp")]) == (0 if kind == "gemma" else 2)
    assert len([n for n in named if "norm" in n]) == (0 if kind == "gemma" else 5)
    logits, grads, bytes_ = run(theirs)
    our_logits, our_grads, our_bytes = run(ours)
    torch.testing.assert_close(our_logits, logits, atol=1e-5, rtol=1e-5)
    assert set(our_grads) == set(grads)
    assert len(grads) == 28
    for name, grad in grads.items():
        assert grad.abs().max() > 1e-4, name
        torch.testing.assert_close(our_grads[name], grad, atol=1e-5, rtol=1e-4, msg=lambda m, name=name: f"{name}: {m}")
    if kind == "llama":
        assert bytes_ - our_bytes == 2 * IDS.numel() * 2 * 48 * 4  # two tensors of the MLP's width in each layer


def test_switched_off_or_at_zero_it_is_the_frozen_layer_to_the_last_bit() -> None:
    torch.manual_seed(0)
    plain = LlamaForCausalLM(LlamaConfig(**SIZES)).eval()
    model: Any = get_peft_model(copy.deepcopy(plain), LoraConfig(r=4, target_modules="all-linear"))
    model.eval()
    fuse(model)
    expected = plain(IDS).logits
    assert torch.equal(model(IDS).logits, expected)  # B is 0
    with torch.no_grad():
        assert torch.equal(model(IDS).logits, expected)
        for weights in model.parameters():
            if weights.requires_grad:
                weights.add_(0.1)
        moved = model(IDS).logits
        assert (moved - expected).abs().max() > 1e-2
        with model.disable_adapter():
            assert torch.equal(model(IDS).logits, expected)
    assert torch.equal(model(IDS).logits, moved)  # the same with and without a backward pass to come


@pytest.mark.parametrize("lora", [{"use_dora": True}, {"lora_dropout": 0.5}, {"lora_bias": True}])
def test_other_layers_stay_as_they_are(lora: dict[str, Any]) -> None:
    model = tuned("llama", **lora)
    before = model(IDS).logits
    fuse(model)
    assert not any("forward" in m.__dict__ for n, m in model.named_modules() if "_proj" in n or n.endswith("mlp"))
    assert torch.allclose(model(IDS).logits, before, atol=1e-6)


def test_other_numbers_go_pefts_way() -> None:
    """Under autocast, in other numbers, and with two adapters at once."""
    theirs, ours = tuned("llama"), tuned("llama")
    fuse(ours)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(ours(IDS).logits, theirs(IDS).logits, atol=0.05, rtol=0.05)
    for model in (theirs, ours):
        model.add_adapter("other", LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
        for name, weights in model.named_parameters():
            if ".other." in name:
                nn.init.constant_(weights, 0.03)
        model.base_model.set_adapter(["default", "other"])
    both = theirs(IDS).logits
    torch.testing.assert_close(ours(IDS).logits, both, atol=1e-6, rtol=0)
    torch.testing.assert_close(ours.double()(IDS).logits, both.double(), atol=1e-4, rtol=0)
