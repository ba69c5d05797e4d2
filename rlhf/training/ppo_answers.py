"""Answers of the policy as it is now: the prompts of an update, and a model that writes fast.

Writing with an adapter beside the weights is slower. So for each update's answers there is a copy of the layers with
the adapter added to their weights, laid out for the CPU's kernels; it shares all else with the base and is gone before
anything is learned, so the two peaks of memory do not add up. The base itself is never touched, so that the reference
stays what it was to the last bit. Quantized layers and DoRA's are no plain sums, and write with their adapter.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import nn

from curation.conversation import Conversation
from curation.models.generation import Completion, Request, generate, prompt_key
from curation.models.loading import Loaded
from curation.models.packing import packed
from curation.models.settings import Sampling
from curation.progress import SILENT
from rlhf.training.encoding import Encodings
from rlhf.training.order import BatchOrder
from rlhf.training.ppo_actors import POLICY, Actors


class Prompts:
    """The prompts that are asked, in an order that is a function of the seed: epoch after epoch, each time anew.

    Args:
        rows: As `rlhf.training.answering.for_online` gives them.
        batch: Prompts of one update.
    """

    def __init__(self, rows: Encodings, *, batch: int, seed: int, by_length: bool = True) -> None:
        self.counts = rows.counts
        self.kept: list[tuple[Conversation, Request]] = [
            (row, Request(prompt_key(row), tuple(ids))) for row, ids in zip(rows.kept, rows.columns["ids"], strict=True)
        ]
        self.batch = batch
        self._order = BatchOrder(rows.sizes, batch, seed, by_length=by_length)
        self._epochs: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return len(self.kept)

    def of(self, update: int) -> list[tuple[Conversation, Request]]:
        """The prompts of an update, each with the request that draws an answer of its own."""
        found = []
        for place in range(update * self.batch, (update + 1) * self.batch):
            epoch, i = divmod(place, len(self.kept))
            if epoch not in self._epochs:
                self._epochs = {e: o for e, o in self._epochs.items() if e == epoch - 1}
                self._epochs[epoch] = self._order.order(epoch)
            row, request = self.kept[self._epochs[epoch][i]]
            found.append((row, Request(request.key, request.prompt, place)))
        return found


@dataclass
class Writer:
    """Draws answers from the policy."""

    actors: Actors
    tokenizer: Any
    template: Any
    how: Sampling
    batch_size: int
    merge: bool = True
    """False: write with the adapter beside the weights."""
    _copy: MergedCopy | None = None

    def write(self, requests: Sequence[Request], *, reference: bool = False) -> list[Completion]:
        """One answer a request, by the policy or by the reference, on the same random numbers."""
        with self._model(reference) as model:
            return generate(self.loaded(model), requests, self.how, batch_size=self.batch_size, progress=SILENT)

    def plain(self, text: str) -> str:
        """An answer as scorers read it: a control token that the model spelled out letter by letter is left out."""
        for token in self.tokenizer.all_special_tokens:
            text = text.replace(token, "")
        return text

    def loaded(self, model: Any = None) -> Loaded:
        """What talks to the model; by itself it only encodes."""
        name, dtype = "the policy", str(self.actors.inner.dtype).removeprefix("torch.")
        return Loaded(model or self.actors.inner, self.tokenizer, self.template, self.actors.device, dtype, name)

    @contextlib.contextmanager
    def _model(self, reference: bool) -> Iterator[Any]:
        adapters = self.actors.reference if reference else (POLICY,)
        layers = [m for m in self.actors.inner.modules() if isinstance(m, LoraLinear)]
        plain = all(type(m.get_base_layer()) is nn.Linear and not any(m.use_dora.values()) for m in layers)
        if self.merge and plain and len(layers) == len(self.actors.layers):
            if self._copy is None:
                self._copy = MergedCopy(self.actors.inner)
            with self._copy.with_adapters(adapters) as model:
                yield model
            return
        self.actors.use(adapters)
        with self.actors.computing():
            yield self.actors.inner


class MergedCopy:
    """A copy of a model with LoRA adapters added to its linear layers, for as long as it writes.

    All other weights are shared. Between two uses it holds no weights of its own.
    """

    def __init__(self, model: nn.Module) -> None:
        shared = {id(x): x for x in itertools.chain(model.parameters(), model.buffers())}
        self.model: Any = copy.deepcopy(model, shared)
        self._places = [
            (parent, name, layer)
            for parent in list(self.model.modules())
            if not isinstance(parent, LoraLinear)
            for name, layer in parent.named_children()
            if isinstance(layer, LoraLinear) or type(layer) is nn.Linear
        ]

    @contextlib.contextmanager
    def with_adapters(self, adapters: Sequence[str]) -> Iterator[Any]:
        """The copy, with these adapters in its weights."""
        for parent, name, layer in self._places:  # one at a time, so that no second copy of all weights is there
            setattr(parent, name, packed(_merged(layer, adapters) if isinstance(layer, LoraLinear) else layer))
        try:
            yield self.model
        finally:
            for parent, name, layer in self._places:
                setattr(parent, name, layer)


@torch.no_grad()
def _merged(layer: LoraLinear, adapters: Sequence[str]) -> nn.Linear:
    base: Any = layer.get_base_layer()
    weight = base.weight
    for adapter in adapters:
        if adapter in layer.lora_A:
            weight = weight + layer.get_delta_weight(adapter).to(weight.dtype)
    with torch.device("meta"):
        linear = nn.Linear(base.in_features, base.out_features, bias=base.bias is not None)
    linear.weight = nn.Parameter(weight.detach(), requires_grad=False)
    linear.bias = base.bias
    return linear
