"""`recipes/distill.yaml` in miniature: what a teacher learned from chats, a student learns from the teacher alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from through import RECIPES

from curation.models.lineage import Lineage
from rlhf.recipe.door import Recipe


def test_the_students_loss_falls_towards_its_teachers(micro_copy: Path, tmp_path: Path) -> None:
    toys = {"path": str(RECIPES / "data" / "smoke_chats.jsonl"), "format": "messages", "license": "apache-2.0"}
    changes: dict[str, object] = {
        **{f"{name}.model_name_or_path": str(micro_copy) for name in ("base", "large")},
        **{f"{name}.model_revision": None for name in ("base", "large")},
        **{f"{name}.learning_rate": 1e-2 for name in ("teacher", "distill")},
        "chats.datasets": [toys],
        "teacher.num_train_epochs": 6,
        "distill.num_train_epochs": 6,
        "distill.max_completion_length": 24,
    }
    made = Recipe.load("mini/distill", set=changes, store=tmp_path / "store").run(until="report")
    found = made["distill"].manifest.metrics
    before, after, goal = (found[f"held_out_loss{end}"] for end in ("_before", "", "_teacher"))
    assert goal < after < before
    assert found["way_to_the_teacher"] > 0.3
    assert len(Lineage.read(Path(made["distill"].path)).stack) == 0  # on the base, and not on the teacher
    report = made["report"].manifest.metrics
    assert report["distill"]["loss"]["mean"] == pytest.approx(after, abs=1e-3)
