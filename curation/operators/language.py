"""Keeps chats of some languages. What is too short to tell, or code, is unknown, and unknown is not wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from curation.operator import Filter
from curation.operators.detection import detect, prose, unknown_codes, wanted
from curation.operators.text import Of

if TYPE_CHECKING:
    import polars as pl


class Language(Filter):
    """Drops chats that are in another language.

    Reasons: `other_language`, `unknown_language` (only with `unknown: drop`).

    A chat is judged by what user and assistant say in it, without code, tags and addresses. Languages are told by
    their script or by fastText's model of 176; the languages found, and how sure that is, are noted beside each row
    that goes.
    """

    op: Literal["language"] = "language"
    keep: tuple[str, ...] = ()
    """Languages that stay, as ISO 639 codes: `[en, vi]`. This or `drop`."""
    drop: tuple[str, ...] = ()
    """Languages that go; all others stay."""
    min_confidence: float = Field(0.5, gt=0, le=1)
    """How sure it must be that a chat is in a language, to keep it or to drop it for that; below, the language is
    unknown. Confidences of the languages named add up: Danish or Norwegian may be sure where neither is; several that
    are not named must reach the middle between this and 1."""
    min_letters: int = Field(20, ge=1)
    """Texts with fewer letters are unknown; a letter of Chinese, Japanese or Korean counts three."""
    unknown: Literal["keep", "drop"] = "keep"
    """What happens to chats whose language is unknown: too little text, nothing but code, or doubt."""
    of: Of | None = None
    """`chat` looks at all messages of user and assistant, `last` at the last message. None: the answer alone where
    `on` names one (`chosen`, `rejected`, `reply`), else the whole chat."""

    @model_validator(mode="after")
    def _sides(self) -> Self:
        if bool(self.keep) == bool(self.drop):
            raise PydanticCustomError("language", "language needs `keep` or `drop`, one of them: keep: [en, vi]")
        if wrong := unknown_codes(self.keep or self.drop):
            raise PydanticCustomError("language", "{text}", {"text": wrong})
        return self

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        codes = self.keep or self.drop
        found = self._found(frame)
        found = found.with_columns(inside=wanted(found, codes).fill_null(0.0))
        first, sure = pl.col("languages").list.first(), pl.col("confidences")
        named = first.is_in(list(codes)).fill_null(False)
        is_named = pl.col("inside") >= self.min_confidence
        # Doubt spreads over many languages, so that several which are not named must be surer together than one alone.
        several = sure.list.sum() - pl.col("inside") >= (1 + self.min_confidence) / 2
        is_other = ~named & ((sure.list.first() >= self.min_confidence) | several)
        fine, goes = (is_named, is_other) if self.keep else (is_other, named & is_named)
        doubt = pl.lit("unknown_language" if self.unknown == "drop" else None, dtype=pl.String)
        reason = pl.when(fine).then(None).when(goes).then(pl.lit("other_language")).otherwise(doubt)
        return found.select(reason.alias("reason"))["reason"]

    def evidence(self, frame: pl.DataFrame, reasons: pl.Series) -> pl.Series:
        import polars as pl

        gone = reasons.is_not_null().arg_true()
        said = pl.Series("evidence", [None] * len(frame), dtype=pl.String)
        if not len(gone):
            return said
        found = self._found(frame[gone])
        texts = [
            ", ".join(f"{n} {c:.2f}" for n, c in zip(names[:2], sure[:2], strict=True)) or "too little prose"
            for names, sure in zip(found["languages"].to_list(), found["confidences"].to_list(), strict=True)
        ]
        return said.scatter(gone, texts)

    def _found(self, frame: pl.DataFrame) -> pl.DataFrame:
        of = self.of or ("last" if self.on in ("chosen", "rejected", "reply") else "chat")
        return detect(prose(frame, of), self.min_letters)
