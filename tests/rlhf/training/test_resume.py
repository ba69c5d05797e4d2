"""A run that was killed goes on from its last whole checkpoint, and ends in the bytes of a run that was not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from small_runs import Make, chat, killed, model_ref, pair, publish, room
from transformers import TrainerControl, TrainerState, TrainingArguments

from curation.artifact import Policy, RewardModel
from rlhf.recipe.identity import artifact_digest
from rlhf.recipe.step import Done, Room
from rlhf.steps.cpo import Cpo
from rlhf.steps.distill import Distill
from rlhf.steps.dpo import Dpo
from rlhf.steps.grpo import Grpo
from rlhf.steps.kto import Kto
from rlhf.steps.orpo import Orpo
from rlhf.steps.reward import Reward
from rlhf.steps.rloo import Rloo
from rlhf.steps.sft import Sft
from rlhf.training.checkpoints import MARK, Checkpoints, newest

KILL_AT, SAVE_STEPS = 7, 2
TRAINING = {"save_steps": SAVE_STEPS, "per_device_train_batch_size": 2}


def digest(step: Any, own: Room) -> str:
    return artifact_digest(RewardModel if step.step == "reward" else Policy, own.out)


COMMON: dict[str, Any] = {
    "lora_r": 4,
    "learning_rate": 1e-3,
    "num_train_epochs": 2,
    "global_batch_size": 4,
    "lora_dropout": 0.1,
}
"""5 steps an epoch over 20 rows, two epochs, in micro-batches of 2, killed at step 7: the checkpoint of step 6 is
mid-epoch."""


def test_killed_and_resumed_is_never_killed(micro_copy: Path, rows_ref: Make, tmp_path: Path) -> None:
    chats, pairs = rows_ref([chat(i) for i in range(20)]), rows_ref([pair(i) for i in range(20)])
    common: dict[str, Any] = {"policy": model_ref(micro_copy), **COMMON}
    first = room(tmp_path / "first")
    parent = Sft(data=chats, policy=model_ref(micro_copy), lora_r=4, max_steps=2, learning_rate=1e-3)
    parent.run(first)
    below = publish(parent, first.out, micro_copy)
    going_on = {k: v for k, v in common.items() if "lora" not in k}
    steps = {
        "sft": Sft(data=chats, **common),
        "reward": Reward(data=pairs, disable_dropout=False, **common),
        "dpo": Dpo(data=pairs, disable_dropout=False, precompute_ref_log_probs=False, **common),
        "dpo, precomputed": Dpo(data=pairs, **common),
        "dpo, continued": Dpo(data=pairs, adapter="continue", **{**going_on, "policy": model_ref(below)}),
        "sft, all weights": Sft(data=chats, tune="full", **going_on),
    }
    kill_and_resume(steps, tmp_path)


def test_the_other_methods_too(micro_copy: Path, rows_ref: Make, tmp_path: Path) -> None:
    pairs = rows_ref([pair(i) for i in range(20)])
    judged = rows_ref([chat(i, label=i % 2 == 0) for i in range(20)])
    judged_good = rows_ref([chat(i) for i in range(20)])
    plain: dict[str, Any] = {"policy": model_ref(micro_copy), **COMMON}
    common: dict[str, Any] = {"policy": model_ref(micro_copy), "disable_dropout": False, **COMMON}
    steps = {
        "kto": Kto(data=judged, **common),
        "orpo": Orpo(data=pairs, **common),
        "cpo": Cpo(data=pairs, **common),
        "sft, pissa": Sft(data=judged_good, init_lora_weights="pissa", **plain),
        "sft, llama-adapter": Sft(
            data=judged_good,
            peft_type="adaption_prompt",
            adapter_layers=2,
            **{k: v for k, v in plain.items() if "lora" not in k},
        ),
    }
    kill_and_resume(steps, tmp_path)


def test_those_that_answer_while_they_train_too(micro_copy: Path, rows_ref: Make, tmp_path: Path) -> None:
    """GRPO learns 4 steps from the same answers: a checkpoint is written only after a multiple of them."""
    chats = rows_ref([chat(i) for i in range(20)])
    common: dict[str, Any] = {"policy": model_ref(micro_copy), "disable_dropout": False, **COMMON}
    answers = {**common, "prompts": chats, "rewards": ["brevity"], "num_generations": 2, "max_completion_length": 8}
    rloo = {"rloo": Rloo(max_steps=10, **answers)}
    grpo = {"grpo": Grpo(max_steps=10, generation_batch_size=8, num_iterations=2, **answers)}
    distill = Distill(prompts=chats, teacher=model_ref(micro_copy), max_steps=10, max_completion_length=8, **common)
    kill_and_resume({**rloo, "distill": distill}, tmp_path / "rloo")
    kill_and_resume(grpo, tmp_path / "grpo", last=4)


def kill_and_resume(steps: dict[str, Any], tmp_path: Path, *, last: int = KILL_AT - 1) -> None:
    """Runs each three times: killed after step 7, taken up again from the checkpoint of step `last`, undisturbed."""
    tmp_path.mkdir(exist_ok=True)
    killed("killed_runs.py", steps, tmp_path, KILL_AT, TRAINING)
    for name, step in steps.items():
        left = newest(tmp_path / "killed" / name / "work")
        assert left is not None
        assert left.name == f"checkpoint-{last}", name
        heard: list[str] = []
        resumed = room(tmp_path / "killed" / name, **TRAINING)
        resumed.progress = SimpleNamespace(bar=resumed.progress.bar, say=heard.append)  # type: ignore[assignment]
        again = step.run(resumed)
        assert f"going on from step {last}" in heard, name
        clean = room(tmp_path / "clean" / name, **TRAINING)
        whole = step.run(clean)
        assert digest(step, resumed) == digest(step, clean), name
        assert isinstance(again, Done)
        assert isinstance(whole, Done)
        assert again.curves["loss"] == whole.curves["loss"], name
        assert again.metrics == whole.metrics, name


def checkpoint(folder: Path, step: int, *, whole: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "trainer_state.json").write_text("{}")
    if whole:
        (path / MARK).touch()
    return path


def test_a_checkpoint_that_a_kill_cut_in_half_is_not_read(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    checkpoint(tmp_path, 9)
    last = checkpoint(tmp_path, 20)
    half = checkpoint(tmp_path, 30, whole=False)
    assert newest(tmp_path) == last  # 20 comes after 9 though "20" sorts before "9"
    assert not half.exists()


@pytest.mark.parametrize("torn", ["adapter_model.safetensors", "optimizer.pt", "trainer_state.json"])
def test_a_run_goes_on_past_a_half_checkpoint(micro_copy: Path, rows_ref: Make, tmp_path: Path, torn: str) -> None:
    step = Sft(
        data=rows_ref([chat(i) for i in range(16)]),
        policy=model_ref(micro_copy),
        lora_r=4,
        learning_rate=1e-3,
        global_batch_size=4,
    )
    own = room(tmp_path / "room", save_steps=1)
    step.run(own)
    clean = digest(step, own)
    kept = sorted(p.name for p in own.work.iterdir())
    assert kept == ["checkpoint-2", "checkpoint-3"]  # none after the last step, and never more than two
    file = own.work / "checkpoint-3" / torn
    file.write_bytes(file.read_bytes()[:50])
    (own.work / "checkpoint-3" / MARK).unlink()
    shutil.rmtree(own.out)
    own.out.mkdir()
    step.run(own)
    assert digest(step, own) == clean


def test_checkpoints_come_by_time_or_by_steps_and_are_marked_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("rlhf.training.checkpoints.time.monotonic", lambda: now[0])
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")

    def saves(callback: Checkpoints, step: int, steps: int = 100) -> bool:
        state = TrainerState(global_step=step, max_steps=steps, is_world_process_zero=True)
        return bool(callback.on_step_end(args, state, TrainerControl()).should_save)

    timed = Checkpoints(None)
    assert not saves(timed, 1)
    now[0] = 31.0
    assert saves(timed, 2)
    checkpoint(tmp_path, 2, whole=False)
    timed.on_save(args, TrainerState(global_step=2, is_world_process_zero=True), TrainerControl())
    assert (tmp_path / "checkpoint-2" / MARK).exists()
    assert not saves(timed, 3)  # the clock starts anew
    now[0] = 1000.0
    assert not saves(timed, 100)  # the result itself is written now

    counted = Checkpoints(10)
    assert [saves(counted, n) for n in (9, 10, 11, 100)] == [False, True, False, False]


def test_no_checkpoint_is_a_pickle_that_runs_code(micro_copy: Path, rows_ref: Make, tmp_path: Path) -> None:
    """Everything in a checkpoint loads with torch's `weights_only`, or is JSON or safetensors; but for one file that is
    never read."""
    import torch
    from transformers.trainer_pt_utils import safe_globals

    step = Sft(data=rows_ref([chat(i) for i in range(8)]), policy=model_ref(micro_copy), lora_r=2, global_batch_size=4)
    own = room(tmp_path / "room", save_steps=1)
    step.run(own)
    folder = newest(own.work)
    assert folder is not None
    for path in folder.iterdir():
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix in (".pt", ".pth"):
            with safe_globals():
                torch.load(path, weights_only=True)
        else:
            assert (
                path.suffix == ".safetensors"
                or path.name in (MARK, "training_args.bin")
                or "tok" in path.name
                or (path.suffix in (".jinja", ".md"))
            ), path
