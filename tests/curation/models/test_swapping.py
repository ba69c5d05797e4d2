"""Several policies on one base in memory say what each says alone, and the base is read once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AdaptionPromptConfig, LoraConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM

from curation.errors import UserError
from curation.models import Lineage, Loaded, Swapping, can_swap, load_policy, loading
from curation.models.saving import copy_tokenizer

IDS = torch.tensor([[3, 50, 61, 72, 83, 94, 105, 116]])


def adapter(base: Path, name: str, *stack: Path, config: Any = None, **shape: Any) -> Path:
    """An adapter with random numbers, as a training step would have left it in the store."""
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM", **shape}
    model: Any = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config or LoraConfig(**settings))
    drawn = torch.Generator().manual_seed(sum(name.encode()))
    for weights in model.parameters():
        if weights.requires_grad:
            weights.data = weights.data + torch.randn(weights.shape, generator=drawn) * 0.05
    out = base.parent / name
    model.save_pretrained(out)
    Lineage(base.name, tuple(path.name for path in stack), "lora").write(out)
    copy_tokenizer(base, out)
    return out


def logits(loaded: Loaded) -> Tensor:
    with torch.no_grad():
        return loaded.model(IDS).logits


def test_each_says_what_it_says_alone(micro_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = adapter(micro_copy, "one")
    two = adapter(micro_copy, "two", one, r=2, target_modules=["q_proj", "down_proj"])
    beside = adapter(micro_copy, "beside", r=9, use_rslora=True)
    made = {"sft": one, "dpo": two, "other": beside}
    alone = {name: logits(load_policy(folder, merge=True)) for name, folder in made.items()}
    alone["base"] = logits(load_policy(micro_copy))
    read: list[Path] = []
    whole = loading.whole_model
    monkeypatch.setattr(
        loading, "whole_model", lambda auto, folder, *rest: read.append(folder) or whole(auto, folder, *rest)
    )
    swapping = Swapping(made, "dpo")
    found: dict[str, Tensor] = {"dpo": logits(swapping.loaded)}
    for name in ("sft", "base", "other", "dpo", "base", "sft"):
        now = logits(swapping.use(name))
        assert torch.equal(found.setdefault(name, now), now), "the second time is the first time"
    assert read == [micro_copy]
    for name, wanted in alone.items():
        assert (found[name] - wanted).abs().max() < 1e-5
        assert name == "base" or (wanted - alone["base"]).abs().max() > 1e-3
    assert list(swapping.folders) == ["base", "sft", "dpo", "other"]
    assert swapping.stack("dpo") == ["base", "sft", "dpo"]


def test_a_dora_adapter_alone_on_the_base(micro_copy: Path) -> None:
    """It scales the weights of the base, which therefore stay as they are."""
    dora, plain = adapter(micro_copy, "dora", use_dora=True), adapter(micro_copy, "plain")
    swapping = Swapping({"dora": dora, "plain": plain}, "plain")
    assert (logits(swapping.use("dora")) - logits(load_policy(dora, merge=True))).abs().max() < 1e-5


def test_what_cannot_lie_beside_others_is_refused_with_its_reason(micro_copy: Path, tmp_path: Path) -> None:
    one = adapter(micro_copy, "one")
    prompts = AdaptionPromptConfig(adapter_len=2, adapter_layers=2, task_type="CAUSAL_LM")
    made = {
        "one": one,
        "scaled": adapter(micro_copy, "scaled", one, use_dora=True),
        "prompts": adapter(micro_copy, "prompts", config=prompts),
    }
    assert [name for name, folder in made.items() if can_swap(folder)] == ["one"]
    swapping = Swapping(made, "one")
    for name, why in (("scaled", "DoRA"), ("prompts", "ADAPTION_PROMPT"), ("oen", "no policy 'oen'")):
        with pytest.raises(UserError, match=why):
            swapping.use(name)
    assert swapping.active == "one"


def test_a_policy_on_another_base_stays_away(micro_copy: Path) -> None:
    other = micro_copy.parent / "another"
    AutoModelForCausalLM.from_pretrained(micro_copy).save_pretrained(other)
    Lineage().write(other)
    copy_tokenizer(micro_copy, other)
    swapping = Swapping({"one": adapter(micro_copy, "one"), "large": other}, "one")
    with pytest.raises(UserError, match="stands on another base"):
        swapping.use("large")


def test_a_damaged_adapter_is_named(micro_copy: Path) -> None:
    broken = adapter(micro_copy, "broken")
    (broken / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "task_type": "SEQ_CLS"}))
    with pytest.raises(UserError, match="reward model"):
        Swapping({"one": adapter(micro_copy, "one"), "broken": broken}, "one")
