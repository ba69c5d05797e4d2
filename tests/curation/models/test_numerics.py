"""What is computed in what, and on how many threads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from curation.errors import UserError
from curation.models import compute_dtype, device, has_bfloat16, numerics_class, set_threads, use_device
from curation.models.opened import close, opened

CPU = torch.device("cpu")


def test_bfloat16_is_used_only_where_the_machine_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for can, wanted in (
        ({"avx2": True, "avx512_bf16": False}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"bf16": True}, torch.bfloat16),
    ):
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda can=can: can)
        assert has_bfloat16(CPU) is (wanted == torch.bfloat16)
        assert compute_dtype("bfloat16", CPU) == wanted
        assert compute_dtype("float32", CPU) == torch.float32
        assert numerics_class("bfloat16", CPU)["computed_in"] == str(wanted).removeprefix("torch.")


def test_this_machine_is_seen_as_the_system_sees_it() -> None:
    info = Path("/proc/cpuinfo")
    if not info.exists() or "flags" not in info.read_text():
        pytest.skip("no x86 flags in /proc/cpuinfo")
    flags = set(info.read_text().split())
    assert has_bfloat16(CPU) == bool({"avx512_bf16", "amx_bf16"} & flags)


def test_threads_are_what_was_asked_for() -> None:
    before = torch.get_num_threads()
    try:
        set_threads(3)
        assert torch.get_num_threads() == numerics_class("float32", CPU)["threads"] == 3
        set_threads(None)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_device_that_is_not_there_is_an_error() -> None:
    assert use_device("cpu") == CPU == device()
    for name, there in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())):
        if not there:
            with pytest.raises(UserError, match=name.upper()) as error:
                use_device(name)
            assert "device: auto" in error.value.hint


def test_one_model_is_open_at_a_time() -> None:
    loads: list[str] = []

    def load(name: str) -> str:
        loads.append(name)
        return name

    for name in ("a", "a", "b", "b", "a"):
        assert opened((name,), lambda name=name: load(name)) == name
    close()
    assert loads == ["a", "b", "a"]


def test_pointing_at_a_model_imports_no_torch() -> None:
    code = (
        "import sys, curation.models, curation.operators.perplexity, curation.operators.reward_model\n"
        "import rlhf.steps.base, rlhf.steps.sample, rlhf.steps.pretrain\n"
        "late = {'torch', 'transformers', 'peft', 'polars', 'huggingface_hub', 'numpy'} & set(sys.modules)\n"
        "sys.exit(', '.join(late) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
