"""`sft` on a micro model: what it learns, what it writes, and what it stands on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_runs import Make, Run, chat, model_ref, own_loss, room

from curation.errors import UserError
from curation.models.lineage import Lineage
from curation.models.loading import load_policy
from rlhf.recipe.identity import artifact_digest
from rlhf.steps.sft import Sft
from rlhf.training.encoding import for_sft

QUICK: dict[str, Any] = {"lora_r": 4, "learning_rate": 5e-3, "global_batch_size": 8, "num_train_epochs": 2}


def logits(folder: Path, **how: Any) -> torch.Tensor:
    loaded = load_policy(folder, where=torch.device("cpu"), **how)
    ids = loaded.template.encode(chat(1).messages).ids
    with torch.no_grad():
        return loaded.model(torch.tensor([ids])).logits


@pytest.fixture(scope="module")
def rows() -> list[Any]:
    return [chat(i, split="test" if i % 5 == 0 else "train") for i in range(40)]


def test_it_learns_and_says_what_came_of_it(micro_copy: Path, rows: list[Any], rows_ref: Make, run_step: Run) -> None:
    step = Sft(data=rows_ref(rows), policy=model_ref(micro_copy), **QUICK)
    done, folder, own = run_step(step, beside=micro_copy)
    m = done.metrics
    assert m["steps"] == 8  # 32 rows in batches of 8, twice
    assert m["held_out_loss"] < m["held_out_loss_before"]
    assert m["data"]["used"] == 32
    assert m["trained_tokens"] == 2 * m["data"]["tokens"]
    assert m["learned_tokens"] == 2 * m["data"]["supervised"]
    assert done.tokens == {"trained": m["trained_tokens"]}
    assert [s for s, _ in done.curves["loss"]] == list(range(1, 9))
    assert len(done.examples) == 3
    assert any(mark for _, mark in done.examples[0]["rendered"])
    assert done.numerics["per_device_train_batch_size"] == 8
    assert done.numerics["device"] == "cpu"
    assert any("8 optimizer steps" in w for w in own.warnings)
    assert Lineage.read(folder) == Lineage(micro_copy.name, (), "lora")


def test_the_held_out_losses_are_the_models_own(
    micro_copy: Path, rows: list[Any], rows_ref: Make, run_step: Run
) -> None:
    """Computed again from the artifact, by transformers' own loss."""
    done, folder, _ = run_step(Sft(data=rows_ref(rows), policy=model_ref(micro_copy), **QUICK), beside=micro_copy)

    held_out = [r for r in rows if r.split == "test"]
    assert done.metrics["held_out_loss"] == pytest.approx(own_loss(folder, held_out), abs=1e-5)
    assert done.metrics["held_out_loss_before"] == pytest.approx(own_loss(micro_copy, held_out), abs=1e-5)


def test_the_first_loss_is_that_of_the_parent(micro_copy: Path, rows_ref: Make, run_step: Run) -> None:
    rows = [chat(i) for i in range(8)]
    done, _, _ = run_step(
        Sft(data=rows_ref(rows), policy=model_ref(micro_copy), **{**QUICK, "num_train_epochs": 1}), beside=micro_copy
    )
    loaded = load_policy(micro_copy, where=torch.device("cpu"))
    made = for_sft(rows, loaded.template, max_length=None)
    losses, n = 0.0, 0
    for ids, labels in zip(made.columns["input_ids"], made.columns["labels"], strict=True):
        with torch.no_grad():
            logp = loaded.model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        for i, label in enumerate(labels[1:]):
            if label != -100:
                losses, n = losses - logp[i, label].item(), n + 1
    assert done.metrics["loss_first"] == pytest.approx(losses / n, abs=1e-5)


def test_accumulation_changes_nothing_but_rounding(micro_copy: Path, rows_ref: Make, run_step: Run) -> None:
    """A batch of 8 rows in one piece and in pieces of 2: the loss is by token over the whole batch."""
    data = rows_ref([chat(i) for i in range(24)])
    step = Sft(data=data, policy=model_ref(micro_copy), **QUICK)
    whole, one, _ = run_step(step, beside=micro_copy)
    pieces, two, _ = run_step(step, beside=micro_copy, per_device_train_batch_size=2)
    assert pieces.numerics["gradient_accumulation_steps"] == 4
    for (_, a), (_, b) in zip(whole.curves["loss"], pieces.curves["loss"], strict=True):
        assert a == pytest.approx(b, abs=1e-4)
    torch.testing.assert_close(logits(one), logits(two), atol=2e-3, rtol=0)


def test_the_adapter_reloads_merges_and_is_not_zero(micro_copy: Path, rows_ref: Make, run_step: Run) -> None:
    data = rows_ref([chat(i) for i in range(24)])
    _, folder, _ = run_step(Sft(data=data, policy=model_ref(micro_copy), **QUICK), beside=micro_copy)
    weights = load_file(folder / "adapter_model.safetensors")
    assert all(w.dtype == torch.float32 for w in weights.values())
    assert all(w.abs().max() > 0 for n, w in weights.items() if "lora_B" in n)
    torch.testing.assert_close(logits(folder), logits(folder, merge=True), atol=1e-4, rtol=0)
    assert (logits(folder) - logits(micro_copy)).abs().max() > 1e-2


def test_the_artifact_holds_no_place_and_is_the_same_in_another_store(
    micro: Path, rows_ref: Make, run_step: Run, tmp_path: Path
) -> None:
    import shutil

    digests = []
    for name in ("one", "two"):
        base = Path(shutil.copytree(micro, tmp_path / name / "artifacts" / micro.name))
        step = Sft(data=rows_ref([chat(i) for i in range(16)]), policy=model_ref(base), **QUICK)
        _, folder, _ = run_step(step, beside=base)
        digests.append(folder.name)
        for file in folder.iterdir():
            if file.suffix in (".json", ".jinja", ".md"):
                assert str(tmp_path) not in file.read_text(encoding="utf-8"), file
                assert "/artifacts/" not in file.read_text(encoding="utf-8"), file
        config = json.loads((folder / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == micro.name
        assert config["target_modules"] == sorted(config["target_modules"])
        assert {f.name for f in folder.iterdir()} >= {"tokenizer.json", "chat_template.jinja", "lineage.json"}
    assert digests[0] == digests[1]


def test_only_the_layers_that_are_named_get_an_adapter(micro_copy: Path, rows_ref: Make, run_step: Run) -> None:
    data = rows_ref([chat(i) for i in range(8)])
    step = Sft(data=data, policy=model_ref(micro_copy), lora_target_modules=["q_proj", "v_proj"], **QUICK)
    done, folder, _ = run_step(step, beside=micro_copy)
    names = {n.split(".")[-3] for n in load_file(folder / "adapter_model.safetensors")}
    assert names == {"q_proj", "v_proj"}
    assert done.metrics["trainable_parameters"] == 2 * 4 * ((64 + 64) + (64 + 32))  # layers x r x (in + out) of q and v
    upper = Sft(data=data, policy=model_ref(micro_copy), lora_target_modules=["1.self_attn.q_proj"], **QUICK)
    _, folder, _ = run_step(upper, beside=micro_copy)
    names = {n.partition(".lora_")[0] for n in load_file(folder / "adapter_model.safetensors")}
    assert names == {"base_model.model.model.layers.1.self_attn.q_proj"}  # of the upper layer alone
    wrong = Sft(data=data, policy=model_ref(micro_copy), lora_target_modules=["query"], **QUICK)
    with pytest.raises(UserError, match="names query") as caught:
        run_step(wrong, beside=micro_copy)
    assert "q_proj" in caught.value.hint


def test_all_weights(micro_copy: Path, rows_ref: Make, run_step: Run) -> None:
    step = Sft(
        data=rows_ref([chat(i, split="test" if i < 4 else "train") for i in range(20)]),
        policy=model_ref(micro_copy),
        tune="full",
        learning_rate=1e-3,
        global_batch_size=8,
    )
    done, folder, _ = run_step(step, beside=micro_copy)
    assert Lineage.read(folder) == Lineage(None, (), "full")
    assert (folder / "model.safetensors").exists()
    assert "held_out_loss_before" not in done.metrics  # the parent is gone
    assert (logits(folder) - logits(micro_copy)).abs().max() > 1e-2


def test_a_stack_and_the_three_ways_to_stand_on_it(micro_copy: Path, rows_ref: Make, run_step: Run) -> None:
    data = rows_ref([chat(i) for i in range(16)])
    first = run_step(Sft(data=data, policy=model_ref(micro_copy), **QUICK), beside=micro_copy)[1]

    second, new, _ = run_step(Sft(data=data, policy=model_ref(first), **QUICK), beside=micro_copy)
    assert Lineage.read(new) == Lineage(micro_copy.name, (first.name,), "lora")
    # Its first loss is the first adapter's, not the base's: the stack is under it.
    base = run_step(Sft(data=data, policy=model_ref(micro_copy), **QUICK), beside=micro_copy)[0]
    assert second.metrics["loss_first"] < base.metrics["loss_first"] - 0.1

    going_on = {k: v for k, v in QUICK.items() if k != "lora_r"}
    third, on, _ = run_step(Sft(data=data, policy=model_ref(first), adapter="continue", **going_on), beside=micro_copy)
    assert Lineage.read(on) == Lineage.read(first)
    assert third.metrics["loss_first"] == pytest.approx(second.metrics["loss_first"], abs=1e-5)
    assert load_file(on / "adapter_model.safetensors").keys() == load_file(first / "adapter_model.safetensors").keys()

    _, merged, _ = run_step(Sft(data=data, policy=model_ref(first), adapter="merge_first", **QUICK), beside=micro_copy)
    assert Lineage.read(merged) == Lineage(None, (), "full")
    torch.testing.assert_close(logits(merged), logits(new), atol=1e-4, rtol=0)

    with pytest.raises(UserError, match="is a full model"):
        run_step(Sft(data=data, policy=model_ref(micro_copy), adapter="continue", **going_on), beside=micro_copy)


def test_packed_rows_teach_what_rows_apart_teach(micro_copy: Path, rows_ref: Make, run_step: Run) -> None:
    """Packed into one row, chats do not see each other: the loss over one batch of all tokens is the same."""
    data = rows_ref([chat(i) for i in range(12)])
    common: dict[str, Any] = {"data": data, "policy": model_ref(micro_copy), "lora_r": 4, "learning_rate": 1e-3}
    apart, _, _ = run_step(Sft(**common, global_batch_size=12, max_steps=1), beside=micro_copy)
    packed, _, _ = run_step(
        Sft(**common, packing=True, max_length=1024, global_batch_size=1, max_steps=1), beside=micro_copy
    )
    assert packed.metrics["trained_tokens"] == apart.metrics["trained_tokens"]
    assert packed.metrics["learned_tokens"] == apart.metrics["learned_tokens"]
    assert packed.metrics["loss_first"] == pytest.approx(apart.metrics["loss_first"], abs=1e-4)


def test_bfloat16_where_the_machine_has_none_is_float32_arithmetic(
    micro_copy: Path, rows_ref: Make, run_step: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = rows_ref([chat(i) for i in range(16)])
    step = Sft(data=data, policy=model_ref(micro_copy), dtype="bfloat16", **QUICK)
    found = {}
    for has in (False, True):
        monkeypatch.setattr("curation.models.numerics.has_bfloat16", lambda where=None, has=has: has)
        done, folder, _ = run_step(step, beside=micro_copy)
        found[done.numerics["computed_in"]] = done
        assert load_file(folder / "adapter_model.safetensors").popitem()[1].dtype == torch.float32
    assert set(found) == {"float32", "bfloat16"}
    a, b = (found[name].metrics["loss_last"] for name in ("float32", "bfloat16"))
    assert a != b
    assert a == pytest.approx(b, abs=0.05)


def test_a_loss_that_is_no_number_stops_the_run(micro_copy: Path, rows_ref: Make, run_step: Run) -> None:
    from safetensors.torch import save_file

    path = micro_copy / "model.safetensors"
    weights = load_file(path)
    weights["model.norm.weight"][0] = math.nan
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(UserError, match="the loss is nan at step 1") as caught:
        run_step(
            Sft(data=rows_ref([chat(i) for i in range(16)]), policy=model_ref(micro_copy), **QUICK), beside=micro_copy
        )
    assert "learning_rate" in caught.value.hint


@pytest.mark.parametrize(
    ("what", "training", "said"),
    [
        ({}, {"per_device_train_batch_size": 3}, "does not divide"),
        ({}, {"num_processes": 3}, "does not divide by num_processes 3"),
        ({"max_length": 6}, {}, "none of the 8 chats is left"),
    ],
)
def test_what_cannot_run_says_so(
    what: dict[str, Any], training: dict[str, Any], said: str, micro_copy: Path, rows_ref: Make, run_step: Run
) -> None:
    step = Sft(data=rows_ref([chat(i) for i in range(8)]), policy=model_ref(micro_copy), **{**QUICK, **what})
    with pytest.raises(UserError, match=said) as caught:
        run_step(step, beside=micro_copy, **training)
    assert caught.value.hint


@pytest.mark.parametrize("what", [{"load_in_4bit": True}, {"optim": "paged_adamw_8bit"}])
def test_four_bits_need_an_extra(
    micro_copy: Path, rows_ref: Make, run_step: Run, monkeypatch: pytest.MonkeyPatch, what: dict[str, Any]
) -> None:
    monkeypatch.setattr("rlhf.training.adapters.find_spec", lambda name: None)
    step = Sft(data=rows_ref([chat(1)]), policy=model_ref(micro_copy), **what)
    with pytest.raises(UserError, match="bitsandbytes") as caught:
        run_step(step, beside=micro_copy)
    assert caught.value.hint == "pip install 'rlhf-curation[quant]'"


def test_an_overlap_stops_the_run(micro_copy: Path, rows_ref: Make, run_step: Run) -> None:
    rows = [chat(i, split="train") for i in range(8)]
    rows.append(chat(3, split="test"))
    with pytest.raises(UserError, match="held-out rows come from the same rows"):
        run_step(Sft(data=rows_ref(rows), policy=model_ref(micro_copy), **QUICK), beside=micro_copy)


def test_the_same_step_twice_gives_the_same_bytes(micro_copy: Path, rows_ref: Make, tmp_path: Path) -> None:
    step = Sft(
        data=rows_ref([chat(i) for i in range(16)]), policy=model_ref(micro_copy), **{**QUICK, "lora_dropout": 0.1}
    )
    from curation.artifact import Policy

    digests = set()
    for name in "ab":
        own = room(tmp_path / name)
        step.run(own)
        digests.add(artifact_digest(Policy, own.out))
    assert len(digests) == 1
