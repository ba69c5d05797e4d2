"""Cuts chats that are longer than a model can be trained on into parts that are not.

A chat is cut only before a question: a question, its answer and what tools said between them belong together. Parts
take as many of these exchanges as fit, one after the other, and each begins with the chat's system message. No turn is
lost, the last exchange least of all: Vicuna's own script forgets it where it does not fit behind the one before it.

A part is as long as the model's chat template and tokenizer make it, measured on the part as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from curation.artifact import Policy, Ref
from curation.conversation import Message, canonical_json
from curation.models.pointer import NamesModel, OutsideModel
from curation.operator import Filter, Mapper
from curation.operators.by_policy import tokenizer_folder
from curation.operators.whole_chats import WholeChats

if TYPE_CHECKING:
    import polars as pl

Chat = tuple[tuple[Message, ...], str | None]
"""Messages and tools."""
_VICUNA_TURN = 6
"""Tokens that Vicuna adds a turn for role and separators."""
_SLACK = 8
"""By how many tokens, for each exchange, a part may be shorter than its exchanges alone: where it could fit, it is
measured."""


class SplitLong(WholeChats, NamesModel, Mapper, Filter):
    """Splits chats into parts of at most `max_length` tokens, each as the target model's chat template writes it.

    Parts have the chat as their `parent`, so that a `split` keeps them together; a label, which speaks of the last
    answer, stays with the last part. Reasons: `exchange_too_long` (a question with its answer that does not fit alone),
    `template_refuses` (the model's template cannot write such a chat).
    """

    asks_model: ClassVar[bool] = False
    op: Literal["split_long"] = "split_long"
    max_length: int = Field(ge=1)
    """Most tokens of a part, everything that the template writes included."""
    policy: Ref[Policy] | None = None
    """The step whose model will be trained (`base` is one); this or `model_name_or_path`."""
    model_name_or_path: OutsideModel | None = None
    """A model that no step makes; only its tokenizer and chat template are read."""
    model_revision: str | None = None
    """Commit, branch or tag of a model on the Hub."""
    too_long: Literal["drop", "keep"] = "drop"
    """What becomes of an exchange that is too long alone: `drop` drops it, and the chat goes on in parts before and
    behind it; `keep` leaves it as a part of its own that is longer than `max_length`."""
    compat: Literal["vicuna"] | None = None
    """`vicuna` measures as Vicuna did: the tokens of each text, with those that the tokenizer puts around a text, and 6
    more a turn; the chat template is not asked."""

    _tokenizer: Any = PrivateAttr(None)
    _template: Any = PrivateAttr(None)
    _known: dict[Chat, int | None] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if (self.policy is None) == (self.model_name_or_path is None):
            text = "split_long needs the model to be trained: `policy` (a step) or `model_name_or_path`, one of them"
            raise PydanticCustomError("model", text)
        return self

    def prepare(self) -> None:
        if self._tokenizer is None:
            from curation.models.loading import generation_config, load_tokenizer
            from curation.models.template import ChatTemplate

            folder = tokenizer_folder(self)
            tokenizer = load_tokenizer(folder)
            if self.compat is None:
                self._template = ChatTemplate(tokenizer, generation_config(folder))
            self._tokenizer = tokenizer

    def map_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        self._known.clear()
        chats = [_chat(*row) for row in frame.select("messages", "tools").iter_rows()]
        lengths = self._lengths(chats)
        if not any(length is not None and length > self.max_length for length in lengths):
            return frame
        origin: list[int] = []
        made: list[tuple[Message, ...]] = []
        place: list[int | None] = []  # of a part in `made`; None for a chat that stays whole
        last: list[bool] = []
        for i, (chat, length) in enumerate(zip(chats, lengths, strict=True)):
            parts = [] if length is None or length <= self.max_length else self._parts(chat)
            place += range(len(made), len(made) + len(parts)) if parts else [None]
            made += parts
            origin += [i] * max(len(parts), 1)
            last += [*[False] * (len(parts) - 1), True]
        records = [[{"role": m.role, "content": m.content, "extra": m.extra} for m in part] for part in made]
        parts_of = pl.Series("part", records, dtype=frame.schema["messages"])
        rows = frame[origin].with_columns(
            pl.Series("row", origin, dtype=pl.UInt32),
            pl.Series("place", place, dtype=pl.UInt32),
            pl.Series("last", last, dtype=pl.Boolean),
        )
        metas = [m if end else _of_the_chat(m) for m, end in zip(rows["meta"], last, strict=True)]
        return rows.with_columns(
            pl.coalesce(pl.lit(parts_of).gather(pl.col("place")), "messages").alias("messages"),
            pl.Series("meta", metas, dtype=pl.String),
            pl.when("last").then("label").alias("label"),
        ).drop("place", "last")

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        lengths = self._lengths([_chat(*row) for row in frame.select("messages", "tools").iter_rows()])
        too_long = "exchange_too_long" if self.too_long == "drop" else None
        words = ["template_refuses" if n is None else too_long if n > self.max_length else None for n in lengths]
        return pl.Series("reason", words, dtype=pl.String)

    def evidence(self, frame: pl.DataFrame, reasons: pl.Series) -> pl.Series:
        import polars as pl

        lengths = self._lengths([_chat(*row) for row in frame.select("messages", "tools").iter_rows()])
        said = [
            f"{n} tokens" if word == "exchange_too_long" else None for n, word in zip(lengths, reasons, strict=True)
        ]
        return pl.Series("evidence", said, dtype=pl.String)

    def _lengths(self, chats: Sequence[Chat]) -> list[int | None]:
        """Tokens of each chat; None where the template refuses it. What `map_frame` measured is not measured again."""
        new = [chat for chat in dict.fromkeys(chats) if chat not in self._known]
        if new:
            self._known.update(zip(new, self._measured(new), strict=True))
        return [self._known[chat] for chat in chats]

    def _measured(self, chats: Sequence[Chat], exact: bool = False) -> list[int | None]:
        """The same, measured; of a chat that fits for sure only so much is said if it need not be `exact`."""
        self.prepare()
        if self.compat == "vicuna":
            return _by_turns(self._tokenizer, chats)
        return _by_template(self._template, chats, 0 if exact else self.max_length)

    def _parts(self, chat: Chat) -> list[tuple[Message, ...]]:
        """The chat in parts, each as long as can be."""
        messages, tools = chat
        system = tuple(m for m in messages if m.role == "system")
        steps = exchanges([m for m in messages if m.role != "system"])
        if len(steps) < 2:
            return [messages]
        # What each part writes besides its exchanges, a system prompt of the template's own too, is in each length.
        pair = [system + steps[0] + steps[1], *(system + step for step in steps)]
        together, *alone = (n or 0 for n in self._measured([(part, tools) for part in pair], exact=True))
        shared = max(0, alone[0] + alone[1] - together)
        parts: list[tuple[Message, ...]] = []
        at = 0
        while at < len(steps):
            # A guess, as if lengths added up, which they do but for a few tokens; then the part itself is measured.
            end, total = at + 1, alone[at]
            while end < len(steps) and total + alone[end] - shared <= self.max_length:
                total += alone[end] - shared
                end += 1
            while end > at + 1 and not self._fits(system, steps[at:end], tools):
                end -= 1
                total -= alone[end] - shared
            while end < len(steps) and total + alone[end] - shared <= self.max_length + _SLACK * (end + 1 - at):
                if not self._fits(system, steps[at : end + 1], tools):
                    break
                total += alone[end] - shared
                end += 1
            parts.append(system + tuple(m for step in steps[at:end] for m in step))
            at = end
        return parts

    def _fits(self, system: tuple[Message, ...], steps: Sequence[tuple[Message, ...]], tools: str | None) -> bool:
        length = self._lengths([(system + tuple(m for step in steps for m in step), tools)])[0]
        return length is not None and length <= self.max_length


def exchanges(messages: Sequence[Message]) -> list[tuple[Message, ...]]:
    """A chat without its system messages, cut before each question; what stands before the first is one piece."""
    pieces: list[list[Message]] = []
    asked = False
    for message in messages:
        if not pieces or (message.role == "user" and not asked):
            pieces.append([])
        pieces[-1].append(message)
        asked = message.role == "user"
    return [tuple(piece) for piece in pieces]


def _chat(messages: list[dict[str, Any]], tools: str | None) -> Chat:
    return tuple(Message(m["role"], m["content"], m["extra"]) for m in messages), tools


def _of_the_chat(meta: str | None) -> str | None:
    """What is known about a chat, without what is known about its last answer."""
    known = json.loads(meta) if meta else {}
    known.pop("finished", None)
    return canonical_json(known) if known else None


def _by_template(template: Any, chats: Sequence[Chat], enough: int) -> list[int | None]:
    """Tokens of each chat as the template writes it.

    A text of so few bytes that it cannot have more than `enough` tokens is not encoded, and its bytes are what is said
    of it: no token is shorter than a byte, unless the tokenizer rewrites the text first.
    """
    from curation.models.template import Refused

    rewrites = template.tokenizer.backend_tokenizer.normalizer is not None
    lengths: list[int | None] = []
    long: dict[int, str] = {}
    for i, (messages, tools) in enumerate(chats):
        try:
            text = template.text(messages, tools)
        except Refused:
            lengths.append(None)
            continue
        size = len(text.encode()) + 1  # some tokenizers put a space in front
        if rewrites or size > enough:
            long[i] = text
        lengths.append(size)
    if long:
        encoded = template.tokenizer(list(long.values()), add_special_tokens=False)["input_ids"]
        for i, ids in zip(long, encoded, strict=True):
            lengths[i] = len(ids)
    return lengths


def _by_turns(tokenizer: Any, chats: Sequence[Chat]) -> list[int | None]:
    """Vicuna's measure: the tokens of each text by itself, and some for each turn."""
    texts = list(dict.fromkeys(m.content for messages, _ in chats for m in messages))
    counts = dict(zip(texts, map(len, tokenizer(texts)["input_ids"]), strict=True)) if texts else {}
    return [sum(counts[m.content] + _VICUNA_TURN for m in messages) for messages, _ in chats]
