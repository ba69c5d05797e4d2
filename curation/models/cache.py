"""A key-value cache that is allocated once, and whose rows can leave.

transformers' own cache appends by copying all that it holds, at each layer and each token: a third of a decoding step
at a batch of 32. This one has room for the whole answer from the start. When rows leave the batch, the last rows move
into their places, so that only as much is copied as has left.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer

from curation.errors import UserError

_ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}


class RoomyLayer(DynamicLayer):
    """Keys and values of one layer in buffers of (rows, heads, capacity, width); `keys` and `values` show what is
    used.
    """

    keys: Tensor
    values: Tensor
    is_initialized: bool

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self._length = 0

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        rows, start, end = len(key_states), self._length, self._length + key_states.shape[2]
        if not self.is_initialized:
            self.device, self.dtype = key_states.device, key_states.dtype
            self._key_room, self._value_room = self._room(key_states), self._room(value_states)
            self.is_initialized = True
        self._key_room[:rows, :, start:end] = key_states
        self._value_room[:rows, :, start:end] = value_states
        self._length = end
        self._show(rows)
        return self.keys, self.values

    def _room(self, states: Tensor) -> Tensor:
        rows, heads, _, width = states.shape
        return states.new_empty(rows, heads, self.capacity, width)

    def _show(self, rows: int) -> None:
        self.keys = self._key_room[:rows, :, : self._length]
        self.values = self._value_room[:rows, :, : self._length]

    def get_seq_length(self) -> int:
        return self._length

    def keep(self, length: int) -> None:
        """Forgets all tokens of every row but the first `length`."""
        self._length = length
        if self.is_initialized:
            self._show(len(self.keys))

    def spread(self, rows: Tensor, capacity: int) -> RoomyLayer:
        """A new layer whose row i holds what row `rows[i]` of this one does, with room for `capacity` tokens."""
        new = RoomyLayer(capacity)
        new.update(self.keys[rows], self.values[rows])
        return new

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keeps the rows `indices`, in this order. No row may move up: `indices[i] >= i`."""
        for place, row in enumerate(indices.tolist()):
            if row != place:
                self._key_room[place, :, : self._length] = self._key_room[row, :, : self._length]
                self._value_room[place, :, : self._length] = self._value_room[row, :, : self._length]
        self._show(len(indices))


def new_cache(model: PreTrainedModel, capacity: int) -> Cache:
    """An empty cache for this many tokens a row.

    Layers that look at a window only are given room for everything: their attention mask hides the rest.

    Raises:
        UserError: the model has layers that keep a running state instead of keys and values.
    """
    config = model.config.get_text_config(decoder=True)
    if not has_keys_and_values(model):
        kinds = ", ".join(sorted(set(config.layer_types)))
        raise UserError(
            f"answers of a {config.model_type!r} model cannot be sampled: it has {kinds} layers",
            hint="use a model with attention in all layers",
        )
    return Cache(layers=[RoomyLayer(capacity) for _ in range(config.num_hidden_layers)])


def has_keys_and_values(model: PreTrainedModel) -> bool:
    """True when all layers attend, so that a cache of keys and values is all there is to remember."""
    config = model.config.get_text_config(decoder=True)
    return not set(getattr(config, "layer_types", None) or ["full_attention"]) - _ATTENTION


def sees_everything(model: PreTrainedModel) -> bool:
    """True when every layer looks at all that came before. A window is counted in places of the cache, padding too."""
    config = model.config.get_text_config(decoder=True)
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return set(kinds) == {"full_attention"}
    return getattr(config, "sliding_window", None) is None and getattr(config, "attention_chunk_size", None) is None


def spread(cache: Cache, rows: Tensor, capacity: int) -> Cache:
    """A new cache whose row i holds what row `rows[i]` of this one does, with room for `capacity` tokens."""
    return Cache(layers=[layer.spread(rows, capacity) for layer in cache.layers])


def fill_holes(alive: Tensor) -> Tensor:
    """Which rows to keep, and in which order, so that few of them move.

    Args:
        alive: (rows) True for rows that stay.

    Returns:
        (rows that stay) Row i stays in place where it can; the last rows fill the holes.
    """
    count = int(alive.sum())
    places = torch.arange(count, device=alive.device)
    holes = places[~alive[:count]]
    movers = torch.arange(count, len(alive), device=alive.device)[alive[count:]]
    places[holes] = movers
    return places
