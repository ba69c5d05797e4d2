"""Removes exact duplicates: rows that say the same, up to white space and Unicode form.

Only a 64-bit key of each row takes part in the comparison (xxh3, stable across versions and machines). Of the rows
with one key the one with the smallest (id, origin) stays, so the survivor does not depend on the order of the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from curation.operator import Selector

if TYPE_CHECKING:
    import polars as pl


class ExactDedup(Selector):
    """Keeps one of several equal rows. Reason: `duplicate`.

    Two chats are equal when their roles and texts are, with white space squeezed and Unicode composed; tool calls,
    tools, a good/bad label and a verdict count too, so that rows that contradict each other both stay.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"conversations", "candidates", "preferences"})
    op: Literal["exact_dedup"] = "exact_dedup"
    ignore_case: bool = False
    """Whether `Hello` and `hello` are equal."""

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl
        import polars_hash  # noqa: F401  # registers `nchash`

        from curation.frame import netstring
        from curation.operators.text import squeezed_chat

        chats = [c for c in ("messages", "prompt", "answers", "chosen", "rejected") if c in frame.columns]
        rest = [c for c in ("tools", "label", "verdict") if c in frame.columns]
        texts = frame.select(*(squeezed_chat(c).alias(c) for c in chats), *(pl.col(c).cast(pl.String) for c in rest))
        if self.ignore_case:
            texts = texts.with_columns(pl.col(chats).str.to_lowercase())
        said: Any = pl.col("said")
        framed = texts.select(pl.concat_str([netstring(pl.col(c)) for c in texts.columns]).alias("said"))
        return framed.select(said.nchash.xxh3_64().alias("key"))

    def choose(self, table: pl.DataFrame) -> pl.Series:
        import polars as pl

        ordered = table.with_row_index("row").sort("id", "origin", "row")
        later = pl.col("row").cum_count().over("key") > 1
        reason = pl.when(later).then(pl.lit("duplicate")).alias("reason")
        return ordered.select("row", reason).sort("row")["reason"]
