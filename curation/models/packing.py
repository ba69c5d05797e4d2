"""Linear layers whose weights lie in memory as the CPU's matrix kernels want them, for models that only answer.

A decoding step multiplies a few rows by every weight of the model. The usual kernels rearrange the weights each time,
which costs as much as the product: 95 GFLOP/s at 32 rows and 32 for an output layer of 49,152 tokens, against 133 and
107 once the weights have been rearranged (2 cores with AVX2). oneDNN does that, and so does torch when it compiles.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_USUAL_ROWS = 32
_WORTHWHILE = 1 << 18
"""Weights of a layer from which it pays: a packed layer takes 15 microseconds longer to begin, and packing it 200."""


class PackedLinear(nn.Module):
    """`nn.Linear` for inference on a CPU. Its weight can no longer be read."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._bias = linear.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _USUAL_ROWS)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")
        return out


def packed(linear: nn.Linear) -> nn.Module:
    """The layer, laid out for the kernels of a CPU.

    It is itself on any other device, where torch cannot do that, and where it is so small that the usual kernels are
    faster.
    """
    weight = linear.weight
    can = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    fits = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.bfloat16)
    return PackedLinear(linear) if can and fits and weight.numel() >= _WORTHWHILE else linear


def pack(model: nn.Module) -> None:
    """Replaces the linear layers of a model, one by one, so that memory hardly grows. Does nothing but on a CPU.

    An output layer that shares its weight with the embedding keeps that one and gets a packed copy. Adapters (which
    PEFT keeps by name) stay as they are.
    """
    for parent in list(model.modules()):
        if isinstance(parent, nn.ModuleDict):
            continue
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, packed(child))
