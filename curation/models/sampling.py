"""Choosing the next token: greedy, or by chance with exactly one random number a row and step.

The random numbers of a row depend on the seed, the row's key and the number of the sample, and on nothing else: not on
the batch that the row happens to be in, nor on how long its neighbours run. A token is drawn by inverting the
cumulative distribution, which is exact and costs one number; drawing one number for each of 49,152 tokens, as
`torch.multinomial` does, takes a third of a decoding step.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from curation.models.settings import Sampling

_FIRST_LOOK = 256
"""Tokens looked at first to find the smallest set that holds `top_p`."""


def uniforms(seed: int, key: str, sample: int, count: int) -> np.ndarray:
    """The random numbers of one answer: `count` float64 in [0, 1), from a Philox stream of its own.

    Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") is keyed, so that streams need no order.
    """
    digest = hashlib.sha256(f"{seed}\n{sample}\n{key}".encode()).digest()
    stream = np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
    return stream.random(count)


def choose(logits: Tensor, how: Sampling, uniforms: Tensor) -> Tensor:
    """The next token of each row.

    Args:
        logits: (rows, vocabulary), float32.
        uniforms: (rows) numbers in [0, 1); not looked at when greedy.

    Returns:
        (rows) token ids.
    """
    if how.greedy:
        return logits.argmax(-1)
    logits_BV = logits / how.temperature if how.temperature != 1 else logits
    vocabulary = logits_BV.shape[1]
    if 0 < how.top_k < vocabulary:
        best_BK, ids_BK = logits_BV.topk(how.top_k, -1)
        return _draw_nucleus(torch.softmax(best_BK, -1), ids_BK, how.top_p, uniforms)
    if how.top_p == 1:
        return draw(torch.softmax(logits_BV, -1), uniforms)
    log_total_B1 = logits_BV.logsumexp(-1, keepdim=True)
    looked_at = min(_FIRST_LOOK, vocabulary)
    while True:
        best_BK, ids_BK = logits_BV.topk(looked_at, -1)
        probs_BK = (best_BK - log_total_B1).exp()
        if looked_at == vocabulary or bool((probs_BK.sum(-1) >= how.top_p).all()):
            return _draw_nucleus(probs_BK, ids_BK, how.top_p, uniforms)
        looked_at = min(looked_at * 8, vocabulary)


def _draw_nucleus(probs_BK: Tensor, ids_BK: Tensor, top_p: float, uniforms_B: Tensor) -> Tensor:
    """Draws from the first tokens, in falling order of probability, that together hold `top_p` (Holtzman et al.
    2020).
    """
    if top_p < 1:
        before_BK = probs_BK.cumsum(-1) - probs_BK
        probs_BK = probs_BK.masked_fill(before_BK >= top_p, 0.0)
    return ids_BK.gather(-1, draw(probs_BK, uniforms_B)[:, None])[:, 0]


def draw(probs: Tensor, uniforms: Tensor) -> Tensor:
    """One index a row by inverting the cumulative sum; `probs` (rows, n) need not add up to 1."""
    cumulative_BN = probs.cumsum(-1)
    total_B1 = cumulative_BN[:, -1:]
    aim_B1 = uniforms[:, None].to(total_B1.dtype) * total_B1
    # Rounding must not lift the aim to the total, behind which nothing lies.
    aim_B1 = torch.minimum(aim_B1, torch.nextafter(total_B1, torch.zeros_like(total_B1)))
    return torch.searchsorted(cumulative_BN, aim_B1, right=True)[:, 0]
