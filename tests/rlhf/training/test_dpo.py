"""`dpo` on a micro model: the loss is the paper's, and the reference is the parent."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_runs import Make, Run, chat, model_ref, pair, push, room, trainer_for

from curation.conversation import Preference
from curation.models.lineage import Lineage
from curation.models.loading import Loaded, load_policy
from rlhf.steps.dpo import Dpo
from rlhf.steps.sft import Sft

QUICK: dict[str, Any] = {"lora_r": 4, "learning_rate": 1e-3, "global_batch_size": 8}
LN2 = math.log(2)


@pytest.fixture(scope="module")
def sft(micro: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter on the micro model, beside a copy of it."""
    import shutil

    from small_runs import data_ref, publish

    place = tmp_path_factory.mktemp("sft")
    base = Path(shutil.copytree(micro, place / "artifacts" / micro.name))
    step = Sft(
        data=data_ref(place / "rows", [chat(i) for i in range(24)]),
        policy=model_ref(base),
        lora_r=4,
        learning_rate=5e-3,
        global_batch_size=8,
    )
    own = room(place / "run")
    step.run(own)
    return publish(step, own.out, base)


def answer_log_prob(loaded: Loaded, row: Preference, answer: str) -> float:
    """Sum of log p over the answer and its end token, by transformers' logits alone."""
    prompt = loaded.template.prompt_ids(row.prompt)
    ids = prompt + loaded.tokenizer(answer + "<|im_end|>", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logp = loaded.model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    return sum(logp[i - 1, ids[i]].item() for i in range(len(prompt), len(ids)))


def margins(policy: Path, reference: Path, rows: list[Preference]) -> torch.Tensor:
    """log-ratio of the chosen answer beyond that of the rejected one."""
    a, b = (load_policy(folder, where=torch.device("cpu")) for folder in (policy, reference))
    found = []
    for row in rows:
        c, r = row.chosen[0].content, row.rejected[0].content
        found.append(
            answer_log_prob(a, row, c)
            - answer_log_prob(b, row, c)
            - answer_log_prob(a, row, r)
            + answer_log_prob(b, row, r)
        )
    return torch.tensor(found, dtype=torch.float64)


def test_it_prefers_and_stands_on_its_parent(sft: Path, rows_ref: Make, run_step: Run) -> None:
    rows = [pair(i, split="test" if i % 4 == 0 else "train") for i in range(32)]
    step = Dpo(data=rows_ref(rows), policy=model_ref(sft), **QUICK)
    done, folder, _ = run_step(step, beside=sft)
    assert Lineage.read(folder) == Lineage(Lineage.read(sft).base, (sft.name,), "lora")
    # At the first step the policy is the reference, to the last bit.
    assert done.curves["loss"][0] == (1, pytest.approx(LN2, abs=1e-7))
    assert done.curves["margin"][0] == (1, 0.0)
    assert done.metrics["loss_last"] < LN2

    held = margins(folder, sft, [r for r in rows if r.split == "test"])
    found = done.metrics["held_out"]
    assert found["margin"] == pytest.approx(0.1 * held.mean().item(), abs=1e-4)
    assert found["loss"] == pytest.approx(-torch.sigmoid(0.1 * held).log().mean().item(), abs=1e-4)
    assert found["accuracy"]["mean"] == (held > 0).double().mean().item()
    assert found["accuracy"]["n"] == 8


@pytest.mark.parametrize("adapter", ["new", "continue"])
def test_the_references_log_probs_are_the_parents(
    sft: Path, rows_ref: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapter: Any
) -> None:
    rows = [pair(i) for i in range(6)]
    more = {"lora_r": 4} if adapter == "new" else {}
    step = Dpo(data=rows_ref(rows), policy=model_ref(sft), adapter=adapter, global_batch_size=6, **more)
    trainer, encoded = trainer_for(step, tmp_path / "room", monkeypatch)
    push(trainer, 0.05)  # the policy moves away; the reference must not
    chosen, rejected = trainer.reference(encoded)
    parent, base = (load_policy(f, where=torch.device("cpu")) for f in (sft, sft.parent / str(Lineage.read(sft).base)))
    for row, c, r in zip(encoded.kept, chosen, rejected, strict=True):
        assert c == pytest.approx(answer_log_prob(parent, row, row.chosen[0].content), abs=1e-4)
        assert r == pytest.approx(answer_log_prob(parent, row, row.rejected[0].content), abs=1e-4)
        assert abs(c - answer_log_prob(base, row, row.chosen[0].content)) > 0.1  # and not the base's
    policy = trainer.policy(encoded)[0]
    assert all(abs(p - c) > 1e-2 for p, c in zip(policy, chosen, strict=True))


def test_a_reference_worked_out_before_is_the_one_worked_out_on_the_way(
    sft: Path, rows_ref: Make, run_step: Run
) -> None:
    data = rows_ref([pair(i) for i in range(16)])
    step = Dpo(data=data, policy=model_ref(sft), num_train_epochs=1, **QUICK)
    assert not step.precomputes
    assert Dpo(data=data, num_train_epochs=2).precomputes
    assert Dpo(data=data, tune="full").precomputes
    way, _, _ = run_step(step, beside=sft)
    before, _, _ = run_step(step.model_copy(update={"precompute_ref_log_probs": True}), beside=sft)
    for (_, a), (_, b) in zip(way.curves["loss"], before.curves["loss"], strict=True):
        assert a == pytest.approx(b, abs=1e-5)


def test_all_weights_against_a_reference_that_is_kept_as_numbers(sft: Path, rows_ref: Make, run_step: Run) -> None:
    rows = [pair(i, split="test" if i < 4 else "train") for i in range(20)]
    step = Dpo(data=rows_ref(rows), policy=model_ref(sft), tune="full", learning_rate=1e-4, global_batch_size=8)
    done, folder, _ = run_step(step, beside=sft)
    assert done.curves["loss"][0][1] == pytest.approx(LN2, abs=1e-5)
    assert Lineage.read(folder) == Lineage(None, (), "full")
    held = margins(folder, sft, [r for r in rows if r.split == "test"])
    assert done.metrics["held_out"]["margin"] == pytest.approx(0.1 * held.mean().item(), abs=1e-4)


def test_an_adapter_that_is_continued_replaces_its_parent(sft: Path, rows_ref: Make, run_step: Run) -> None:
    step = Dpo(
        data=rows_ref([pair(i) for i in range(8)]),
        policy=model_ref(sft),
        adapter="continue",
        learning_rate=1e-3,
        global_batch_size=8,
        max_steps=2,
    )
    done, folder, _ = run_step(step, beside=sft)
    assert Lineage.read(folder) == Lineage.read(sft)
    assert done.curves["loss"][0][1] == pytest.approx(LN2, abs=1e-6)
    before, after = (load_file(f / "adapter_model.safetensors") for f in (sft, folder))
    assert before.keys() == after.keys()  # the frozen copy is not saved
    assert any((before[n] - after[n]).abs().max() > 1e-4 for n in before)


def test_the_settings_reach_trl(sft: Path, rows_ref: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Dpo(
        data=rows_ref([pair(i) for i in range(4)]),
        policy=model_ref(sft),
        lora_r=4,
        global_batch_size=2,
        loss_type=["sigmoid", "sft"],
        loss_weights=[1.0, 0.5],
        beta=0.2,
        f_divergence_type="js_divergence",
        ld_alpha=0.5,
        max_length=100,
        lr_scheduler_type="cosine",
        warmup_steps=0.1,
        weight_decay=0.01,
        max_grad_norm=0.5,
        seed=9,
    )
    trainer, _ = trainer_for(step, tmp_path / "room", monkeypatch)
    same = (
        "loss_type loss_weights beta f_divergence_type ld_alpha max_length warmup_steps weight_decay max_grad_norm seed"
    )
    for name in same.split():
        assert getattr(trainer.args, name) == getattr(step, name), name
    assert trainer.args.lr_scheduler_type == "cosine"
    assert trainer.args.report_to == []
