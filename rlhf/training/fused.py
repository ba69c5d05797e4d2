"""LoRA layers as one operation each, forward and backward, on a CPU; and the norms between them.

peft's layer is five operations, each of which reads and writes a tensor as large as the layer's output, and a gated
MLP keeps four such tensors for its backward pass. Here the adapter's product is added into the output in place, and the
MLP keeps what went into its activation and computes the activation again, which costs little: less memory, less time,
and on small models much less of Python and of autograd's bookkeeping. Outputs and gradients are peft's up to rounding.

With the adapter switched off, or at zero, the output is that of the frozen layer to the last bit.
"""

from __future__ import annotations

import types
from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn


def fuse(model: nn.Module) -> None:
    """Gives the model's LoRA layers, its gated MLPs made of them and its norms the operations of this module.

    What cannot have them (DoRA, quantized layers, dropout, other activations, other devices, mixed dtypes) stays as it
    is. Weights and their names are untouched.
    """
    for module in model.modules():
        if isinstance(module, LoraLinear) and _is_plain(module):
            module.forward = types.MethodType(_linear_forward, module)
        elif _is_gated_mlp(module):
            module.forward = types.MethodType(_mlp_forward, module)
        elif _is_rms_norm(module):
            module.forward = types.MethodType(_norm_forward, module)


def _is_plain(layer: LoraLinear) -> bool:
    return (
        type(layer.get_base_layer()) is nn.Linear
        and not any(layer.lora_bias.values())
        and not any(layer.use_dora.values())
        and all(isinstance(dropout, nn.Identity) for dropout in layer.lora_dropout.values())
    )


def _is_gated_mlp(module: nn.Module) -> bool:
    """Whether it is `down(silu(gate(x)) * up(x))`, as the code of llama and of those that follow it has it."""
    parts = [getattr(module, name, None) for name in ("gate_proj", "up_proj", "down_proj")]
    if not all(isinstance(part, LoraLinear) and _is_plain(part) for part in parts):
        return False
    x = torch.randn(3, parts[0].in_features, generator=torch.Generator().manual_seed(0))  # type: ignore[union-attr]
    with torch.no_grad():
        gate, up, down = (part.get_base_layer() for part in parts)  # type: ignore[union-attr]
        if gate.weight.device.type != "cpu" or gate.weight.dtype != torch.float32:
            return False
        disabled = [part._disable_adapters for part in parts]  # type: ignore[union-attr]
        for part in parts:
            part._disable_adapters = True  # type: ignore[union-attr]
        same = torch.equal(module(x), down(nn.functional.silu(gate(x)) * up(x)))
        for part, was in zip(parts, disabled, strict=True):
            part._disable_adapters = was  # type: ignore[union-attr]
    return bool(same)


def _is_rms_norm(module: nn.Module) -> bool:
    """Whether it is a frozen norm as llama has it: others add 1 to the weight, say."""
    weight = getattr(module, "weight", None)
    if not type(module).__name__.endswith("RMSNorm") or not hasattr(module, "variance_epsilon") or weight is None:
        return False
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or weight.requires_grad or weight.ndim != 1:
        return False
    x = torch.randn(3, len(weight), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return bool(torch.equal(module(x), _normed(x, weight, module.variance_epsilon)[0]))


def _normed(x: Tensor, weight: Tensor, epsilon: Any) -> tuple[Tensor, Tensor]:
    """(the norm, 1 / root mean square)."""
    scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon)
    return (x * scale).mul_(weight), scale


def _norm_forward(self: Any, x: Tensor) -> Tensor:
    if x.dtype != torch.float32 or x.device.type != "cpu":
        found: Tensor = type(self).forward(self, x)
        return found
    if not (x.requires_grad and torch.is_grad_enabled()):
        return _normed(x, self.weight, self.variance_epsilon)[0]
    found = _RmsNorm.apply(x, self.weight, self.variance_epsilon)
    return found


def _adapter(layer: LoraLinear, x: Tensor) -> tuple[Any, ...] | None:
    """(weight, bias, A, B, scaling) of the layer as it is switched; None where it takes peft's way."""
    base: Any = layer.base_layer
    weight = base.weight
    if x.dtype != weight.dtype or x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or layer.merged:
        return None
    if layer._disable_adapters:
        return weight, base.bias, None, None, 0.0
    active = [name for name in layer._active_adapter if name in layer.lora_A]
    if not active:
        return weight, base.bias, None, None, 0.0
    if len(active) > 1:
        return None
    name = active[0]
    a = layer.lora_A[name].weight
    if a.dtype != x.dtype:
        return None
    return weight, base.bias, a, layer.lora_B[name].weight, layer.scaling[name]


def _linear_forward(self: LoraLinear, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    how = None if args or kwargs else _adapter(self, x)
    if how is None:
        return type(self).forward(self, x, *args, **kwargs)
    weight, bias, a, b, scaling = how
    if a is None:
        return nn.functional.linear(x, weight, bias)
    found: Tensor = _LoraLinear.apply(x, weight, bias, a, b, scaling)
    return found


def _mlp_forward(self: Any, x: Tensor) -> Tensor:
    parts = [
        _adapter(part, x) if isinstance(part, LoraLinear) else None
        for part in (self.gate_proj, self.up_proj, self.down_proj)
    ]
    if any(part is None or part[2] is None or part[1] is not None for part in parts):
        found: Tensor = type(self).forward(self, x)
        return found
    flat = [value for part in parts for value in (part[0], *part[2:])]  # type: ignore[index]
    found = _LoraMlp.apply(x, *flat)
    return found


def _apply(x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scaling: float) -> tuple[Tensor, ...]:
    """(output, A x)."""
    low_Nr = x @ a.T
    return nn.functional.linear(x, weight, bias).addmm_(low_Nr, b.T, alpha=scaling), low_Nr


def _back(
    grad: Tensor, x: Tensor, low: Tensor, weight: Tensor, a: Tensor, b: Tensor, scaling: float, into: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a LoRA layer: that of the input, added to `into`, and those of A and B."""
    low_grad_Nr = (grad @ b).mul_(scaling)
    grad_x = grad @ weight if into is None else into.addmm_(grad, weight)
    grad_x.addmm_(low_grad_Nr, a)
    return grad_x, low_grad_Nr.T @ x, _grad_b(grad, low, scaling)


def _grad_b(grad: Tensor, low: Tensor, scaling: float) -> Tensor:
    return (low.T @ grad).mul_(scaling).T  # three times as fast as `grad.T @ low`


class _RmsNorm(torch.autograd.Function):
    """y = weight x / root mean square of x (arXiv 1910.07467), of which the weight is not trained."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        """Shapes: x (..., D), weight (D), result (..., D)."""
        y, scale = _normed(x, weight, epsilon)
        ctx.save_for_backward(x, scale, weight)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        x, scale, weight = ctx.saved_tensors
        grad = grads[0] * weight
        along = (grad * x).mean(-1, keepdim=True).mul_(scale**3)
        return grad.mul_(scale).addcmul_(x, along, value=-1), None, None


class _LoraLinear(torch.autograd.Function):
    """y = W x + bias + scaling B A x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scaling: float
    ) -> Tensor:
        """Shapes: x (..., in), weight (out, in), a (r, in), b (out, r), result (..., out)."""
        x_ND = x.reshape(-1, x.shape[-1])
        y_NE, low_Nr = _apply(x_ND, weight, bias, a, b, scaling)
        ctx.save_for_backward(x_ND, low_Nr, weight, a, b)
        ctx.scaling, ctx.shape = scaling, x.shape
        return y_NE.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x_ND, low_Nr, weight, a, b = ctx.saved_tensors
        grad_NE = grads[0].reshape(-1, grads[0].shape[-1])
        if not ctx.needs_input_grad[0]:
            low_grad_Nr = (grad_NE @ b).mul_(ctx.scaling)
            return None, None, None, low_grad_Nr.T @ x_ND, _grad_b(grad_NE, low_Nr, ctx.scaling), None
        grad_x, grad_a, grad_b = _back(grad_NE, x_ND, low_Nr, weight, a, b, ctx.scaling, None)
        return grad_x.view(ctx.shape), None, None, grad_a, grad_b, None


class _LoraMlp(torch.autograd.Function):
    """y = down(silu(gate(x)) * up(x)), each of the three a linear layer without bias and its adapter."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *parts: Any) -> Tensor:
        """Of x (..., D); `parts` has W, A, B and the scaling of gate, up and down, in this order."""
        x_ND = x.reshape(-1, x.shape[-1])
        gate_w, gate_a, gate_b, gate_s, up_w, up_a, up_b, up_s, down_w, down_a, down_b, down_s = parts
        gate_NE, gate_low = _apply(x_ND, gate_w, None, gate_a, gate_b, gate_s)
        up_NE, up_low = _apply(x_ND, up_w, None, up_a, up_b, up_s)
        y_ND, down_low = _apply(nn.functional.silu(gate_NE).mul_(up_NE), down_w, None, down_a, down_b, down_s)
        weights = (gate_w, gate_a, gate_b, up_w, up_a, up_b, down_w, down_a, down_b)
        ctx.save_for_backward(x_ND, gate_NE, up_NE, gate_low, up_low, down_low, *weights)
        ctx.scalings, ctx.shape = (gate_s, up_s, down_s), x.shape
        return y_ND.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x_ND, gate_NE, up_NE, gate_low, up_low, down_low, *weights = ctx.saved_tensors
        gate_w, gate_a, gate_b, up_w, up_a, up_b, down_w, down_a, down_b = weights
        gate_s, up_s, down_s = ctx.scalings
        grad_ND = grads[0].reshape(-1, grads[0].shape[-1])
        silu_NE = nn.functional.silu(gate_NE)
        grad_act, grad_down_a, grad_down_b = _back(
            grad_ND, silu_NE * up_NE, down_low, down_w, down_a, down_b, down_s, None
        )
        grad_up = silu_NE.mul_(grad_act)
        grad_gate = torch.ops.aten.silu_backward(grad_act.mul_(up_NE), gate_NE)
        grad_x, grad_up_a, grad_up_b = _back(grad_up, x_ND, up_low, up_w, up_a, up_b, up_s, None)
        grad_x, grad_gate_a, grad_gate_b = _back(grad_gate, x_ND, gate_low, gate_w, gate_a, gate_b, gate_s, grad_x)
        return (
            grad_x.view(ctx.shape),
            *(None, grad_gate_a, grad_gate_b, None),
            *(None, grad_up_a, grad_up_b, None),
            *(None, grad_down_a, grad_down_b, None),
        )
