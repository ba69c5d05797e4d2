"""Models from artifacts: stacks of adapters, against peft's own arithmetic; and what a broken folder gets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from curation.errors import UserError
from curation.models import has_bfloat16, load_policy, load_reward

IDS = torch.arange(3, 40)[None]


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(IDS).logits


def deltas(folder: Path) -> dict[str, torch.Tensor]:
    """Module name -> B A alpha / r (or alpha / sqrt r), by hand from the file."""
    config = json.loads((folder / "adapter_config.json").read_text())
    scale = config["lora_alpha"] / (config["r"] ** 0.5 if config["use_rslora"] else config["r"])
    weights = load_file(folder / "adapter_model.safetensors")
    names = [k.removesuffix(".lora_A.weight") for k in weights if k.endswith(".lora_A.weight")]
    return {
        n.removeprefix("base_model.model."): scale * weights[f"{n}.lora_B.weight"] @ weights[f"{n}.lora_A.weight"]
        for n in names
    }


def test_a_stack_is_the_base_plus_every_delta(micro_copy: Path, add_adapter: Any) -> None:
    """Ranks, targets and scaling differ between the two adapters."""
    low = add_adapter(micro_copy, "low", seed=1)
    top = add_adapter(low, "top", seed=2, r=2, target_modules=["q_proj", "down_proj"], use_rslora=True)
    wanted = AutoModelForCausalLM.from_pretrained(micro_copy, dtype=torch.float32)
    for folder in (low, top):
        for name, delta in deltas(folder).items():
            wanted.get_submodule(name).weight.data += delta
    attached, merged = load_policy(top), load_policy(top, merge=True)
    assert isinstance(attached.model, PeftModel) and not isinstance(merged.model, PeftModel)
    for loaded in (attached, merged):
        torch.testing.assert_close(logits(loaded.model), logits(wanted), atol=2e-5, rtol=0)
    with attached.model.disable_adapter():
        torch.testing.assert_close(
            logits(attached.model), logits(load_policy(low, merge=True).model), atol=1e-6, rtol=0
        )
    assert (logits(merged.model) - logits(load_policy(micro_copy).model)).abs().max() > 0.1


def test_dora_merges_to_what_it_is_attached(micro_copy: Path, add_adapter: Any) -> None:
    folder = add_adapter(micro_copy, "dora", use_dora=True)
    attached, merged = load_policy(folder), load_policy(folder, merge=True)
    torch.testing.assert_close(logits(merged.model), logits(attached.model), atol=2e-5, rtol=0)


def test_adapters_are_added_before_the_weights_are_rounded(micro_copy: Path, add_adapter: Any) -> None:
    """Two merges rounded one by one would lose more than one rounding of the sum."""
    low = add_adapter(micro_copy, "low", seed=1)
    top = add_adapter(low, "top", seed=2)
    whole = load_policy(top, merge=True).model.state_dict()
    for name, weight in load_policy(top, merge=True, dtype="bfloat16").model.state_dict().items():
        assert torch.equal(weight.bfloat16(), whole[name].bfloat16()), name


def test_a_dtype_without_arithmetic_is_computed_in_float32(micro_copy: Path) -> None:
    model = load_policy(micro_copy, dtype="bfloat16").model
    assert model.dtype == (torch.bfloat16 if has_bfloat16(torch.device("cpu")) else torch.float32)
    kept = load_policy(micro_copy, dtype="auto")
    assert kept.dtype == "float32"


def test_it_is_ready_to_answer(micro: Path) -> None:
    loaded = load_policy(micro)
    assert not loaded.model.training
    assert not any(p.requires_grad for p in loaded.model.parameters())
    assert loaded.tokenizer.padding_side == "left"
    assert loaded.name == micro.name[:12]
    assert loaded.context == 1024


def test_a_parent_that_is_gone_is_named(micro_copy: Path, add_adapter: Any) -> None:
    folder = add_adapter(micro_copy, "low")
    shutil.rmtree(micro_copy)
    with pytest.raises(UserError, match=f"stands on {micro_copy.name[:12]}") as error:
        load_policy(folder)
    assert "export it merged" in error.value.hint


def test_a_reward_model_is_no_policy_and_a_policy_no_reward_model(micro_copy: Path, add_adapter: Any) -> None:
    with pytest.raises(UserError, match="is a reward model; a policy is needed"):
        load_policy(add_adapter(micro_copy, "reward", reward=True))
    with pytest.raises(UserError, match=r"lacks 1 of its weights, the first is score\.weight"):
        load_reward(micro_copy)


def test_damaged_weights_are_an_error_of_the_users(micro_copy: Path) -> None:
    weights = micro_copy / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cannot be loaded"):
        load_policy(micro_copy)


def test_missing_weights_are_not_drawn_at_random(micro_copy: Path) -> None:
    weights = micro_copy / "model.safetensors"
    tensors = load_file(weights)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 1 of its weights, the first is model\.layers\.1\.mlp\.up_proj"):
        load_policy(micro_copy)


def test_a_model_without_its_weights_says_so(micro_copy: Path) -> None:
    (micro_copy / "model.safetensors").unlink()
    with pytest.raises(UserError, match="holds no weights") as caught:
        load_policy(micro_copy)
    assert "weights: false" in caught.value.hint


@pytest.mark.parametrize("what", ["other sizes", "another layer", "weights are missing"])
@pytest.mark.parametrize("merge", [True, False])
def test_an_adapter_of_another_base_is_refused(micro_copy: Path, add_adapter: Any, what: str, merge: bool) -> None:
    """PEFT stops at other shapes with a page of them, and draws what is missing at random with a warning."""
    folder = add_adapter(micro_copy, "strange")
    file = folder / "adapter_model.safetensors"
    weights = load_file(file)
    if what == "other sizes":
        weights = {name: w[:, :-1].contiguous() for name, w in weights.items()}
    elif what == "another layer":
        weights = {name.replace("layers.1.", "layers.7."): w for name, w in weights.items()}
    else:
        weights = {name: w for name, w in weights.items() if "q_proj" not in name}
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"the adapter .* does not fit the llama model") as refused:
        load_policy(folder, merge=merge)
    assert "trained on" in refused.value.hint
    assert len(str(refused.value)) < 1000
