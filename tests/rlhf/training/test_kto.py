"""`kto` on a micro model: the paper's loss, whatever the batch is cut into, and a reference that stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import Make, Run, assistant, chat, model_ref, push, trainer_for, user, words

from curation.conversation import Conversation, Source
from curation.models.loading import Loaded, load_policy
from rlhf.steps.kto import Kto
from rlhf.training.order import BatchOrder

QUICK: dict[str, Any] = {"lora_r": 4, "learning_rate": 3e-3, "global_batch_size": 8}


def judged(i: int, *, split: str | None = None, label: bool | None = None) -> Conversation:
    """A chat whose answer says please, and is good, or does not, and is bad."""
    v, n = words(i)
    good = i % 2 == 0 if label is None else label
    answer = f"Please {v} the {n} by hand." if good else f"You {v} the {n} step by step at home."
    source = Source(digest="file", index=i)
    return Conversation(
        messages=(user(f"How do I {v} the {n}?"), assistant(answer)), source=source, split=split, label=good
    )


def answer_log_prob(loaded: Loaded, row: Conversation, answer: str) -> float:
    """Sum of log p over an answer and its end token, by transformers' logits alone."""
    prompt = loaded.template.prompt_ids(row.prompt)
    ids = prompt + loaded.tokenizer(answer + "<|im_end|>", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logp = loaded.model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    return sum(logp[i - 1, ids[i]].item() for i in range(len(prompt), len(ids)))


def test_good_answers_become_likelier_than_bad_ones(micro_copy: Path, rows_ref: Make, run_step: Run) -> None:
    rows = [judged(i, split="test" if i % 8 < 2 else "train") for i in range(40)]
    step = Kto(data=rows_ref(rows), policy=model_ref(micro_copy), num_train_epochs=3, **QUICK)
    done, folder, _ = run_step(step, beside=micro_copy)
    # Nothing has moved at the first step: r = z = 0, and 1 - sigmoid(0) is one half.
    assert done.curves["loss"][0] == (1, pytest.approx(0.5, abs=1e-7))
    assert done.metrics["loss_last"] < 0.49
    held = done.metrics["held_out"]
    assert held["ranked_right"] > 0.9
    assert (held["good"], held["bad"]) == (5, 5)

    # The artifact, loaded again, is what was measured.
    policy, parent = (load_policy(f, where=torch.device("cpu")) for f in (folder, micro_copy))
    ratios = [
        answer_log_prob(policy, r, r.reply) - answer_log_prob(parent, r, r.reply) for r in rows if r.split == "test"
    ]
    good = [row.label for row in rows if row.split == "test"]
    signed = sum(x if label else -x for x, label in zip(ratios, good, strict=True))
    assert held["margin"] == pytest.approx(0.1 * signed / 5, abs=1e-4)


@pytest.mark.parametrize("loss_type", ["kto", "apo_zero_unpaired"])
@pytest.mark.parametrize("tune", ["lora", "full"])
def test_the_loss_is_the_papers(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss_type: Any, tune: Any
) -> None:
    """Ethayarajh et al. (2402.01306) eq. 7 with z from all rows of the step; D'Oosterlinck et al. (2408.06266)."""
    rows = [judged(i, label=i < 4) for i in range(6)]
    step = Kto(
        data=rows_ref(rows),
        policy=model_ref(micro_copy),
        tune=tune,
        loss_type=loss_type,
        beta=0.3,
        desirable_weight=1.5,
        undesirable_weight=0.5,
        global_batch_size=6,
        **({"lora_r": 4} if tune == "lora" else {}),
    )
    trainer, encoded = trainer_for(step, tmp_path / "room", monkeypatch, per_device_train_batch_size=3)
    trainer.order = BatchOrder(encoded.lengths, 6, seed=1)
    push(trainer, 0.03 if tune == "lora" else 0.003)
    like(trainer, encoded)  # all answers become likelier, so that z is above zero
    order = trainer.order.order(0)
    columns = {**encoded.columns, "row": list(range(6))}
    trainer.data_collator.order = trainer.order
    parts = [
        trainer.data_collator([{n: c[i] for n, c in columns.items()} for i in order[start : start + 3]])
        for start in (0, 3)
    ]
    batches, _ = trainer.get_batch_samples(iter(parts), 2, torch.device("cpu"))
    loss = sum(trainer.compute_loss(trainer.model, batch).item() for batch in batches) / 2

    def log_probs(prompt: list[int], answer: list[int]) -> list[float]:
        """Under the policy and under the parent, by plain logits."""
        ids = torch.tensor([prompt + answer])
        found = []
        for model in (trainer.model, None):
            with torch.no_grad():
                if model is not None:
                    logits = model(ids).logits
                else:
                    logits = load_policy(micro_copy, where=torch.device("cpu")).model(ids).logits
            logp = logits[0, :-1].double().log_softmax(-1)
            found.append(sum(logp[i - 1, ids[0, i]].item() for i in range(len(prompt), ids.shape[1])))
        return found

    prompts, answers, labels = (encoded.columns[n] for n in ("prompt_ids", "completion_ids", "label"))
    ratio = [p - q for p, q in (log_probs(prompts[i], answers[i]) for i in order)]
    before = [order[-1], *order[:-1]]
    strange = [p - q for p, q in (log_probs(prompts[i], answers[j]) for i, j in zip(order, before, strict=True))]
    assert max(map(abs, ratio)) > 0.1
    r = torch.tensor(ratio, dtype=torch.float64)
    good = torch.tensor([labels[i] for i in order])
    z = max(0.0, sum(strange) / 6) if loss_type == "kto" else 0.0
    assert z > 0 or loss_type != "kto"
    likes = 1 - torch.sigmoid(0.3 * (r - z))
    dislikes = 1 - torch.sigmoid(0.3 * (z - r))
    expected = torch.where(good, 1.5 * likes, 0.5 * dislikes).mean().item()
    assert loss == pytest.approx(expected, abs=1e-6)


def like(trainer: Any, encoded: Any) -> None:
    """Some steps towards what the rows say, whatever their labels."""
    batch = trainer.data_collator([{n: c[i] for n, c in encoded.columns.items()} for i in range(len(encoded))])
    batch = {name: batch[name] for name in ("input_ids", "attention_mask", "completion_mask")}
    labels = batch["input_ids"].masked_fill(batch.pop("completion_mask") == 0, -100)
    optimizer = torch.optim.Adam([w for w in trainer.model.parameters() if w.requires_grad], lr=0.003)
    for _ in range(15):
        optimizer.zero_grad()
        trainer.model(**batch, labels=labels, use_cache=False, fused_lm_head=True).loss.backward()
        optimizer.step()


def test_how_a_batch_is_cut_up_changes_nothing(micro_copy: Path, rows_ref: Make, run_step: Run) -> None:
    step = Kto(data=rows_ref([judged(i) for i in range(18)]), policy=model_ref(micro_copy), num_train_epochs=2, **QUICK)
    whole, _, _ = run_step(step, beside=micro_copy, per_device_train_batch_size=8)
    parts, _, _ = run_step(step, beside=micro_copy, per_device_train_batch_size=2)
    for (_, a), (_, b) in zip(whole.curves["loss"], parts.curves["loss"], strict=True):
        assert a == pytest.approx(b, abs=1e-5)
    assert [step for step, _ in whole.curves["kl"]] == [step for step, _ in whole.curves["loss"]]


def test_rows_that_say_nothing_and_a_batch_out_of_balance(micro_copy: Path, rows_ref: Make, run_step: Run) -> None:
    rows = [judged(i, label=i < 2) for i in range(12)] + [chat(50)]
    step = Kto(data=rows_ref(rows), policy=model_ref(micro_copy), max_steps=1, **QUICK)
    done, _, room = run_step(step, beside=micro_copy)
    assert done.metrics["data"]["dropped"] == {"unlabelled": 1}
    assert (done.metrics["good"], done.metrics["bad"]) == (2, 10)
    assert any("desirable_weight between 5.00 and 6.67" in text for text in room.warnings)
