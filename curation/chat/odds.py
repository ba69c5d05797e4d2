"""How likely a server finds each of a few words where it wrote one of them (OpenAI's `logprobs`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def read_odds(choice: Any, text: str, words: Sequence[str]) -> tuple[tuple[int, dict[str, float]], ...]:
    """(place in the text, word -> probability) of every token that is one of the words, white space around it aside.

    Nothing where the server does not tell, or where what it tells does not add up to the text.
    """
    tokens = getattr(getattr(choice, "logprobs", None), "content", None) or []
    found: list[tuple[int, dict[str, float]]] = []
    before = b""
    try:
        for token in tokens:
            raw = bytes(token.bytes) if token.bytes is not None else token.token.encode()
            said = token.token.strip()
            if said in words:
                start = before + raw[: len(raw) - len(raw.lstrip())]
                chances = dict.fromkeys((said,), 0.0)
                for other in token.top_logprobs or []:
                    word = other.token.strip()
                    if word in words:
                        chances[word] = chances.get(word, 0.0) + math.exp(other.logprob)
                if not chances[said]:
                    chances[said] = math.exp(token.logprob)
                found.append((len(start.decode()), chances))
            before += raw
    except (AttributeError, TypeError, ValueError):  # not in the format that it should be in
        return ()
    return tuple(found) if before.startswith(text.encode()) else ()  # some servers add the end token
