"""A PPO run that is killed in the middle of an update goes on from its checkpoint, and ends in the same bytes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from small_runs import Make, chat, killed, model_ref, publish, room

from curation.artifact import Policy
from rlhf.recipe.identity import artifact_digest
from rlhf.recipe.step import Done
from rlhf.steps.ppo import Ppo
from rlhf.steps.sft import Sft
from rlhf.training.checkpoints import newest

TRAINING: dict[str, Any] = {"save_steps": 1, "per_device_train_batch_size": 4}
KILL_AT = 7
"""Two passes of two optimizer steps are an update: the third of the second update."""


def test_killed_in_an_update_and_resumed_is_never_killed(micro_copy: Path, rows_ref: Make, tmp_path: Path) -> None:
    common: dict[str, Any] = {
        "prompts": rows_ref([chat(i) for i in range(10)]),  # 1.6 times the prompts an update: epochs end within one
        "rewards": ["brevity"],
        "learning_rate": 3e-3,
        "global_batch_size": 16,
        "num_mini_batches": 2,
        "num_ppo_epochs": 2,
        "max_completion_length": 8,
        "max_steps": 3,
        "warmup_steps": 1,
        "target_kl": 0.5,
        "max_update_kl": 100.0,  # a number that stops nothing, or the place of the kill would move
    }
    first = room(tmp_path / "first")
    parent = Sft(data=rows_ref([chat(i) for i in range(8)]), policy=model_ref(micro_copy), lora_r=4, max_steps=2)
    parent.run(first)
    below = publish(parent, first.out, micro_copy)
    steps = {
        "new": Ppo(policy=model_ref(micro_copy), lora_r=4, **common),
        "continued": Ppo(policy=model_ref(below), adapter="continue", **common),
    }
    killed("killed_ppo.py", steps, tmp_path, KILL_AT, TRAINING)
    for name, step in steps.items():
        left = newest(tmp_path / "killed" / name / "work")
        assert left is not None
        assert left.name == "checkpoint-1", name
        assert set(torch.load(left / "optimizer.pt", weights_only=True)) == {"optimizer", "scheduler", "torch", "cuda"}
        heard: list[str] = []
        resumed = room(tmp_path / "killed" / name, **TRAINING)
        resumed.progress = SimpleNamespace(bar=resumed.progress.bar, say=heard.append)  # type: ignore[assignment]
        again = step.run(resumed)
        assert "going on from update 1" in heard, name
        clean = room(tmp_path / "clean" / name, **TRAINING)
        whole = step.run(clean)
        assert artifact_digest(Policy, resumed.out) == artifact_digest(Policy, clean.out), name
        assert isinstance(again, Done)
        assert isinstance(whole, Done)
        assert again.curves == whole.curves, name
        assert again.metrics == whole.metrics, name
        assert again.examples == whole.examples, name
        assert len({value for _, value in whole.curves["kl_coef"]}) > 1, "the controller moved, so its state matters"
