"""Policies and reward models on the micro model, drawn by chance instead of trained: they only have to differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from curation.artifact import Policy, Ref, RewardModel
from curation.models.lineage import Lineage
from curation.models.loading import load_policy
from curation.models.saving import copy_tokenizer
from rlhf.recipe.identity import artifact_digest


def published(raw: Path, kind: type) -> Path:
    """The folder under its digest, as the store keeps it."""
    place = raw.parent / artifact_digest(kind, raw)
    return raw.rename(place) if not place.exists() else place


def adapter(parent: Path, seed: int, *, strength: float = 0.3, reward: bool = False, rank: int = 4) -> Path:
    """A LoRA on a policy (which may itself be an adapter), beside it in the store."""
    torch.manual_seed(seed)
    lineage = Lineage.read(parent).above(parent.name)
    model: Any = load_policy(parent, merge=True).model
    if reward:
        layers = model.base_model
        config = model.config.__class__.from_dict({**model.config.to_dict(), "num_labels": 1})
        model = AutoModelForSequenceClassification.from_config(config)
        model.model = layers
        with torch.no_grad():
            model.score.weight.normal_(0, 0.5)
    kind = "SEQ_CLS" if reward else "CAUSAL_LM"
    extra = {"modules_to_save": ["score"]} if reward else {}
    made = get_peft_model(
        model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["q_proj", "v_proj"], task_type=kind, **extra)
    )
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, strength)
    raw = parent.parent / f"new-{seed}"
    made.save_pretrained(raw)
    (raw / "README.md").unlink(missing_ok=True)
    config_file = raw / "adapter_config.json"
    config_file.write_text(config_file.read_text().replace(str(parent), lineage.base or ""))
    copy_tokenizer(parent, raw)
    lineage.write(raw)
    return published(raw, RewardModel if reward else Policy)


def ref(name: str, folder: Path) -> Ref[Any]:
    return Ref(name, folder, folder.name)


def full_logits(folder: Path, text: str) -> torch.Tensor:
    """What transformers itself says, for a folder with full weights."""
    from transformers import AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        logits: torch.Tensor = model(**AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")).logits
    return logits
