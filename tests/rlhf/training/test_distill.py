"""`distill` on a micro model: the student's held-out loss falls towards its teacher's, by the paper's divergence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import Make, Run, chat, data_ref, model_ref, publish, push, room, trainer_for
from transformers import AutoModelForCausalLM

from curation.artifact import Ref
from curation.errors import UserError
from curation.models.loading import load_policy
from rlhf.steps.distill import Distill
from rlhf.steps.sft import Sft

QUICK: dict[str, Any] = {"lora_r": 8, "learning_rate": 1e-2, "global_batch_size": 16, "max_completion_length": 24}


@pytest.fixture
def teacher(micro_copy: Path, tmp_path: Path) -> Ref[Any]:
    """The micro model, taught the chats by heart."""
    step = Sft(
        data=data_ref(tmp_path / "taught", [chat(i) for i in range(48)]),
        policy=model_ref(micro_copy),
        lora_r=8,
        learning_rate=1e-2,
        num_train_epochs=4,
        global_batch_size=8,
    )
    own = room(tmp_path / "teacher")
    step.run(own)
    return model_ref(publish(step, own.out, micro_copy))


def test_the_students_loss_falls_towards_its_teachers(
    micro_copy: Path, teacher: Ref[Any], rows_ref: Make, run_step: Run
) -> None:
    rows = [chat(i, split="test" if i % 4 == 0 else "train") for i in range(48)]
    step = Distill(
        prompts=rows_ref(rows), policy=model_ref(micro_copy), teacher=teacher, beta=0.5, num_train_epochs=6, **QUICK
    )
    done, folder, _ = run_step(step, beside=micro_copy)
    before, after, goal = (done.metrics[f"held_out_loss{end}"] for end in ("_before", "", "_teacher"))
    assert goal < after < before
    assert done.metrics["way_to_the_teacher"] == pytest.approx((before - after) / (before - goal))
    assert done.metrics["way_to_the_teacher"] > 0.3
    assert done.metrics["loss_last"] < done.metrics["loss_first"] / 2

    student = load_policy(folder, where=torch.device("cpu"))  # what was measured is what was written
    total = count = 0.0
    for row in rows:
        if row.split == "test":
            found = student.template.encode(row.messages)
            with torch.no_grad():
                logp = student.model(torch.tensor([found.ids])).logits[0].log_softmax(-1)
            places = [i for i, marked in enumerate(found.mask) if marked]
            total -= sum(float(logp[i - 1, found.ids[i]]) for i in places)
            count += len(places)
    assert after == pytest.approx(total / count, abs=1e-4)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_the_loss_is_the_papers(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beta: float
) -> None:
    """Agarwal et al. (2306.13649) eq. 1 and 2; the ends of the range are the two KL divergences."""
    step = Distill(
        prompts=rows_ref([chat(i) for i in range(4)]),
        policy=model_ref(micro_copy),
        teacher=model_ref(micro_copy),
        beta=beta,
        **QUICK | {"global_batch_size": 4},
    )
    trainer, _ = trainer_for(step, tmp_path / "room", monkeypatch)
    push(trainer, 0.1)
    kept = trainer._generate_and_score_completions([{"prompt": i} for i in range(4)])
    loss = trainer.compute_loss(trainer.model, kept).item()
    base = load_policy(micro_copy, where=torch.device("cpu")).model
    total, count = 0.0, 0
    for p, pm, c, cm in zip(
        *(kept[f"{n}_{k}"] for n in ("prompt", "completion") for k in ("ids", "mask")), strict=True
    ):
        prompt, answer = p[pm.bool()], c[cm.bool()]
        ids = torch.cat([prompt, answer])[None]
        with torch.no_grad():
            q, t = (m(ids).logits[0, len(prompt) - 1 : -1].double().log_softmax(-1) for m in (trainer.model, base))
        mix = torch.log(beta * t.exp() + (1 - beta) * q.exp())
        if beta == 0:
            each = (t.exp() * (t - q)).sum(-1)
        elif beta == 1:
            each = (q.exp() * (q - t)).sum(-1)
        else:
            each = beta * (t.exp() * (t - mix)).sum(-1) + (1 - beta) * (q.exp() * (q - mix)).sum(-1)
        total, count = total + float(each.sum()), count + len(answer)
    assert loss > 0.01
    assert loss == pytest.approx(total / count, abs=1e-6, rel=2e-6)


def test_a_teacher_of_another_vocabulary_is_refused(micro_copy: Path, rows_ref: Make, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in micro_copy.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    larger = AutoModelForCausalLM.from_pretrained(other)
    larger.resize_token_embeddings(larger.config.vocab_size + 64)  # as Qwen2.5 pads its larger models
    wide = tmp_path / "wide"
    shutil.copytree(other, wide)
    larger.save_pretrained(wide)
    step = Distill(prompts=rows_ref([chat(0)]), policy=model_ref(micro_copy), teacher=model_ref(wide), **QUICK)
    with pytest.raises(UserError, match="wide and that of its teacher"):
        step.run(room(tmp_path / "room"))
    path = other / "tokenizer.json"
    said = json.loads(path.read_text())
    vocab = said["model"]["vocab"]
    a, b = sorted(vocab)[-2:]
    vocab[a], vocab[b] = vocab[b], vocab[a]
    path.write_text(json.dumps(said))
    step = Distill(prompts=rows_ref([chat(0)]), policy=model_ref(micro_copy), teacher=model_ref(other), **QUICK)
    with pytest.raises(UserError, match="different vocabularies"):
        step.run(room(tmp_path / "room"))
