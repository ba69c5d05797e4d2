"""Reading many rows at once: what the layers of a model make of each token.

Rows are padded on the right, where causal attention never looks, so no mask is needed. What all rows of a batch begin
with (a system prompt, most often) is read once: the rows then share its keys and values.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from curation.models.cache import has_keys_and_values, new_cache, spread

WORTH_SHARING = 8
"""Tokens from which on a common beginning is read once."""


def batches(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Places in `lengths`, longest first, `batch_size` at a time: rows of like length share a batch."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def common_beginning(rows: Sequence[Sequence[int]], most: int) -> int:
    """How many tokens all rows begin with, `most` at most; 0 when that is not worth a reading of its own."""
    first, last = (
        min(map(tuple, rows)),
        max(map(tuple, rows)),
    )  # in lexical order: what these two share, all between them share
    shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    shared = min(shared, most)
    return shared if shared >= WORTH_SHARING else 0


def cache_name(model: Any) -> str:
    """What a model's `forward` calls its key-value cache."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def read(layers: Any, rows: Sequence[Sequence[int]], most: int, device: torch.device) -> tuple[Tensor, int]:
    """The hidden states of the last layer, from some place on.

    Args:
        layers: A model without its head.
        rows: Token ids, of any lengths.
        most: The hidden states from this place on are wanted, so no more than that is shared.

    Returns:
        (rows, tokens, width) hidden states, and the place in a row that the first of them belongs to.
    """
    shared = common_beginning(rows, most) if len(rows) > 1 and has_keys_and_values(layers) else 0
    ids_BT = torch.zeros(len(rows), max(map(len, rows)) - shared, dtype=torch.long)
    for i, row in enumerate(rows):
        ids_BT[i, : len(row) - shared] = torch.tensor(row[shared:])
    ids_BT = ids_BT.to(device)
    if not shared:
        hidden_BTD: Tensor = layers(input_ids=ids_BT, use_cache=False).last_hidden_state
        return hidden_BTD, 0
    name = cache_name(layers)
    beginning_1T = torch.tensor([list(rows[0][:shared])], device=device)
    cache = new_cache(layers, shared)
    layers(input_ids=beginning_1T, use_cache=True, **{name: cache})
    cache = spread(cache, torch.zeros(len(rows), dtype=torch.long, device=device), shared + ids_BT.shape[1])
    positions_BT = torch.arange(shared, shared + ids_BT.shape[1], device=device).expand_as(ids_BT)
    out = layers(input_ids=ids_BT, position_ids=positions_BT, use_cache=True, **{name: cache})
    hidden_BTD = out.last_hidden_state
    return hidden_BTD, shared
