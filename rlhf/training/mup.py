"""Maximal update parametrization (muP, arXiv 2203.03466): a model whose best settings are the same at every width.

Under the usual parametrization wider layers take larger steps, so that the best learning rate falls with the width and
has to be looked for again at each size. Here the steps of the weights between hidden layers shrink with the width, the
logits with it too, and attention is divided by the width of a head and not by its root. Then activations stay of one
size however wide the model is, and what is best for a small one is best for a large one.

The table is that of Cerebras-GPT (arXiv 2304.03208, table 14), with m = width / base width and Adam:

    embedding          drawn with sigma,           rate lr,      output times `embedding_multiplier`
    hidden matrices    drawn with sigma / root(m), rate lr / m
    attention          q k / d, where d is the width of a head
    logits             divided by m
    gains of norms     rate lr

The model is transformers' Granite, a Llama with these multipliers in its config: it is saved, loaded, adapted and
exported as any other, and whoever uses it need not know about muP.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GraniteConfig, GraniteForCausalLM


def new_granite(*, multiplier: float, embedding_multiplier: float, **shape: Any) -> GraniteForCausalLM:
    """A model with random weights, drawn from torch's generator as the table says.

    Args:
        multiplier: m, how many times wider than the base it is.
        shape: Other fields of its config; `initializer_range` is sigma.
    """
    head = shape["hidden_size"] // shape["num_attention_heads"]
    config = GraniteConfig(
        **shape,
        embedding_multiplier=embedding_multiplier,
        logits_scaling=multiplier,
        attention_multiplier=1 / head,
        residual_multiplier=1.0,
    )
    model = GraniteForCausalLM(config)
    with torch.no_grad():
        for weight in _hidden(model):
            weight.mul_(multiplier**-0.5)
    return model


def rates(model: nn.Module, learning_rate: float, multiplier: float) -> list[dict[str, Any]]:
    """The parameter groups of Adam: hidden matrices learn at `learning_rate / multiplier`, all others at
    `learning_rate`.
    """
    hidden = list(_hidden(model))
    known = {id(weight) for weight in hidden}
    others = [weight for weight in model.parameters() if id(weight) not in known]
    return [{"params": others, "lr": learning_rate}, {"params": hidden, "lr": learning_rate / multiplier}]


def _hidden(model: nn.Module) -> Iterator[nn.Parameter]:
    """The matrices that grow with the width on both sides."""
    layers: Any = model.get_decoder().layers  # type: ignore[operator]
    return (module.weight for module in layers.modules() if isinstance(module, nn.Linear))


class Coordinates:
    """A coordinate check: how large activations are, layer by layer, while it is open.

    Run it over several widths after a few optimizer steps. Under muP what it finds does not grow with the width.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._hooks: list[Any] = []
        self.sizes: dict[str, float] = {}
        """Mean of |x| over tokens and coordinates at the last forward pass: of `attention 0`, `mlp 0` ... `logits`."""

    def __enter__(self) -> Coordinates:
        decoder: Any = self._model.get_decoder()  # type: ignore[operator]
        for i, layer in enumerate(decoder.layers):
            self._watch(layer.self_attn, f"attention {i}")
            self._watch(layer.mlp, f"mlp {i}")
        self._watch(self._model, "logits")
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _watch(self, module: nn.Module, name: str) -> None:
        def note(_: nn.Module, __: Any, out: Any) -> None:
            found: Tensor = out.logits if hasattr(out, "logits") else out[0] if isinstance(out, tuple) else out
            self.sizes[name] = float(found.detach().abs().mean())

        self._hooks.append(module.register_forward_hook(note))


def growth(widths: Sequence[int], sizes: Sequence[float]) -> float:
    """The exponent e of the nearest law `size = c * width ** e`: 0 is flat, 1 doubles with the width."""
    x = torch.tensor(widths, dtype=torch.float64).log()
    y = torch.tensor(sizes, dtype=torch.float64).log()
    x = x - x.mean()
    return float((x * (y - y.mean())).sum() / x.square().sum())
