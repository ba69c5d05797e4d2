"""Drops chats with coarse language, by short lists of rude words in nineteen languages, or by a file of one's own.

This is a list, not judgement: for hatred and threats in polite words score with `toxicity` and a model.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from curation.artifact import InputFile
from curation.errors import did_you_mean
from curation.operator import Filter
from curation.operators.blocklist import Where, first_in, messages_meant, where
from curation.operators.phrases import Phrases, counted, phrases, read_phrases

if TYPE_CHECKING:
    import polars as pl


class Profanity(Filter):
    """Drops chats with more rude words than allowed. Reason: `profanity`; the first word is noted beside the row.

    Words stand by themselves: Scunthorpe, `assess` and `deputado` stay. A word of one language is looked for in texts
    of every language, so a list holds only what is rude everywhere.
    """

    op: Literal["profanity"] = "profanity"
    languages: tuple[str, ...] | None = None
    """Whose words are looked for, as ISO 639-1 codes: ar de en es fr hi id it ja ko nl pl pt ru th tr uk vi zh. None:
    all of them; an empty list: those of `file` alone."""
    file: InputFile | None = None
    """Words of one's own beside them: one word or phrase a line; lines that begin with `#` count for nothing."""
    max_words: int = Field(0, ge=0)
    """Most rude words that a chat may hold."""
    of: Where | None = None
    """`chat` looks at all messages, `questions` at the user's, `answers` at the assistant's, `last` at the last. None:
    the answer alone where `on` names one (`chosen`, `rejected`, `reply`), else the whole chat."""

    _listed: Phrases | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if wrong := unknown_language(self.languages or ()):
            raise PydanticCustomError("language", "{text}", {"text": wrong})
        if self.languages == () and self.file is None:
            raise PydanticCustomError("nothing", "profanity has no words to look for: name languages or a file")
        return self

    def prepare(self) -> None:
        if self._listed is None:
            self._listed = rude(self.languages, read_phrases(self.file) if self.file else ())

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        self.prepare()
        assert self._listed is not None
        rows = rude_words(frame, self._listed, where(self.of, self.on))
        return pl.select(pl.when(rows > self.max_words).then(pl.lit("profanity")).alias("reason")).to_series()

    def evidence(self, frame: pl.DataFrame, reasons: pl.Series) -> pl.Series:
        import polars as pl

        self.prepare()
        assert self._listed is not None
        gone = reasons.is_not_null().arg_true()
        said_of = pl.Series("evidence", [None] * len(frame), dtype=pl.String)
        return (
            said_of.scatter(gone, first_in(frame[gone], self._listed, where(self.of, self.on)))
            if len(gone)
            else said_of
        )


def unknown_language(languages: Iterable[str]) -> str | None:
    """What is wrong with the languages that somebody wrote, or None."""
    from curation.operators.profanity_words import PROFANITY

    unknown = next((language for language in languages if language not in PROFANITY), None)
    return None if unknown is None else f"there are no words in {unknown!r}; {did_you_mean(unknown, PROFANITY)}"


def rude(languages: Iterable[str] | None, more: Iterable[str] = ()) -> Phrases:
    """The rude words of these languages (None: of all) and more."""
    from curation.operators.profanity_words import PROFANITY

    chosen = PROFANITY if languages is None else languages
    return phrases([*(word for language in chosen for word in PROFANITY[language]), *more])


def rude_words(frame: pl.DataFrame, listed: Phrases, of: Where) -> pl.Series:
    """How many listed words each chat has in the messages meant."""
    import polars as pl

    lines = messages_meant(frame, of)
    counts = (
        lines.select("row", counted(lines["text"], listed).alias("count")).group_by("row").agg(pl.col("count").sum())
    )
    rows = pl.int_range(len(frame), dtype=pl.UInt32, eager=True).alias("row").to_frame()
    return rows.join(counts, on="row", how="left", maintain_order="left")["count"].fill_null(0)
