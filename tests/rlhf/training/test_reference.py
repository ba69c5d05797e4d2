"""What the reference says is asked for once, and a run ends in the same bytes whether anything was kept or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import Make, model_ref, pair, room
from trl import DPOTrainer

from curation.artifact import Policy
from rlhf.recipe.caches import Features
from rlhf.recipe.identity import artifact_digest
from rlhf.recipe.step import Done
from rlhf.steps.dpo import Dpo
from rlhf.training.reference import KeptReference


def run(step: Dpo, place: Path, features: Features | None) -> tuple[Done, str]:
    own = room(place)
    own.features = features
    done = step.run(own)
    assert isinstance(done, Done)
    return done, artifact_digest(Policy, own.out)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pairs of each batch that the reference was asked about."""
    found: list[int] = []
    theirs = DPOTrainer.compute_ref_log_probs

    def compute_ref_log_probs(self: Any, model: Any, inputs: Any) -> Any:
        found.append(len(inputs["input_ids"]) // 2)
        return theirs(self, model, inputs)

    monkeypatch.setattr(DPOTrainer, "compute_ref_log_probs", compute_ref_log_probs)
    return found


@pytest.mark.parametrize("before", [False, True], ids=["on the way", "before training"])
def test_a_second_run_with_another_beta_asks_nothing(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, asked: list[int], before: bool
) -> None:
    rows = [pair(i, split="test" if i % 4 == 0 else "train") for i in range(24)]
    step = Dpo(
        data=rows_ref(rows),
        policy=model_ref(micro_copy),
        lora_r=4,
        learning_rate=1e-3,
        global_batch_size=6,
        precompute_ref_log_probs=before,
    )
    other = step.model_copy(update={"beta": 0.5, "loss_type": "ipo"})
    kept = Features(tmp_path / "kept")
    run(step, tmp_path / "first", kept)
    assert sum(asked) == 24  # each pair once, those held out too
    asked.clear()
    done, digest = run(other, tmp_path / "second", kept)
    assert asked == []
    alone, without = run(other, tmp_path / "third", None)
    assert sum(asked) == 24
    assert digest == without
    assert done.curves == alone.curves


def test_a_run_that_was_cut_short_leaves_what_it_worked_out(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, asked: list[int]
) -> None:
    step = Dpo(data=rows_ref([pair(i) for i in range(16)]), policy=model_ref(micro_copy), lora_r=4, global_batch_size=4)
    kept = Features(tmp_path / "kept")
    run(step.model_copy(update={"max_steps": 3}), tmp_path / "first", kept)
    assert asked == [4, 4, 4]
    run(step, tmp_path / "second", kept)
    assert asked == [4, 4, 4, 4]


def test_another_reference_and_other_batches_have_entries_of_their_own(tmp_path: Path) -> None:
    cache, calls = Features(tmp_path), 0
    batch = {"input_ids": torch.tensor([[1, 2, 3], [1, 2, 4]]), "completion_mask": torch.tensor([[0, 1, 1], [0, 1, 1]])}

    def said() -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal calls
        calls += 1
        return torch.tensor([float(calls)]), torch.tensor([-float(calls)])

    def ask(about: str, batch: dict[str, torch.Tensor]) -> float:
        return KeptReference(cache, {"policy": about})(batch, said)[0].item()

    assert [ask("a", batch), ask("a", batch), ask("b", batch), ask("b", batch)] == [1, 1, 2, 2]
    assert ask("a", {**batch, "completion_mask": torch.tensor([[0, 0, 1], [0, 1, 1]])}) == 3
    assert ask("a", {name: tensor.flip(0) for name, tensor in batch.items()}) == 4
    assert ask("a", batch) == 1
