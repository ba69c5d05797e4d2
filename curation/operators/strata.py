"""Kinds of rows, for operators that keep them in proportion or in bounds: by source, licence, label, language, what
`meta` says, or by the bin that a score falls into.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from curation.settings import ONE_OR_MORE, Settings

if TYPE_CHECKING:
    import polars as pl

COLUMNS = ("source", "file", "license", "label", "split", "language")
"""What of a row may be named."""
LETTERS = 20
"""Texts with fewer letters are of no language that could be told; as the filter `language` has it."""
META = "meta."


class Stratified(Settings):
    """Settings that say into which kinds rows fall."""

    by: Annotated[list[str], ONE_OR_MORE, Field(min_length=1)]
    """What makes rows of one kind, one thing or a list: `source` (name of the data set), `file`, `license`, `label`,
    `split`, `language` (the likeliest of 176, of a pair that of its prompt), `meta.KEY` (`meta.topic`, say), or the
    name of a score that `bins` cuts. Rows that lack it, or whose language cannot be told, are a kind of their own."""
    bins: dict[str, list[float]] = Field(default_factory=dict)
    """Score -> where it is cut, in rising order: `{words: [16, 64]}` makes three bins, below 16, from 16 to below 64,
    and from 64 on."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name in self.by:
            if name not in COLUMNS and name not in self.bins and not (name.startswith(META) and name != META):
                what = "{name} is neither one of {known}, nor meta.KEY, nor a score with its `bins`"
                raise PydanticCustomError("by", what, {"name": repr(name), "known": ", ".join(COLUMNS)})
        if len(set(self.by)) < len(self.by):
            raise PydanticCustomError("by", "`by` names the same thing twice")
        for name, edges in self.bins.items():
            if name not in self.by:
                raise PydanticCustomError("bins", "`bins` cuts {name}, which `by` does not name", {"name": repr(name)})
            if not edges or sorted(set(edges)) != edges:
                raise PydanticCustomError("bins", "the cuts of {name} must rise", {"name": repr(name)})
        return self

    def binned(self) -> frozenset[str]:
        """The scores that are cut."""
        return frozenset(self.bins)


def kinds(frame: pl.DataFrame, settings: Stratified) -> pl.Series:
    """The name of each row's kind, such as `source=dolly, words=16..64`."""
    import polars as pl

    if "language" in settings.by:
        frame = frame.with_columns(_languages(frame))
    parts = [
        pl.concat_str(pl.lit(f"{name}="), _named(frame, name, settings.bins.get(name)).fill_null("none"))
        for name in settings.by
    ]
    return frame.select(pl.concat_str(parts, separator=", ").alias("kind"))["kind"]


def _named(frame: pl.DataFrame, name: str, edges: Sequence[float] | None) -> pl.Expr:
    import polars as pl

    from curation.frame import SCORES

    if edges is not None:
        return _bin(pl.col(SCORES + name), edges)
    if name in ("source", "file"):
        return pl.col("source").struct.field("dataset" if name == "source" else "file")
    if name == "license":
        return pl.col("source").struct.field("license")
    if name.startswith(META):
        return pl.col("meta").str.json_path_match(f"$[{_quoted(name.removeprefix(META))}]")
    return pl.col(name).cast(pl.String) if name in frame.columns else pl.lit(None, dtype=pl.String)


def _languages(frame: pl.DataFrame) -> pl.Series:
    from curation.operators.detection import detect, prose
    from curation.views import view

    chats = frame if "messages" in frame.columns else view(frame, "prompt")
    return detect(prose(chats), LETTERS)["languages"].list.first().alias("language")


def _quoted(key: str) -> str:
    return "'" + key.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _bin(score: pl.Expr, edges: Sequence[float]) -> pl.Expr:
    """`low..high` of the bin; a score at a cut belongs to the bin above it."""
    import polars as pl

    texts = [f"{edge:g}" for edge in edges]
    made: Any = pl.when(score.is_null()).then(pl.lit(None, dtype=pl.String))
    for at, edge in enumerate(edges):
        made = made.when(score < edge).then(pl.lit(f"{texts[at - 1] if at else ''}..{texts[at]}"))
    named: pl.Expr = made.otherwise(pl.lit(f"{texts[-1]}.."))
    return named
