"""Training on GPUs: one, several (DDP), and a model that is shared out (FSDP). Skipped where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import Make, chat, model_ref, room

from rlhf.cli import doctor
from rlhf.recipe.step import Done
from rlhf.steps.sft import Sft
from rlhf.training.strategy import environment

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
FSDP = """
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
fsdp_config: {fsdp_version: 2, fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP}
"""


@pytest.fixture
def step(micro_copy: Path, rows_ref: Make) -> Sft:
    chats = rows_ref([chat(i) for i in range(19)])
    common: dict[str, Any] = {"lora_r": 4, "learning_rate": 1e-3, "num_train_epochs": 2, "global_batch_size": 8}
    return Sft(data=chats, policy=model_ref(micro_copy), **common)


def curve(step: Sft, place: Path, **training: Any) -> list[float]:
    done = step.run(room(place, **training))
    assert isinstance(done, Done)
    return [loss for _, loss in done.curves["loss"]]


@needs_gpu
def test_a_gpu_learns_what_a_cpu_learns(step: Sft, tmp_path: Path) -> None:
    gpu = curve(step, tmp_path / "gpu", device="cuda")
    assert gpu == pytest.approx(curve(step, tmp_path / "cpu", device="cpu"), abs=1e-3)


@needs_gpu
def test_every_gpu_takes_its_share(step: Sft, tmp_path: Path) -> None:
    count = max(n for n in (1, 2, 4, 8) if n <= torch.cuda.device_count())
    shared = curve(step, tmp_path / "shared", device="cuda", num_processes=count)
    assert shared == pytest.approx(curve(step, tmp_path / "one", device="cuda"), abs=1e-3)


@needs_gpu
def test_a_model_that_is_shared_out_learns_the_same_and_is_saved_whole(step: Sft, tmp_path: Path) -> None:
    config = tmp_path / "fsdp.yaml"
    config.write_text(FSDP)
    count = max(n for n in (1, 2, 4, 8) if n <= torch.cuda.device_count())
    more = {"device": "cuda", "num_processes": count, "accelerate_config": str(config), "save_steps": 2}
    assert curve(step, tmp_path / "shared", **more) == pytest.approx(
        curve(step, tmp_path / "one", device="cuda"), abs=1e-3
    )
    assert (tmp_path / "shared" / "out" / "adapter_model.safetensors").stat().st_size == (
        tmp_path / "one" / "out" / "adapter_model.safetensors"
    ).stat().st_size


@pytest.mark.parametrize(("device", "state"), [("cpu", "ok"), ("mps", "note"), ("NVIDIA H100", "note")])
def test_doctor_says_on_what_nothing_was_measured(device: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.models.numerics_class", lambda _: {"device": device, "threads": 1})
    (found,) = doctor._device()
    assert (found.state, "nothing is measured" in found.hint) == (state, state == "note")
    assert device in found.text


def test_a_file_of_accelerate_reaches_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `accelerate launch` would set, on a machine with two GPUs; what recipe and profile say is left out."""
    config = tmp_path / "fsdp.yaml"
    config.write_text(FSDP + "mixed_precision: bf16\nnum_processes: 7\n")
    monkeypatch.setattr("rlhf.training.strategy.use_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    found = environment(config, 2, "cuda")
    assert found["ACCELERATE_USE_FSDP"] == "true"
    assert found["FSDP_VERSION"] == "2"
    assert found["FSDP_AUTO_WRAP_POLICY"] == "TRANSFORMER_BASED_WRAP"
    assert found["FSDP_STATE_DICT_TYPE"] == "FULL_STATE_DICT"
    assert not {"ACCELERATE_MIXED_PRECISION", "OMP_NUM_THREADS"} & set(found)
