"""`reward` on a micro model: the loss, where the reward is read, and that a reward model reloads as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_runs import Make, Run, assistant, model_ref, pair, room, user

from curation.conversation import Preference
from curation.models.lineage import Lineage
from curation.models.loading import load_tokenizer
from curation.models.rewards import chat_ids, load_reward, rewards_of
from rlhf.steps.reward import Reward
from rlhf.training.measuring import accuracy, length_margins

QUICK: dict[str, Any] = {"lora_r": 4, "learning_rate": 5e-3, "global_batch_size": 8}


def caught_trainer(step: Reward, place: Path, monkeypatch: pytest.MonkeyPatch, *, train: bool = False) -> Any:
    """The step's trainer, before it trains or after; and its rows."""
    from rlhf.training.running import Run as Running

    caught: list[Any] = []
    fit = Running.fit

    class Caught(Exception):
        pass

    def stop(run: Any, trainer: Any, rows: Any) -> None:
        caught.extend([trainer, rows])
        if not train:
            raise Caught
        fit(run, trainer, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Running, "fit", stop)
        if train:
            step.run(room(place))
        else:
            with pytest.raises(Caught):
                step.run(room(place))
    return caught[0], caught[1]


@pytest.mark.parametrize(("centering", "l2"), [(None, None), (0.01, None), (None, 0.1)])
def test_the_loss_is_the_formulas(
    micro_copy: Path,
    rows_ref: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    centering: float | None,
    l2: float | None,
) -> None:
    """-log sigmoid(r+ - r-), plus c (r+ + r-)^2 (Eisenstein et al., 2312.09244) or c/2 (r+^2 + r-^2)."""
    step = Reward(
        data=rows_ref([pair(i) for i in range(5)]),
        policy=model_ref(micro_copy),
        center_rewards_coefficient=centering,
        rewards_l2_coefficient=l2,
        lora_r=4,
        global_batch_size=5,
    )
    trainer, rows = caught_trainer(step, tmp_path / "room", monkeypatch)
    with torch.no_grad():
        for p in trainer.model.parameters():
            if p.requires_grad:
                p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(1)) * 0.2)
    batch = trainer.data_collator([{n: c[i] for n, c in rows.columns.items()} for i in range(5)])
    with torch.no_grad():
        loss = trainer.compute_loss(trainer.model, batch)
        rewards = []
        for name in ("chosen_ids", "rejected_ids"):  # one at a time: no padding can matter
            hidden = [trainer.inner.model(torch.tensor([ids])).last_hidden_state[0, -1] for ids in rows.columns[name]]
            head = trainer.inner.score.modules_to_save["default"].weight[0]
            rewards.append(torch.stack([h @ head for h in hidden]).double())
    chosen, rejected = rewards
    expected = -torch.log(torch.sigmoid(chosen - rejected)) + (centering or 0.0) * (chosen + rejected) ** 2
    expected = expected + (l2 or 0.0) / 2 * (chosen**2 + rejected**2)
    assert (chosen - rejected).abs().max() > 0.02
    assert loss.item() == pytest.approx(expected.mean().item(), abs=1e-6)


def test_it_learns_the_pairs_and_reloads_as_it_was(
    micro_copy: Path, rows_ref: Make, run_step: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [pair(i, split="test" if i % 4 == 0 else "train") for i in range(48)]
    data = rows_ref(rows)
    step = Reward(data=data, policy=model_ref(micro_copy), num_train_epochs=2, **QUICK)
    done, folder, _ = run_step(step, beside=micro_copy)
    assert Lineage.read(folder) == Lineage(micro_copy.name, (), "lora")
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["task_type"] == "SEQ_CLS"
    assert config["modules_to_save"] == ["score"]
    assert "base_model.model.score.weight" in load_file(folder / "adapter_model.safetensors")

    held = done.metrics["held_out"]
    assert held["accuracy"]["mean"] == 1.0
    assert held["accuracy"]["n"] == 12
    assert held["length_accuracy"]["mean"] == 0.0  # the rejected answer is always the longer one
    assert done.metrics["loss_last"] < done.metrics["loss_first"]

    trainer, encoded = caught_trainer(step, tmp_path / "room", monkeypatch, train=True)
    margins = trainer.margins(encoded)
    loaded = load_reward(folder, where=torch.device("cpu"))
    for row, margin in zip(encoded.kept, margins, strict=True):
        ids = [chat_ids(loaded, c) for c in row.conversations()]
        assert [i[-1] for i in ids] == [loaded.template.tokenizer.eos_token_id] * 2
        chosen, rejected = rewards_of(loaded, ids)
        assert chosen - rejected == pytest.approx(margin, abs=1e-5)
    # A merged adapter rounds once more; on its own it reloads to 1e-6.
    from peft import PeftModel

    from rlhf.training.adapters import as_reward_model, load_parent

    fresh = as_reward_model(load_parent(micro_copy, step, torch.device("cpu")), 0, seed=123)
    again = PeftModel.from_pretrained(fresh, folder).eval()
    batch = trainer.data_collator([{n: c[i] for n, c in encoded.columns.items()} for i in range(8)])
    trainer.model.eval()
    with torch.no_grad():
        torch.testing.assert_close(again(**batch).logits, trainer.model(**batch).logits, atol=1e-6, rtol=0)


def test_a_pad_token_that_ends_answers_is_replaced(micro_copy: Path, rows_ref: Make, run_step: Run) -> None:
    """With pad = eos a sequence classifier reads the token before the end token, and never sees that one."""
    path = micro_copy / "tokenizer_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "pad_token": config["eos_token"]}))
    step = Reward(data=rows_ref([pair(i) for i in range(16)]), policy=model_ref(micro_copy), **QUICK)
    _, folder, _ = run_step(step, beside=micro_copy)
    tokenizer = load_tokenizer(folder)
    assert tokenizer.eos_token == config["eos_token"]
    assert tokenizer.pad_token != tokenizer.eos_token

    loaded = load_reward(folder, where=torch.device("cpu"))
    short, long = (Preference(prompt=(user("a"),), chosen=(assistant(t),), rejected=()) for t in ("b", "b c d e f"))
    ids = [chat_ids(loaded, row.conversations()[0]) for row in (short, long)]
    together, alone = rewards_of(loaded, ids), [rewards_of(loaded, [i])[0] for i in ids]
    assert together == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize("how", [{"tune": "full", "learning_rate": 1e-3}, {"adapter": "merge_first", "lora_r": 4}])
def test_as_a_full_model(micro_copy: Path, rows_ref: Make, run_step: Run, how: dict[str, Any]) -> None:
    step = Reward(data=rows_ref([pair(i) for i in range(16)]), policy=model_ref(micro_copy), global_batch_size=8, **how)
    _, folder, _ = run_step(step, beside=micro_copy)
    assert Lineage.read(folder) == Lineage(None, (), "full")
    loaded = load_reward(folder, where=torch.device("cpu"))
    ids = [chat_ids(loaded, c) for c in pair(3).conversations()]
    ours = rewards_of(loaded, ids)
    from transformers import AutoModelForSequenceClassification

    theirs = AutoModelForSequenceClassification.from_pretrained(folder)  # anybody's code reads the same rewards
    with torch.no_grad():
        assert ours == pytest.approx([theirs(torch.tensor([i])).logits.item() for i in ids], abs=1e-5)


def test_wilson_s_interval() -> None:
    """Against the worked values of Newcombe, Stat. Med. 17 (1998), table I: 81/263, 15/148, 0/20, 1/29."""
    for hits, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = accuracy([1.0] * hits + [-1.0] * (n - hits))
        assert found["mean"] == hits / n
        assert found["low"] == pytest.approx(low, abs=5e-5)
        assert found["high"] == pytest.approx(high, abs=5e-5)
    assert accuracy([0.0, 0.0])["mean"] == 0.5


def test_length_goes_by_characters() -> None:
    row = Preference(prompt=(), chosen=(assistant("four"),), rejected=(assistant("seven.."),))
    assert length_margins([row]) == [-3.0]
