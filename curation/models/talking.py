"""A chat with one person: an answer comes out piece by piece, and what was said before is not read again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from curation.errors import UserError
from curation.models.cache import RoomyLayer, new_cache, spread
from curation.models.generation import Completion, NextToken, completion
from curation.models.sampling import choose, uniforms
from curation.models.settings import Sampling
from curation.models.template import Refused

if TYPE_CHECKING:
    from transformers.cache_utils import Cache

    from curation.conversation import Message
    from curation.models.loading import Loaded

_ROOM = 1024
"""Tokens for which the cache has room at first."""


class Talk:
    """One chat. `last` is the answer that was written last."""

    def __init__(self, loaded: Loaded, how: Sampling) -> None:
        self.loaded, self.how = loaded, how
        self.last: Completion | None = None
        self._next_token = NextToken(loaded)
        self._ids: list[int] = []  # what the cache holds
        self._cache: Cache | None = None

    def answer(self, messages: Sequence[Message]) -> Iterator[str]:
        """The next answer to the whole chat so far, in pieces that add up to its text.

        Raises:
            UserError: the template refuses the chat, or the model does not read that far.
        """
        for message in messages:
            for token in self.loaded.tokenizer.all_special_tokens:
                if message.role != "assistant" and token in message.content:
                    raise UserError(f"the text holds the control token {token}", hint="write it without")
        try:
            ids = self.loaded.template.prompt_ids(messages)
        except Refused as refusal:
            raise UserError(
                refusal.why, hint="begin a new chat, or give another template: --help says how"
            ) from refusal
        if len(ids) >= self.loaded.context:
            raise UserError(
                f"the chat has {len(ids)} tokens, and the model reads {self.loaded.context}", hint="begin a new one"
            )
        return self._pieces(ids)

    def _pieces(self, ids: list[int]) -> Iterator[str]:
        where = self.loaded.device
        most = min(self.how.max_completion_length, self.loaded.context - len(ids))
        chance = uniforms(self.how.seed, repr(ids), 0, most)
        cache = self._room_for(ids, len(ids) + most)
        unread, written, said = ids[len(self._ids) :], [], ""  # type: list[int], list[int], str
        finished = False
        for step in range(most):
            with torch.inference_mode():
                ids_1T = torch.tensor([unread], device=where)
                positions_1T = torch.arange(len(self._ids), len(self._ids) + len(unread), device=where)[None]
                logits_1V = self._next_token(ids_1T, positions_1T, cache)
                self._ids += unread
                chance_1 = torch.tensor([chance[step]], dtype=torch.float32, device=where)
                token = int(choose(logits_1V, self.how, chance_1))
            finished = token in self.loaded.template.ends
            if finished:
                break
            written.append(token)
            unread = [token]
            text = completion(self.loaded, written, finished=False).text  # without half a character at its end
            if len(text) > len(said):
                yield text[len(said) :]
                said = text
        self.last = completion(self.loaded, written, finished)
        yield self.last.text[len(said) :]

    def _room_for(self, ids: list[int], length: int) -> Cache:
        """The cache, cut back to what the chat still begins with, with room for `length` tokens."""
        same = next((i for i, (a, b) in enumerate(zip(self._ids, ids, strict=False)) if a != b), len(self._ids))
        same = min(same, len(ids) - 1)
        if self._cache is None:
            self._cache = new_cache(self._next_token.inner, max(length, _ROOM))
        layers = [layer for layer in self._cache.layers if isinstance(layer, RoomyLayer)]
        for layer in layers:
            layer.keep(same)
        if layers[0].capacity < length:
            everything = torch.zeros(1, dtype=torch.long, device=self.loaded.device)
            self._cache = spread(self._cache, everything, 2 * length)
        self._ids = ids[:same]
        return self._cache
