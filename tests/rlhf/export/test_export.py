"""Releases: merged weights are shown to be right, adapters load on a base by name, the card hides nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from curation.artifact import Policy, Ref
from curation.errors import UserError
from curation.models.lineage import Lineage
from curation.models.saving import copy_tokenizer
from rlhf.export.adapters import copy_adapters
from rlhf.export.card import card, licenses, shown_name
from rlhf.export.merging import merge
from rlhf.recipe.profile import Profile
from rlhf.recipe.step import Room
from rlhf.steps.export import Export


def adapter(parent: Path, name: str, seed: int) -> Path:
    """An adapter with random weights on a model artifact, as the store keeps it."""
    chain = [parent.parent / d for d in (Lineage.read(parent).base, *Lineage.read(parent).stack) if d]
    chain = [*chain, parent]
    model = AutoModelForCausalLM.from_pretrained(chain[0], dtype=torch.float32)
    for below in chain[1:]:
        model = PeftModel.from_pretrained(model, below).merge_and_unload()
    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    folder = parent.parent / name
    get_peft_model(model, config).save_pretrained(folder)
    copy_tokenizer(parent, folder)
    Lineage.read(parent).above(parent.name).write(folder)
    return folder


@pytest.fixture
def stacked(micro_copy: Path) -> Path:
    return adapter(adapter(micro_copy, "sft", 1), "dpo", 2)


def by_hand(base: Path, adapters: list[Path]) -> dict[str, torch.Tensor]:
    """W + sum of (alpha / r) B A, straight from the files."""
    weights = load_file(base / "model.safetensors")
    for folder in adapters:
        scale = 8 / 4
        lora = load_file(folder / "adapter_model.safetensors")
        for name, a in lora.items():
            if name.endswith("lora_A.weight"):
                b = lora[name.replace("lora_A", "lora_B")]
                target = name.removeprefix("base_model.model.").replace(".lora_A", "")
                weights[target] = weights[target] + scale * b @ a
    return weights


def test_merged_weights_are_the_sum_of_base_and_adapters(stacked: Path, micro_copy: Path, tmp_path: Path) -> None:
    figures = merge(stacked, tmp_path / "merged", "float32")
    assert figures["merge_error"] <= 1e-4 and figures["rounding_error"] <= 1e-4
    written = load_file(tmp_path / "merged" / "model.safetensors")
    expected = by_hand(micro_copy, [stacked.parent / "sft", stacked])
    before = load_file(micro_copy / "model.safetensors")
    for name, weight in written.items():
        torch.testing.assert_close(weight, expected[name], atol=1e-6, rtol=1e-5)
    changed = [n for n in written if not torch.equal(written[n], before[n])]
    assert len(changed) == 4, "q and v of two layers"


def test_rounding_is_measured(stacked: Path, tmp_path: Path) -> None:
    figures = merge(stacked, tmp_path / "merged", "bfloat16")
    assert load_file(tmp_path / "merged" / "model.safetensors")["model.norm.weight"].dtype == torch.bfloat16
    assert figures["merge_error"] <= 1e-4 < figures["rounding_error"]


def test_a_merge_that_is_wrong_is_refused(stacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = LoraModel.merge_and_unload

    def wrong(self: LoraModel, *a: Any, **k: Any) -> Any:
        model = right(self, *a, **k)
        with torch.no_grad():
            model.get_input_embeddings().weight.add_(0.01)
        return model

    monkeypatch.setattr(LoraModel, "merge_and_unload", wrong)
    with pytest.raises(UserError, match="other logits"):
        merge(stacked, tmp_path / "merged", "float32")
    assert not (tmp_path / "merged").exists()


def test_exported_adapters_load_one_after_the_other(stacked: Path, micro_copy: Path, tmp_path: Path) -> None:
    names = copy_adapters(stacked, tmp_path, "some/base")
    assert names == ["adapter-1", "adapter-2"]
    model = AutoModelForCausalLM.from_pretrained(micro_copy, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, tmp_path / names[0]).merge_and_unload()
    model = PeftModel.from_pretrained(model, tmp_path / names[1]).eval()
    merge(stacked, tmp_path / "merged", "float32")
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32).eval()
    ids = AutoTokenizer.from_pretrained(stacked)("open the door", return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(model(**ids).logits, whole(**ids).logits, atol=1e-4, rtol=0)
    config = json.loads((tmp_path / "adapter-2" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "some/base"


def manifests(decided_by: str = "brevity", license_: str | None = "apache-2.0") -> dict[str, dict[str, Any]]:
    made = {"kind": "preferences", "digest": "d" * 64, "rows": 63}
    return {
        "chats": {
            "step": "ingest",
            "settings": {"datasets": [{"path": "0" * 64, "license": license_}]},
            "sources": {"datasets.0.path": "/home/ann/secret/chats.jsonl"},
            "output": {**made, "kind": "conversations"},
        },
        "base": {
            "step": "base",
            "settings": {},
            "sources": {"model_name_or_path": "org/model"},
            "output": {**made, "kind": "policy"},
        },
        "pairs": {"step": "compare", "settings": {}, "output": made, "decided_by": decided_by},
        "dpo": {
            "step": "dpo",
            "settings": {"beta": 0.1, "learning_rate": 5e-4},
            "output": {**made, "kind": "policy"},
            "warnings": ["8 optimizer steps are few"],
        },
        "report": {
            "step": "evaluate",
            "settings": {},
            "output": {**made, "kind": "evaluation"},
            "metrics": {"dpo": {"brevity": {"win_rate": {"mean": 0.77, "low": 0.7, "high": 0.83}, "n": 64}}},
        },
    }


def test_the_card_says_that_no_person_labeled_the_data() -> None:
    assert "**No person labeled them.**" in card(manifests(), "org/model", ["adapter"], True)
    assert "decided by people" in card(manifests("people"), "org/model", ["adapter"], True)


def test_the_card_has_figures_warnings_and_licences_and_no_path() -> None:
    text = card(manifests(), "org/model", ["adapter"], True)
    assert "| dpo | brevity | 0.77 [0.70, 0.83] | 64 |" in text
    assert "8 optimizer steps are few" in text and "apache-2.0" in text
    assert "chats.jsonl" in text and "/home" not in text
    assert licenses(manifests(license_=None)) == ["unknown"]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("org/model", "org/model"),
        ("/abs/x.jsonl", "x.jsonl"),
        ("../up/x.jsonl", "x.jsonl"),
        ("package:p/x", "package:p/x"),
    ],
)
def test_a_name_of_a_machine_is_not_shown(written: str, shown: str) -> None:
    assert shown_name(written) == shown


def test_the_step_writes_a_folder_that_works_alone(stacked: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    ref: Ref[Policy] = Ref("dpo", stacked, "dpo")
    room = Room(tmp_path / "work", out, Profile(), inputs=manifests())
    done = Export(policy=ref).run(room)
    assert done.metrics["merge_error"] <= 1e-4
    assert {p.name for p in out.iterdir()} == {"README.md", "adapter-1", "adapter-2", "merged", "tokenizer"}
    AutoModelForCausalLM.from_pretrained(out / "merged")
    assert str(tmp_path) not in "".join(p.read_text() for p in out.rglob("*.json")) + (out / "README.md").read_text()
