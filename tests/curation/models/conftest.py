"""Adapters on the micro model, made by peft itself and laid out as the store does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

MakeAdapter = Callable[..., Path]


@pytest.fixture
def add_adapter(micro_copy: Path) -> MakeAdapter:
    """`add_adapter(parent, name, **lora)` writes a LoRA with random weights beside the micro model's copy."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    from curation.models.lineage import Lineage
    from curation.models.saving import copy_tokenizer

    def make(parent: Path, name: str, *, seed: int = 0, reward: bool = False, **lora: object) -> Path:
        auto = AutoModelForSequenceClassification if reward else AutoModelForCausalLM
        model = auto.from_pretrained(micro_copy, dtype=torch.float32, **({"num_labels": 1} if reward else {}))
        settings = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", **lora}
        task = {"task_type": "SEQ_CLS", "modules_to_save": ["score"]} if reward else {"task_type": "CAUSAL_LM"}
        wrapped = get_peft_model(model, LoraConfig(**settings, **task))
        generator = torch.Generator().manual_seed(seed)
        for key, weight in wrapped.named_parameters():
            if "lora_" in key or "modules_to_save" in key:
                weight.data.normal_(0.0, 0.08, generator=generator)
        folder = micro_copy.parent / name
        wrapped.save_pretrained(folder)
        copy_tokenizer(micro_copy, folder)
        Lineage.read(parent).above(parent.name).write(folder)
        config = json.loads((folder / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = micro_copy.name
        (folder / "adapter_config.json").write_text(json.dumps(config))
        return folder

    return make
