"""The rows that walk through the house: `Conversation`, `Candidates`, `Preference`, and how they are hashed.

An `id` is the hash of what people read (the messages and tools): people, caches and lineage know a row by it. An
`origin` says where the row came from (digest of the source file, index of the record in it). Nothing here depends on
Python's hash, on JSON whitespace or on a file format: text is framed as netstrings (D. J. Bernstein,
https://cr.yp.to/proto/netstrings.txt), which is injective and can be computed by a column engine as well as row by
row. `curation.frame` holds the same rows as Polars columns and computes the same ids.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = ("system", "user", "assistant", "tool")
ID_LENGTH = 32
"""Hex digits of an id: 128 bits of a sha256."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces, no NaN, real characters: equal values give equal text."""
    return _CANONICAL.encode(value)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def netstring(text: str) -> str:
    """`3:abc,`: the length in UTF-8 bytes, then the text. Concatenations of netstrings cannot collide."""
    return f"{len(text.encode())}:{text},"


def digest(*parts: str) -> str:
    """The first 128 bits, in hex, of the sha256 of the parts framed as netstrings."""
    return hashlib.sha256("".join(map(netstring, parts)).encode()).hexdigest()[:ID_LENGTH]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `content` is its text; everything else (tool calls, name, image parts by digest) is in `extra`."""

    role: str
    content: str
    extra: str | None = None
    """Canonical JSON of an object, or None. Keys are OpenAI's: `tool_calls`, `tool_call_id`, `name`, `parts`."""

    def framed(self) -> str:
        return netstring(self.role) + netstring(self.content) + netstring(self.extra or "")

    def to_dict(self) -> dict[str, Any]:
        """`{role, content, ...}` as chat templates and TRL take it."""
        return {"role": self.role, "content": self.content, **(json.loads(self.extra) if self.extra else {})}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The reverse of `to_dict`; keys whose value is None are left out."""
        extra = {k: v for k, v in record.items() if k not in ("role", "content") and v is not None}
        return cls(record["role"], record["content"], canonical_json(extra) if extra else None)


def framed(messages: Iterable[Message]) -> str:
    """The messages as one text: the input of every id."""
    return "".join(m.framed() for m in messages)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a row came from. `digest` and `index` are its origin; `dataset` and `file` are for people, in no hash."""

    dataset: str = ""
    file: str = ""
    digest: str = ""
    index: int = 0
    license: str = ""
    """SPDX id as the recipe states it; empty when unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the three row types share."""

    source: Source = field(default_factory=Source)
    parent: str | None = None
    """Id of the row that a mapper split or edited this one from; None for a row as it was read."""
    split: str | None = None
    """`train`, `test` or a name of the user's; None before an operator assigns one."""
    scores: Mapping[str, float] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON beside the text: `tree`, `lang`, a reference answer, `finished` ..."""

    def with_(self, **changes: Any) -> Self:
        """A copy with these fields changed; the id follows the new content by itself."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation(Row):
    """A chat. With `label` it is also a KTO row: True for a good last answer, False for a bad one."""

    messages: tuple[Message, ...]
    tools: str | None = None
    """Canonical JSON of the list of tools that the assistant may call, or None."""
    label: bool | None = None

    @property
    def id(self) -> str:
        return digest(framed(self.messages), self.tools or "")

    @property
    def prompt(self) -> tuple[Message, ...]:
        """Everything before the last assistant message; the whole chat when it does not end on one."""
        ends = bool(self.messages) and self.messages[-1].role == "assistant"
        return self.messages[:-1] if ends else self.messages

    @property
    def reply(self) -> str:
        """Text of the last message if the assistant wrote it, else the empty string."""
        ends = bool(self.messages) and self.messages[-1].role == "assistant"
        return self.messages[-1].content if ends else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a prompt."""

    content: str
    policy: str = ""
    """Digest (short) of the policy that wrote it; for people and joins, in no id."""
    finished: bool = True
    """True when the answer ended by itself, False when it was cut at the length limit."""
    extra: str | None = None

    def message(self) -> Message:
        return Message("assistant", self.content, self.extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates(Row):
    """Several answers to one prompt, in a fixed order."""

    prompt: tuple[Message, ...]
    answers: tuple[Answer, ...]

    @property
    def id(self) -> str:
        return digest(framed(self.prompt), framed(a.message() for a in self.answers))

    def conversations(self) -> list[Conversation]:
        """One conversation an answer; `meta` carries `finished`, so that a scorer can see it."""
        return [
            Conversation(
                messages=(*self.prompt, a.message()),
                source=self.source,
                parent=self.id,
                split=self.split,
                meta={**self.meta, "finished": a.finished},
            )
            for a in self.answers
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference(Row):
    """Two answers to one prompt, one preferred: TRL's `prompt, chosen, rejected` as message lists.

    Two conversations that share no prompt can be compared, too: then `prompt` is empty, and each side is a whole chat.
    """

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    verdict: str = "chosen"
    """`chosen`, or `tie`: then the order of the two means nothing and trainers leave the row out."""
    weight: float = 1.0
    decided_by: str = ""
    """`people`, or the name of the scorer, or the data set that says so."""

    @property
    def id(self) -> str:
        return digest(framed(self.prompt), framed(self.chosen), framed(self.rejected))

    @property
    def across(self) -> bool:
        """Whether each side brings a prompt of its own. A policy can learn nothing from such a pair."""
        return not self.prompt and bool(self.chosen) and self.chosen[0].role != "assistant"

    @property
    def prompts(self) -> tuple[tuple[Message, ...], ...]:
        """What is answered: one prompt, or that of each side."""
        return (self.chosen[:-1], self.rejected[:-1]) if self.across else (self.prompt,)

    @property
    def answers(self) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
        """(chosen, rejected) without prompts."""
        return (self.chosen[-1:], self.rejected[-1:]) if self.across else (self.chosen, self.rejected)

    def conversations(self) -> tuple[Conversation, Conversation]:
        """(prompt + chosen, prompt + rejected)."""

        def with_answer(answer: tuple[Message, ...]) -> Conversation:
            return Conversation(
                messages=(*self.prompt, *answer),
                source=self.source,
                parent=self.id,
                split=self.split,
                meta=self.meta,
            )

        return with_answer(self.chosen), with_answer(self.rejected)


AnyRow = Conversation | Candidates | Preference
