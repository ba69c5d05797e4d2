"""Drops chats that hold a word or phrase of a list: one's own, a file's, or one that ships."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from curation.artifact import InputFile
from curation.operator import Filter
from curation.operators.phrases import Phrases, found, phrases, read_phrases
from curation.operators.text import said

if TYPE_CHECKING:
    import polars as pl

ALPACA = (
    *("image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps", "draw", "plot"),
    *("go to", "video", "audio", "music", "flowchart", "diagram"),
)
"""What a model of text cannot do anything with: Alpaca's 18 words."""
LISTS: dict[str, tuple[str, ...]] = {"alpaca": ALPACA}
"""Lists that a recipe may name."""

Where = Literal["chat", "questions", "answers", "last"]


class Blocklist(Filter):
    """Drops chats that hold a listed word or phrase. Reason: `blocked_word`; the first one is noted beside the row.

    Words stand by themselves, by Unicode's rules (`map` is not in `mapping`); in scripts without spaces between words
    (Chinese, Japanese, Thai ...) they are found anywhere. White space inside a phrase is any white space.
    """

    op: Literal["blocklist"] = "blocklist"
    words: tuple[str, ...] = ()
    """Words and phrases."""
    lists: tuple[Literal["alpaca"], ...] = ()
    """Lists that ship. `alpaca`: the 18 words of tasks that a model of text cannot do (image, video, plot ...), which
    Alpaca looked for in instructions: `of: questions`."""
    file: InputFile | None = None
    """A file of one's own: one word or phrase a line; empty lines and lines that begin with `#` count for nothing."""
    ignore_case: bool = True
    """Whether `Map` counts where `map` is listed."""
    whole_words: bool = True
    """False finds what is listed inside other words too."""
    of: Where | None = None
    """`chat` looks at all messages, `questions` at the user's, `answers` at the assistant's, `last` at the last. None:
    the answer alone where `on` names one (`chosen`, `rejected`, `reply`), else the whole chat."""

    _listed: Phrases | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.words or self.lists or self.file):
            raise PydanticCustomError("blocklist", "blocklist needs `words`, `lists` or a `file`")
        if any(not word.strip() for word in self.words):
            raise PydanticCustomError("blocklist", "an empty word would be found in every message")
        return self

    def prepare(self) -> None:
        if self._listed is None:
            words = [*self.words, *(w for name in self.lists for w in LISTS[name])]
            words += read_phrases(self.file) if self.file else []
            self._listed = phrases(words, ignore_case=self.ignore_case, whole=self.whole_words)

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        first = self._first(frame)
        return pl.select(pl.when(first.is_not_null()).then(pl.lit("blocked_word")).alias("reason")).to_series()

    def evidence(self, frame: pl.DataFrame, reasons: pl.Series) -> pl.Series:
        import polars as pl

        gone = reasons.is_not_null().arg_true()
        said_of = pl.Series("evidence", [None] * len(frame), dtype=pl.String)
        return said_of.scatter(gone, self._first(frame[gone])) if len(gone) else said_of

    def _first(self, frame: pl.DataFrame) -> pl.Series:
        """The first listed phrase of each chat, or null."""
        self.prepare()
        assert self._listed is not None
        return first_in(frame, self._listed, where(self.of, self.on))


def where(of: Where | None, on: Any) -> Where:
    """Which messages are meant where a recipe does not say it."""
    return of or ("last" if on in ("chosen", "rejected", "reply") else "chat")


def messages_meant(frame: pl.DataFrame, of: Where) -> pl.DataFrame:
    """The messages that are meant, one a line, as `curation.operators.text.said` gives them."""
    import polars as pl

    if of == "questions":
        return said(frame).filter(pl.col("role") == "user")
    return said(frame, of)


def first_in(frame: pl.DataFrame, listed: Phrases, of: Where) -> pl.Series:
    """Of each chat the first phrase in the messages meant, or null."""
    import polars as pl

    lines = messages_meant(frame, of)
    lines = lines.select("row", found(lines["text"], listed).alias("first")).drop_nulls("first")
    firsts = lines.group_by("row", maintain_order=True).agg(pl.col("first").first())
    rows = pl.int_range(len(frame), dtype=pl.UInt32, eager=True).alias("row").to_frame()
    return rows.join(firsts, on="row", how="left", maintain_order="left")["first"]
