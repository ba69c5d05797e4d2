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
    timeout_s: float = 120.0

    @property
    def host(self) -> str:
        """For messages: an address may carry a password or a key, its host name does not."""
        return urlsplit(self.base_url).hostname or "the endpoint"

    def usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """The price of one answer."""
        dear = self.usd_per_mtok or (0.0, 0.0)
        return (prompt_tokens * dear[0] + completion_tokens * dear[1]) / 1e6


@dataclass(frozen=True)
class Request:
    """One question to a model. Equal requests are one request: another draw needs another `sample`."""

    messages: tuple[Message, ...]
    max_tokens: int = 1024
    temperature: float | None = 0.0
    """None: the server's default, for models that take no temperature."""
    sample: int = 0
    """Number of the draw; in the key, not in what is sent."""

    def body(self, model: str) -> dict[str, Any]:
        """What is sent."""
        body: dict[str, Any] = {
            "model": model,
            "messages": [m.to_dict() for m in self.messages],
            "max_tokens": self.max_tokens,
        }
        return body if self.temperature is None else {**body, "temperature": self.temperature}

    def key(self, model: str) -> str:
        """Hash of the question and the draw; holds no address and no secret."""
        return hashlib.sha256(canonical_json({**self.body(model), "sample": self.sample}).encode()).hexdigest()


@dataclass(frozen=True)
class Reply:
    """One answer."""

    text: str
    finished: bool = True
    """False when it was cut at `max_tokens`, or held back by a filter."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached: bool = False
    """True when it was there already and cost nothing."""
