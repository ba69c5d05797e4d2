"""Threads, device and dtype: the class of machine within which results are equal to the last bit.

`dtype` in a recipe says how fine the arithmetic has to be. What it is done in depends on the machine: a CPU without
instructions for bfloat16 multiplies such matrices five to ten times slower than float32 ones (17 against 116 GFLOP/s on
an EPYC with AVX2), so there float32 takes its place, which is finer and fast. A manifest notes both.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Any

import torch

from curation.errors import UserError
from curation.models.opened import close

_default: list[torch.device] = []


def set_threads(n: int | None) -> None:
    """Torch's CPU threads in this process. Two jobs with as many threads as cores each run 24 times slower."""
    if n:
        torch.set_num_threads(n)


def use_device(name: str = "auto") -> torch.device:
    """The device of everything that is loaded from now on: `auto` takes CUDA, then MPS, then the CPU.

    Raises:
        UserError: the machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    elif name == "cuda" and not torch.cuda.is_available():
        raise UserError("the profile asks for CUDA, and torch finds no such device", hint="set `device: auto`")
    elif name == "mps" and not torch.backends.mps.is_available():
        raise UserError("the profile asks for MPS, and torch finds no such device", hint="set `device: auto`")
    _default[:] = [torch.device(name)]
    return _default[0]


def device() -> torch.device:
    """What `use_device` chose last; `auto` before that."""
    return _default[0] if _default else use_device()


def has_bfloat16(where: torch.device | None = None) -> bool:
    """True when the device multiplies bfloat16 matrices at least as fast as float32 ones."""
    where = where or device()
    if where.type != "cpu":
        return where.type != "cuda" or bool(torch.cuda.is_bf16_supported(including_emulation=False))
    can: dict[str, Any] = torch.cpu.get_capabilities()
    return any(bool(can.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def compute_dtype(dtype: str, where: torch.device | None = None) -> torch.dtype:
    """What matrices are multiplied in, for a dtype that a recipe names (not `auto`)."""
    where = where or device()
    wanted: torch.dtype = getattr(torch, dtype)
    if wanted == torch.float32 or has_bfloat16(where):
        return wanted
    return torch.float32 if where.type == "cpu" or wanted == torch.bfloat16 else wanted


def numerics_class(dtype: str, where: torch.device | None = None) -> dict[str, Any]:
    """The numerics class for a manifest."""
    where = where or device()
    found: dict[str, Any] = {"device": where.type, "dtype": dtype, "threads": torch.get_num_threads(), "processes": 1}
    if dtype != "auto":
        found["computed_in"] = str(compute_dtype(dtype, where)).removeprefix("torch.")
    if where.type == "cuda":
        found["device"] = torch.cuda.get_device_name(where)
    else:
        found["cpu"] = torch.backends.cpu.get_cpu_capability()
    return found


def release() -> None:
    """Closes the model that scorers keep open, and gives memory that nothing uses any more back to the system."""
    close()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
        if trim:
            trim(0)
