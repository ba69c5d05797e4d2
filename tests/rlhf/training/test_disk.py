"""A disk that is full at a checkpoint: the run ends and says so, and the next one goes on from the last whole one.

What is full here is a limit on the size of files (RLIMIT_FSIZE): writes come up short, as on a full disk, and need no
disk of their own.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from small_runs import Make, chat, model_ref, room

from curation.artifact import Policy
from curation.errors import disk_is_full
from rlhf.recipe.identity import artifact_digest
from rlhf.steps.sft import Sft
from rlhf.training.checkpoints import Checkpoints, newest


@contextmanager
def no_file_beyond(size: int | None) -> Iterator[None]:
    """Inside, none may be longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("fits", ["nothing", "the adapter, and not the optimizer"])
def test_a_full_disk_is_told_and_the_next_run_goes_on(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: str
) -> None:
    chats = rows_ref([chat(i) for i in range(24)])
    step = Sft(data=chats, policy=model_ref(micro_copy), lora_r=4, learning_rate=1e-3, global_batch_size=4)
    clean = room(tmp_path / "clean", save_steps=2)
    step.run(clean)
    adapter = (clean.out / "adapter_model.safetensors").stat().st_size
    allowed = {"nothing": 100, "the adapter, and not the optimizer": adapter + 1000}[fits]

    decide = Checkpoints.on_step_end

    def full_from_step_4(self: Checkpoints, args: Any, state: Any, control: Any, **more: Any) -> Any:
        if state.global_step == 4:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (allowed, hard))
        return decide(self, args, state, control, **more)

    own = room(tmp_path / "full", save_steps=2)
    with monkeypatch.context() as patch, no_file_beyond(None):
        patch.setattr(Checkpoints, "on_step_end", full_from_step_4)
        with pytest.raises(Exception) as failed:  # noqa: PT011  # each library raises its own
            step.run(own)
    assert disk_is_full(failed.value), repr(failed.value)
    left = newest(own.work)
    assert left is not None and left.name == "checkpoint-2"
    assert not (own.work / "checkpoint-4").exists(), "the half is gone"
    step.run(own)
    assert artifact_digest(Policy, own.out) == artifact_digest(Policy, clean.out)
