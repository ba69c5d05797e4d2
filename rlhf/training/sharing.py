"""What rows of a batch have in common is computed once.

All chats of a model begin with the same system prompt, and the two answers of a pair follow the same prompt. As rows
of a batch they are computed again for each row; here a batch becomes a tree. Rows that begin alike share a path, and
each token attends to the tokens above it and to no other, at the position that it has in its row. The hidden states,
the losses and the gradients are those of the rows, up to rounding. On 8 pairs with short answers less than half of
the tokens are left.

Several trees stand side by side as rows of a new batch, because a token looks at its whole tree, which costs time that
grows with the tree's size. How many there are is chosen by an estimate of the cost, and where sharing does not pay, the
batch stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

SIZES = (256, 512, 1024, 2048)
"""Sizes of trees that are tried."""
KNOWN = frozenset({"gemma", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "smollm3"})
"""Model types that place tokens by `position_ids` alone and take a mask of any shape; a test shows it for each."""


_FLAGS = ("use_cache", "return_dict", "output_attentions", "output_hidden_states")
"""What wrappers hand on and nobody here asked for."""


@dataclass(frozen=True)
class Tree:
    """A batch whose rows share what they begin with. G trees of at most M tokens, from N rows of at most L."""

    ids: Tensor
    """(G, M) tokens."""
    positions: Tensor
    """(G, M) place of each token in its row."""
    mask: Tensor
    """(G, 1, M, M): which token looks at which."""
    group: Tensor
    """(N) the tree of each row."""
    place: Tensor
    """(N, L) where in its tree each token of a row is; 0 for padding."""


def hidden_at(backbone: Any, config: Any, rows: Tensor, columns: Tensor, *args: Any, **inputs: Any) -> Tensor:
    """The last hidden states (K, D) of the tokens at (row, column) of a batch, with or without a tree.

    Args:
        backbone: A model without its output layer.
        config: The model's, for text.
        inputs: What the backbone takes; only plain batches padded on the right are made into trees.
    """
    given = {name: value for name, value in inputs.items() if value is not None and name not in _FLAGS}
    plain = not args and set(given) == {"input_ids", "attention_mask"}
    tree = tree_of(given["input_ids"], given["attention_mask"], config) if plain else None
    if tree is None:
        hidden: Tensor = backbone(*args, **given, use_cache=False).last_hidden_state
        return hidden[rows, columns]
    hidden = backbone(
        input_ids=tree.ids, position_ids=tree.positions, attention_mask=tree.mask, use_cache=False
    ).last_hidden_state
    return hidden[tree.group[rows], tree.place[rows, columns]]


def can_share(config: Any, length: int) -> bool:
    """Whether a model gives the same hidden states for a tree as for rows of up to this length."""
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    fits = window is None or length <= window
    return config.model_type in KNOWN and getattr(config, "_attn_implementation", None) == "sdpa" and fits


def tree_of(input_ids: Tensor, attention_mask: Tensor, config: Any) -> Tree | None:
    """The batch as trees, or None where that cannot be, or would be no faster.

    Args:
        input_ids: (N, L), padded on the right.
        attention_mask: (N, L), 1 for tokens.
        config: Of the model: the wider it is, the less it costs to look at a token beside all else that is done.
    """
    if input_ids.device.type != "cpu" or not can_share(config, input_ids.shape[1]):
        return None
    if bool((attention_mask[:, 1:] > attention_mask[:, :-1]).any()):
        return None  # padded on the left
    lengths = attention_mask.sum(1).tolist()
    tokens = input_ids.numpy()
    order = sorted(range(len(lengths)), key=lambda i: tokens[i, : lengths[i]].tolist())
    common = [0] + [_common(tokens, lengths, a, b) for a, b in pairwise(order)]

    def cost(rows: int, width: int) -> float:
        return rows * width * (1 + width / (3 * config.hidden_size))

    best, chosen = 0.95 * cost(*input_ids.shape), None
    for size in SIZES:
        groups = _groups([lengths[i] for i in order], common, size)
        width = max(sum(lengths[order[k]] - c for k, c in g) for g in groups)
        if cost(len(groups), width) < best:
            best, chosen = cost(len(groups), width), (groups, width)
    return _built(tokens, lengths, order, *chosen) if chosen else None


def _common(tokens: np.ndarray, lengths: Sequence[int], a: int, b: int) -> int:
    """How many tokens two rows begin with in common."""
    n = min(lengths[a], lengths[b])
    differ = np.flatnonzero(tokens[a, :n] != tokens[b, :n])
    return int(differ[0]) if len(differ) else n


def _groups(lengths: Sequence[int], common: Sequence[int], size: int) -> list[list[tuple[int, int]]]:
    """Rows in order, cut into trees: (place in the order, tokens that are in the tree already)."""
    groups: list[list[tuple[int, int]]] = []
    used = 0
    for k, length in enumerate(lengths):
        if groups and used + length - common[k] <= size:
            groups[-1].append((k, common[k]))
            used += length - common[k]
        else:
            groups.append([(k, 0)])
            used = length
    return groups


def _built(
    tokens: np.ndarray, lengths: Sequence[int], order: Sequence[int], groups: list[list[tuple[int, int]]], width: int
) -> Tree:
    n, longest = tokens.shape
    ids = np.zeros((len(groups), width), dtype=np.int64)
    positions = np.zeros_like(ids)
    mask = np.zeros((len(groups), width, width), dtype=bool)
    mask[:, np.arange(width), np.arange(width)] = True  # padding looks at itself, so that no softmax is empty
    group, place = np.zeros(n, dtype=np.int64), np.zeros((n, longest), dtype=np.int64)
    below = np.tril(np.ones((longest, longest), dtype=bool))
    for g, rows in enumerate(groups):
        used, path = 0, np.zeros(0, dtype=np.int64)
        for k, shared in rows:
            i = order[k]
            length = lengths[i]
            path = np.concatenate([path[:shared], np.arange(used, used + length - shared)])
            used += length - shared
            new = path[shared:]
            ids[g, new] = tokens[i, shared:length]
            positions[g, new] = np.arange(shared, length)
            mask[g, new[:, None], path[None, :]] = below[shared:length, :length]
            group[i] = g
            place[i, :length] = path
    return Tree(
        torch.from_numpy(ids),
        torch.from_numpy(positions),
        torch.from_numpy(mask)[:, None],
        torch.from_numpy(group),
        torch.from_numpy(place),
    )
