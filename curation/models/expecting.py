"""What a model would say next, among a few words: how likely each of them is, without writing anything.

A model that is asked for a number from 1 to 6 has an opinion about all six. The mean of the numbers, weighed by their
probabilities, says more than the one that it would write: it is not rounded, and it has no ties. One reading of the
prompt is enough for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch

from curation.errors import UserError
from curation.models.reading import batches, read
from curation.models.scoring import BATCH, output_logits

if TYPE_CHECKING:
    from curation.models.loading import Loaded


def word_tokens(loaded: Loaded, words: Sequence[str]) -> list[list[int]]:
    """For each short word the tokens that are it, white space around it aside; none where it takes several tokens."""
    tokenizer: Any = loaded.tokenizer
    if tokenizer not in _spelled:
        special = set(tokenizer.all_special_ids)
        short: dict[str, list[int]] = {}
        for i, text in enumerate(tokenizer.batch_decode([[i] for i in range(len(tokenizer))])):
            if len(text.strip()) <= _LONGEST and i not in special:
                short.setdefault(text.strip(), []).append(i)
        _spelled[tokenizer] = short
    return [_spelled[tokenizer].get(word, []) for word in words]


_LONGEST = 2
"""Characters of the words that are asked for here, at most."""
_spelled: WeakKeyDictionary[Any, dict[str, list[int]]] = WeakKeyDictionary()
"""What each token of a tokenizer reads as, where that is short: to decode a whole vocabulary takes a second."""


def next_words(loaded: Loaded, rows: Sequence[Sequence[int]], tokens: Sequence[Sequence[int]]) -> Any:
    """(rows, words) probabilities of what stands next, in float64; of all tokens, so a row may add up to little.

    Args:
        rows: Token ids, none empty; longest first they go through in batches.
        tokens: The tokens of each word.
    """
    model: Any = loaded.model
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    found = torch.zeros(len(rows), len(tokens), dtype=torch.float64)
    with torch.inference_mode():
        for places in batches([len(row) for row in rows], BATCH):
            batch = [rows[i] for i in places]
            hidden_BTD, start = read(inner.base_model, batch, min(map(len, batch)) - 1, loaded.device)
            last_B = torch.tensor([len(row) - 1 - start for row in batch], device=loaded.device)
            hidden_BD = hidden_BTD[torch.arange(len(places), device=loaded.device), last_B]
            chances_BV = output_logits(inner, hidden_BD).log_softmax(-1).exp()
            for word, ids in enumerate(tokens):
                found[places, word] = chances_BV[:, list(ids)].double().sum(-1).cpu()
    return found.numpy()


def expected_numbers(loaded: Loaded, rows: Sequence[Sequence[int]], most: int) -> list[float]:
    """The mean of the numbers from 1 to `most` that a model would say next, weighed by how likely each is among them.

    A ten that takes two tokens is told from a one by reading on after the one.

    Raises:
        UserError: the model has no token for one of the digits.
    """
    import numpy as np

    words = [str(n) for n in range(1, most + 1)]
    tokens = word_tokens(loaded, words)
    missing = [word for word, ids in zip(words, tokens, strict=True) if not ids and len(word) == 1]
    if missing:
        raise UserError(
            f"{loaded.name} has no token for the number {missing[0]}, so it cannot be asked for one",
            hint="name a model whose tokenizer writes digits",
        )
    chances = next_words(loaded, rows, tokens)
    if most == 10 and not tokens[9]:
        zero = word_tokens(loaded, ["0"])[0]
        after = next_words(loaded, [[*row, tokens[0][0]] for row in rows], [zero])[:, 0]
        chances[:, 9] = chances[:, 0] * after
        chances[:, 0] *= 1 - after
    total = chances.sum(axis=1, keepdims=True)
    even = np.full_like(chances, 1 / most)
    shares = np.where(total > 0, chances / np.where(total > 0, total, 1), even)
    return [float(x) for x in shares @ np.arange(1, most + 1)]


def within(loaded: Loaded, ids: Sequence[int]) -> list[int]:
    """The tokens of a prompt, without its middle where it is longer than the model reads.

    What is asked stands at the beginning and at the end.
    """
    spare = loaded.context - len(ids)
    if spare >= 0:
        return list(ids)
    head = loaded.context // 2
    return [*ids[:head], *ids[len(ids) - (loaded.context - head) :]]
