"""Adapters: exactly as many weights as the systems that are re-created had."""

from __future__ import annotations

import pytest
import torch
from peft import get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from rlhf.steps.sft import Sft
from rlhf.training.adapters import lora_config, trainable_parameters


@pytest.mark.parametrize(
    ("r", "layers", "weights"),
    [
        (8, ["q_proj", "v_proj"], 4_194_304),  # alpaca-lora's first adapter
        (16, ["q_proj", "k_proj", "v_proj", "o_proj"], 16_777_216),  # its official one
    ],
)
def test_alpaca_lora_s_adapters_on_7b(r: int, layers: list[str], weights: int) -> None:
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig())  # the defaults are those of the 7B model
    assert model.num_parameters() == 6_738_415_616
    step = Sft(data="d", lora_r=r, lora_target_modules=layers)
    adapted = get_peft_model(model, lora_config(model, step), low_cpu_mem_usage=True)
    assert trainable_parameters(adapted) == weights
    assert trainable_parameters(adapted) == 32 * len(layers) * r * (4096 + 4096)


def test_all_linear_leaves_the_output_layer_alone() -> None:
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(num_hidden_layers=1))
    adapted = get_peft_model(model, lora_config(model, Sft(data="d", lora_r=1)), low_cpu_mem_usage=True)
    names = {name.split(".lora_")[0].rpartition(".")[2] for name, p in adapted.named_parameters() if p.requires_grad}
    assert names == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
