"""Bases whose layers have other names than a Llama's: Pythia (GPT-NeoX) and GPT-2, by the default target modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_runs import Make, Run, chat, model_ref, own_loss, pair
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM

from curation.artifact import Policy
from curation.models.lineage import Lineage
from curation.models.saving import save_model
from rlhf.recipe.identity import artifact_digest
from rlhf.steps.dpo import Dpo
from rlhf.steps.ppo import Ppo
from rlhf.steps.reward import Reward
from rlhf.steps.rloo import Rloo
from rlhf.steps.sft import Sft

QUICK: dict[str, Any] = {"lora_r": 4, "learning_rate": 5e-3, "global_batch_size": 8, "max_steps": 6}
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 256}
FAMILIES: dict[str, tuple[Any, Any, set[str]]] = {
    "pythia": (
        GPTNeoXForCausalLM,
        GPTNeoXConfig(intermediate_size=64, **SIZES),
        {"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"},
    ),
    "gpt2": (
        GPT2LMHeadModel,
        GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=256, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0),
        {"c_attn", "c_proj", "c_fc"},
    ),
}


@pytest.fixture(params=FAMILIES)
def base(request: pytest.FixtureRequest, micro: Path, tmp_path: Path) -> tuple[Path, set[str]]:
    """(a new model of the family, the names of its linear layers)."""
    cls, config, names = FAMILIES[request.param]
    tokenizer = AutoTokenizer.from_pretrained(micro)
    config.vocab_size = len(tokenizer)
    config.eos_token_id = config.bos_token_id = tokenizer.eos_token_id
    config.pad_token_id = tokenizer.pad_token_id
    torch.manual_seed(0)
    made = tmp_path / "artifacts" / "made"
    save_model(made, cls(config), tokenizer, Lineage(tune="full"))
    return made.rename(made.parent / artifact_digest(Policy, made)), names


def adapted(folder: Path) -> set[str]:
    """Names of the layers that have an adapter which moved."""
    weights = load_file(folder / "adapter_model.safetensors")
    return {name.split(".")[-3] for name, w in weights.items() if "lora_B" in name and w.abs().max() > 0}


def test_every_linear_layer_learns_and_is_read_again(
    base: tuple[Path, set[str]], rows_ref: Make, run_step: Run
) -> None:
    """The held-out loss is transformers' own, of the artifact as it is loaded."""
    folder, names = base
    rows = [chat(i, split="test" if i % 5 == 0 else "train") for i in range(20)]
    done, made, _ = run_step(Sft(data=rows_ref(rows), policy=model_ref(folder), **QUICK), beside=folder)
    assert adapted(made) == names
    assert done.metrics["held_out_loss"] < done.metrics["held_out_loss_before"]
    held_out = [r for r in rows if r.split == "test"]
    assert done.metrics["held_out_loss"] == pytest.approx(own_loss(made, held_out), abs=1e-5)


def test_pairs_too(base: tuple[Path, set[str]], rows_ref: Make, run_step: Run) -> None:
    folder, names = base
    rows = [pair(i, split="test" if i % 5 == 0 else "train") for i in range(20)]
    done, made, _ = run_step(Dpo(data=rows_ref(rows), policy=model_ref(folder), **QUICK), beside=folder)
    assert adapted(made) == names
    assert done.curves["loss"][0][1] == pytest.approx(0.6931, abs=1e-4)  # log 2: policy and reference are one
    assert done.metrics["held_out"]["margin"] > 0


def test_a_reward_model_too(base: tuple[Path, set[str]], rows_ref: Make, run_step: Run) -> None:
    folder, names = base
    rows = [pair(i, split="test" if i % 5 == 0 else "train") for i in range(20)]
    _, made, _ = run_step(Reward(data=rows_ref(rows), policy=model_ref(folder), **QUICK), beside=folder)
    assert adapted(made) == names


@pytest.mark.parametrize("method", [Ppo, Rloo])
def test_those_that_answer_too(base: tuple[Path, set[str]], rows_ref: Make, run_step: Run, method: Any) -> None:
    folder, names = base
    settings = {**QUICK, "global_batch_size": 16, "max_steps": 2, "max_completion_length": 8, "rewards": ["brevity"]}
    step = method(prompts=rows_ref([chat(i) for i in range(8)]), policy=model_ref(folder), **settings)
    _, made, _ = run_step(step, beside=folder)
    assert adapted(made) == names
