"""What is asked of whom: a server, a question and its hash, an answer, and the cache between them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from curation.conversation import Message, canonical_json


class AnswerCache(Protocol):
    """Answers that were paid for, by the hash of their request. Outlives every run."""

    def get(self, key: str) -> dict[str, Any] | None: ...

    def put(self, key: str, response: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Endpoint:
    """A server, and how to treat it."""

    name: str
    """What recipes call it."""
    base_url: str
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key. A server on this machine needs none."""
    model: str | None = None
    """What the server calls the model; None: the same name."""
    usd_per_mtok: tuple[float, float] | None = None
    """Dollars for a million tokens: (prompt, completion). None: money is not counted."""
    concurrency: int = 8
    requests_per_minute: int | None = None
    """As many as are sent, retries included. None: as many as `concurrency` and the server's own limits allow."""
    timeout_s: float = 120.0

    @property
    def host(self) -> str:
        """For messages: an address may carry a password or a key, its host name does not."""
        return urlsplit(self.base_url).hostname or "the endpoint"

    def usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """The price of one answer."""
        dear = self.usd_per_mtok or (0.0, 0.0)
        return (prompt_tokens * dear[0] + completion_tokens * dear[1]) / 1e6


TOP_LOGPROBS = 20
"""Likeliest tokens that are asked for at each place of an answer: the most that OpenAI's API gives."""


@dataclass(frozen=True)
class Request:
    """One question to a model. Equal requests are one request: another draw needs another `sample`."""

    messages: tuple[Message, ...] = ()
    max_tokens: int = 1024
    temperature: float | None = 0.0
    """None: the server's default, for models that take no temperature."""
    sample: int = 0
    """Number of the draw; in the key, not in what is sent."""
    top_p: float | None = None
    """None: the server's default."""
    text: str | None = None
    """Raw text that the model goes on with, instead of messages: for servers that have `/completions`."""
    stop: tuple[str, ...] = ()
    """Texts at which the answer ends."""
    seed: int | None = None
    """Names the draws together with `sample`: other draws under another seed. In the key, not in what is sent, because
    few servers know it."""
    words: tuple[str, ...] = ()
    """Words whose probabilities are wanted wherever the answer holds one of them as a token: `odds` of the reply. Asks
    for the likeliest tokens at each place, which not every server tells."""

    def body(self, model: str) -> dict[str, Any]:
        """What is sent."""
        asked: dict[str, Any] = {"messages": [m.to_dict() for m in self.messages]}
        if self.text is not None:
            asked = {"prompt": self.text}
        optional = {"temperature": self.temperature, "top_p": self.top_p, "stop": list(self.stop) or None}
        given = {k: v for k, v in optional.items() if v is not None}
        if self.words:
            given |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        return {"model": model, **asked, "max_tokens": self.max_tokens, **given}

    def key(self, model: str) -> str:
        """Hash of the question and the draw; holds no address and no secret."""
        draw = {"sample": self.sample} if self.seed is None else {"sample": self.sample, "seed": self.seed}
        return hashlib.sha256(canonical_json({**self.body(model), **draw}).encode()).hexdigest()

    def most_tokens(self) -> int:
        """A bound on the tokens of the question: each is a byte of text or more, and a template adds a few around each
        message.
        """
        if self.text is not None:
            return len(self.text.encode()) + 16
        return sum(len(canonical_json(m.to_dict()).encode()) + 16 for m in self.messages)


@dataclass(frozen=True)
class Reply:
    """One answer."""

    text: str
    finished: bool = True
    """False when it was cut at `max_tokens`, or held back by a filter."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    withheld: bool = False
    """True when the server's filter held the answer back."""
    refused: str = ""
    """What the server said where it did not take the question (too long, against its rules); empty for an answer."""
    cached: bool = False
    """True when it was there already and cost nothing."""
    odds: tuple[tuple[int, dict[str, float]], ...] = ()
    """(place in the text, word -> probability) wherever one of the request's `words` stands as a token; of the other
    words those that the server named there. Empty where the server does not tell."""
