"""Out of memory: half as many rows at once, the same batch, the same result, and said so. The failures are real: torch
is asked for more than a machine has, or a process is given no more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import Make, chat, model_ref, room

from curation.artifact import Policy
from curation.errors import UserError
from rlhf.recipe.identity import artifact_digest
from rlhf.recipe.step import Done
from rlhf.steps.memory import out_of_memory
from rlhf.steps.sft import Sft
from rlhf.training import sft
from rlhf.training.sft import Trainer

QUICK: dict[str, Any] = {"lora_r": 4, "learning_rate": 1e-3, "global_batch_size": 8}
MORE_THAN_THERE_IS = 1 << 50
"""Bytes: a petabyte."""


def only(rows: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lets a forward pass of more rows than this fail as it does when memory runs out; gives the sizes that failed."""
    loss, failed = Trainer.compute_loss, []

    def compute_loss(self: Any, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if len(inputs["input_ids"]) > rows:
            failed.append(len(inputs["input_ids"]))
            torch.empty(MORE_THAN_THERE_IS, dtype=torch.uint8)
        return loss(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(Trainer, "compute_loss", compute_loss)
    return failed


def test_rows_are_halved_and_the_batch_is_kept(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Sft(data=rows_ref([chat(i) for i in range(24)]), policy=model_ref(micro_copy), **QUICK)
    plain = room(tmp_path / "plain", per_device_train_batch_size=2)
    as_if = step.run(plain)
    failed = only(2, monkeypatch)
    own = room(tmp_path / "short", save_steps=1)
    done = step.run(own)
    assert failed == [8, 4]
    assert isinstance(done, Done) and isinstance(as_if, Done)
    assert [w for w in own.warnings if "memory" in w] == [
        "out of memory with 8 rows at once; going on with 4, 2 times for each step of the optimizer: the batch stays 8",
        "out of memory with 4 rows at once; going on with 2, 4 times for each step of the optimizer: the batch stays 8",
    ]
    assert [w for w in own.warnings if "memory" not in w] == plain.warnings, "no other warning twice"
    assert done.numerics["per_device_train_batch_size"] == 2
    assert done.numerics["gradient_accumulation_steps"] == 4
    assert done.curves == as_if.curves
    assert artifact_digest(Policy, own.out) == artifact_digest(Policy, plain.out)

    # A run that goes on from a checkpoint does not try what failed before.
    failed.clear()
    again = room(tmp_path / "short", save_steps=1)
    step.run(again)
    assert failed == []


def test_one_row_that_is_too_much_is_an_error_with_what_takes_less(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Sft(data=rows_ref([chat(i) for i in range(8)]), policy=model_ref(micro_copy), **QUICK)
    failed = only(0, monkeypatch)
    own = room(tmp_path)
    with pytest.raises(UserError, match=r"out of memory with 1 row at once \(.*can't allocate memory") as short:
        step.run(own)
    assert failed == [8, 4, 2, 1]
    assert "gradient_checkpointing: true" in short.value.hint
    assert not any(own.work.iterdir()), "a profile that asks for less is taken as it is the next time"


def test_another_error_is_no_lack_of_memory(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def train(step: Any, own: Any) -> dict[str, Any]:
        tried.append(own)
        return {"metrics": torch.zeros(2) @ torch.zeros(3)}

    monkeypatch.setattr(sft, "train", train)
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        Sft(data=rows_ref([chat(0)]), policy=model_ref(micro_copy), **QUICK).run(room(tmp_path))
    assert len(tried) == 1


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("shape mismatch"), False),
        (UserError("the memory of an elephant"), False),
    ],
)
def test_how_devices_say_it(error: Exception, is_it: bool) -> None:
    assert out_of_memory(error) is is_it


def test_a_process_that_is_given_no_more_memory_goes_on_with_less_at_once(micro: Path, tmp_path: Path) -> None:
    """8 rows of 924 tokens take some 130 MB beside the model; 70 are allowed. What the first try held is given back."""
    script = Path(__file__).with_name("short_of_memory.py")
    done = subprocess.run(
        [sys.executable, str(script), str(micro), str(tmp_path), "70"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows, said = done.stdout.splitlines()[-1].split(" ", 1)
    assert int(rows) in (1, 2, 4)
    assert said.startswith("out of memory with 8 rows at once; going on with 4")
