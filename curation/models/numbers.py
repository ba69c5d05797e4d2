"""Which numbers a model is computed in, on the machine at hand.

`dtype: bfloat16` in a recipe says how exact the work must be: half-precision numbers are good enough. Most processors
without instructions for them compute them one at a time, 10 to 300 times slower than float32 (measured with torch 2.13 on
AVX2), so there the same step computes in float32, which is never less exact. Which it was is noted in the manifest.
"""

from __future__ import annotations

from typing import Literal

import torch

Dtype = Literal["float32", "bfloat16"]


def fast_bfloat16(device: str) -> bool:
    """True when the device computes bfloat16 natively."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return True


def numbers(wanted: Dtype, device: str) -> torch.dtype:
    """The dtype to load and compute a model in: what was asked for, or float32 where that is faster."""
    if wanted == "bfloat16" and fast_bfloat16(device):
        return torch.bfloat16
    return torch.float32
