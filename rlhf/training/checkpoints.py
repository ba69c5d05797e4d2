"""Checkpoints that a killed run goes on from.

The trainer writes `checkpoint-<step>` folders file by file. A folder counts only once it holds the mark, which is
written last and after everything was flushed, so a checkpoint that a kill cut in half is never read. A run that goes
on from one makes the same bytes as a run that was never cut off (on a CPU).
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from curation.durable import flush
from rlhf.training import ranks

MARK = "complete"
KEPT = 2
"""Checkpoints on the disk: the last one is only deleted once the next one has its mark."""
EVERY_SECONDS = 30.0
"""Time between two checkpoints, where the profile does not count steps."""


def newest(folder: Path) -> Path | None:
    """The last whole checkpoint, or None. Halves are removed."""
    whole: dict[int, Path] = {}
    for path in folder.glob("checkpoint-*"):
        if (path / MARK).exists():
            whole[int(path.name.rpartition("-")[2])] = path
        else:
            shutil.rmtree(path)
    return whole[max(whole)] if whole else None


class Checkpoints(TrainerCallback):
    """Decides when to write one, and marks those that are whole.

    Args:
        every_steps: Optimizer steps between two; None goes by time.
        multiple: Only steps that are a multiple of this: where a run can be taken up again.
    """

    def __init__(self, every_steps: int | None, multiple: int = 1) -> None:
        self.every_steps = -(-every_steps // multiple) * multiple if every_steps else None
        self.multiple = multiple
        self.last = time.monotonic()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.last = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        due = (
            state.global_step % self.every_steps == 0
            if self.every_steps
            else time.monotonic() - self.last >= EVERY_SECONDS
        )
        due = due and state.global_step % self.multiple == 0
        due = due and state.global_step < state.max_steps  # after the last step the result itself is written
        if ranks.agreed(due):
            control.should_save = True
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        ranks.together()  # each process writes its own random state
        if not state.is_world_process_zero:
            return
        seal(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")
        self.last = time.monotonic()


def seal(folder: Path) -> None:
    """Marks a checkpoint as whole, once all of it is on the disk."""
    for path in folder.iterdir():
        flush(path)
    (folder / MARK).touch()
    flush(folder / MARK)
    flush(folder)
