"""Releases: merged weights are shown to be right, adapters load on a base by name, the card hides nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from curation.artifact import Policy, Ref, Release
from curation.errors import UserError
from curation.models.lineage import Lineage
from curation.models.saving import copy_tokenizer
from rlhf.export.adapters import copy_adapters
from rlhf.export.card import base_name, card, licenses, shown_name
from rlhf.export.merging import merge
from rlhf.recipe.identity import artifact_digest
from rlhf.recipe.profile import Profile, Training
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


def manifest(step: str, kind: str, digest: str, *inputs: str, **more: Any) -> dict[str, Any]:
    return {
        "step": step,
        "settings": more.pop("settings", {}),
        "sources": more.pop("sources", {}),
        "inputs": {f"data.{i}": d for i, d in enumerate(inputs)},
        "output": {"kind": kind, "digest": digest, "rows": 63},
        "warnings": more.pop("warnings", []),
        "seconds": 17.25,
        "started": 1.7e9,
        **more,
    }


JUDGED = {"win_rate": {"mean": 0.77, "low": 0.7, "high": 0.83}, "n": 64, "by": "a rule"}


def manifests(decided_by: str = "brevity", policy: str = "dpo", license_: str | None = "apache-2.0") -> dict[str, Any]:
    """A recipe whose judge learned from pairs that the policy never saw."""
    return {
        "base": manifest("base", "policy", "b", sources={"model_name_or_path": "org/model"}),
        "chats": manifest(
            "ingest",
            "conversations",
            "c",
            settings={"datasets": [{"path": "0" * 64, "license": license_}]},
            sources={"datasets.0.path": "/home/ann/secret/chats.jsonl"},
        ),
        "asked": manifest(
            "ingest",
            "conversations",
            "a",
            settings={"datasets": [{"path": "1" * 64, "license": "cc0-1.0"}]},
            sources={"datasets.0.path": "questions.jsonl"},
        ),
        "sft": manifest("sft", "policy", "s", "b", "c", settings={"learning_rate": 2e-4}),
        "pairs": manifest("compare", "preferences", "p", "c", decided_by=decided_by),
        "dpo": manifest(
            "dpo",
            "policy",
            policy,
            "p",
            "s",
            settings={"beta": 0.1, "learning_rate": 5e-4, "policy": "s"},
            sources={"policy": "sft"},
            warnings=["8 optimizer steps are few", "see /home/ann/secret/log.txt, line 3"],
        ),
        "judge_pairs": manifest("compare", "preferences", "jp", "c", decided_by="people"),
        "judge": manifest("reward", "reward model", "j", "jp"),
        "report": manifest(
            "evaluate",
            "evaluation",
            "e",
            policy,
            "s",
            "a",
            "j",
            sources={"baseline": "sft"},
            metrics={
                "dpo": {
                    "brevity": JUDGED,
                    "win_rate": JUDGED["win_rate"],
                    "finished": 0.58,
                    "perplexity": 12.5,
                    "loss": {"mean": 2.0, "low": 1.9, "high": 2.1},
                },
                "sft": {"finished": 0.03, "perplexity": 8.25},
                "rewards": {
                    "judge": {
                        "accuracy": {"mean": 0.7, "low": 0.6, "high": 0.8},
                        "length_accuracy": {"mean": 0.68, "low": 0.58, "high": 0.78},
                        "n": 90,
                    }
                },
                "judged_by": ["brevity"],
                "prompts": 64,
            },
        ),
    }


BEHIND = ("base", "chats", "sft", "pairs", "dpo")
NO_PERSON = "**No person labeled the data that taught this model what is better.**"


def written(decided_by: str = "brevity", **how: Any) -> str:
    return card(manifests(decided_by, **how), "org/model", ["adapter"], True, name="dpo", behind=BEHIND)


def test_the_card_says_who_decided_and_when_it_was_no_person() -> None:
    """The judge's pairs were decided by people; those that the model learned from were not."""
    assert NO_PERSON in written() and "decided by the rule `brevity`" in written()
    assert NO_PERSON in written("llm_judge") and "a language model" in written("llm_judge")
    assert NO_PERSON not in written("data set") and "whether people labeled the data set is not known" in written(
        "data set"
    )
    assert NO_PERSON not in written("people") and "63 pairs, decided by people." in written("people")
    assert NO_PERSON not in written("data set, people")
    assert "`judge_pairs`: decided by people" in written().partition("## What was measured")[2]


@pytest.mark.parametrize(
    ("step", "decided_by", "said"),
    [
        ("rate", "words", "- `looked`: 63 chats, rated by the rule `words`. No person did."),
        ("rate", "people", "- `looked`: 63 chats, rated by people.\n"),
        ("review", "people", "- `looked`: 63 chats that were let through by people.\n"),
    ],
)
def test_the_card_says_who_rated_or_let_through_the_chats(step: str, decided_by: str, said: str) -> None:
    looked = manifest(step, "conversations", "l", "c", decided_by=decided_by)
    looked["output"]["rows"] = 63
    own = {**{n: m for n, m in manifests().items() if n in ("base", "chats", "sft")}, "looked": looked}
    text = card(own, "org/model", ["adapter"], True)
    assert said in text and "no preferences went into this model" in text


def test_a_model_without_preferences_says_so() -> None:
    text = card(manifests(), "org/model", ["adapter"], True, behind=("base", "chats", "sft"))
    assert "no preferences went into this model" in text


def test_the_card_has_the_figures_and_what_the_judge_did_not_see() -> None:
    text = written()
    assert "| dpo | sft | brevity (a rule) | 0.77 [0.70, 0.83] | 64 |" in text
    assert "| | dpo | sft |" in text and "| finished answers | 0.58 | 0.03 |" in text
    assert "| held-out loss | 2.00 [1.90, 2.10] |  |" in text
    assert 'right on 0.70 [0.60, 0.80] of 90 held-out pairs, where "the longer answer wins" is right on 0.68' in text


def test_a_release_without_an_evaluation_says_so() -> None:
    own = {n: m for n, m in manifests().items() if n in BEHIND}
    assert "no evaluation stands behind this release" in card(own, "org/model", ["adapter"], True)


def test_the_card_has_the_licences_of_the_training_data_and_every_warning_and_no_path_or_time() -> None:
    text = written()
    assert "| chats | chats.jsonl | apache-2.0 |" in text and "license: apache-2.0" in text
    assert "questions.jsonl" not in text  # the test prompts went into no weight
    assert "8 optimizer steps are few" in text and "see log.txt, line 3" in text
    assert "/home" not in text and "17.25" not in text
    assert licenses(manifests(license_=None)) == ["cc0-1.0", "unknown"]
    assert "license: other" in written(license_=None)


def test_the_card_says_how_each_step_was_trained() -> None:
    assert "- `dpo` (dpo): policy sft, learning_rate 0.0005, beta 0.1" in written()


def test_the_front_matter_is_yaml_and_names_a_base_only_by_its_hub_id() -> None:
    from ruamel.yaml import YAML

    front = YAML(typ="safe").load(written().split("---")[1])
    assert front["base_model"] == "org/model" and front["license"] == "apache-2.0" and "lora" in front["tags"]
    local = card(manifests(), "model.gguf", ["adapter"], False, name="dpo")
    assert "base_model" not in YAML(typ="safe").load(local.split("---")[1])
    assert "# `dpo` on model.gguf" in local


@pytest.mark.parametrize(
    ("written", "shown", "base"),
    [
        ("org/model", "org/model", "org/model"),
        ("/abs/x.jsonl", "x.jsonl", "x.jsonl"),
        ("../up/x.jsonl", "x.jsonl", "x.jsonl"),
        ("package:p/x.gguf", "package:p/x.gguf", "x.gguf"),
        ("C:\\models\\mine", "mine", "mine"),
    ],
)
def test_a_name_of_a_machine_is_not_shown(written: str, shown: str, base: str) -> None:
    assert shown_name(written) == shown
    assert base_name(written) == base


@pytest.mark.parametrize("merged", [True, False])
def test_the_step_writes_a_folder_that_works_alone(
    stacked: Path, micro_copy: Path, tmp_path: Path, merged: bool
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    ref: Ref[Policy] = Ref("dpo", stacked, "dpo")
    room = Room(tmp_path / "work", out, Profile(training=Training(threads=1)), inputs=manifests())
    done = Export(policy=ref, merged=merged).run(room)
    names = {"README.md", "adapter-1", "adapter-2", "tokenizer"} | ({"merged"} if merged else set())
    assert {p.name for p in out.iterdir()} == names
    away = Path(shutil.copytree(out, tmp_path / "elsewhere"))
    shutil.rmtree(out)
    if merged:
        assert done.metrics["merge_error"] <= 1e-4
        AutoModelForCausalLM.from_pretrained(away / "merged")
    else:
        model = AutoModelForCausalLM.from_pretrained(micro_copy)
        model = PeftModel.from_pretrained(model, away / "adapter-1").merge_and_unload()
        PeftModel.from_pretrained(model, away / "adapter-2")
    tokenizer = AutoTokenizer.from_pretrained(away / "tokenizer")
    assert tokenizer.chat_template
    for path in away.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for place in (str(tmp_path), str(micro_copy.parent.parent), "/home/", "stacked"):
            assert place.encode() not in content, path


def test_a_full_policy_is_exported_whole(micro_copy: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    room = Room(tmp_path / "work", tmp_path / "out", Profile(training=Training(threads=1)))
    done = Export(policy=Ref("micro", micro_copy, "m"), merged=False).run(room)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"README.md", "merged", "tokenizer"}
    assert done.metrics["merge_error"] == 0.0
    assert "# `micro`, made from scratch" in (tmp_path / "out" / "README.md").read_text()


def test_the_same_policy_gives_the_same_release_wherever_it_lies(stacked: Path, tmp_path: Path) -> None:
    digests = set()
    for place in ("here", "there"):
        out = tmp_path / place / "out"
        out.mkdir(parents=True)
        moved = Path(shutil.copytree(stacked.parent, tmp_path / place / "artifacts")) / stacked.name
        room = Room(tmp_path / place, out, Profile(training=Training(threads=1)), inputs=manifests())
        Export(policy=Ref("dpo", moved, "dpo")).run(room)
        digests.add(artifact_digest(Release, out))
    assert len(digests) == 1
