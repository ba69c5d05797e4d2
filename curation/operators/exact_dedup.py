"""Removes exact duplicates: rows that say the same, up to white space and Unicode form.

Only a 64-bit key of each row takes part in the comparison (xxh3, stable across versions and machines). Of the rows
with one key the one with the smallest (id, origin) stays, so the survivor does not depend on the order of the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from curation.operator import Decision, Selector
from curation.operators.against import Others, chats

if TYPE_CHECKING:
    import polars as pl


class ExactDedup(Selector):
    """Keeps one of several equal rows. Reasons: `duplicate`, `duplicate_elsewhere`.

    Two chats are equal when their roles and texts are, with white space squeezed and Unicode composed; tool calls,
    tools, a good/bad label and a verdict count too, so that rows that contradict each other both stay. The row that
    stays is named beside each row that goes.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"conversations", "candidates", "preferences"})
    op: Literal["exact_dedup"] = "exact_dedup"
    of: Literal["row", "opening", "record"] = "row"
    """What makes rows equal: all that they say (`row`), of chats the first question with its answer (`opening`: one
    chat that was shared twice, at two lengths), or the id that the record had in its file (`record`; rows without one
    are compared whole). Pieces that a mapper cut from one chat share its record, so `record` belongs before it."""
    ignore_case: bool = False
    """Whether `Hello` and `hello` are equal."""
    against: Others = Field(default_factory=list)
    """Steps whose rows count as seen already: a row that is equal to one of theirs goes. Where `on` is set, it says
    what is compared there too."""

    @property
    def title(self) -> str:
        means: list[str] = [self.on] if self.on else []
        means += [self.of] if self.of != "row" else []
        return f"{self.op}({', '.join(means)})" if means else self.op

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl
        import polars_hash  # noqa: F401  # registers `nchash`

        from curation.frame import netstring
        from curation.operators.text import squeezed_chat

        if self.of == "opening" and "messages" in frame.columns:
            frame = frame.with_columns(_opening().alias("messages"))
        columns = [c for c in ("messages", "prompt", "answers", "chosen", "rejected") if c in frame.columns]
        rest = [c for c in ("tools", "label", "verdict") if c in frame.columns]
        texts = frame.select(*(squeezed_chat(c).alias(c) for c in columns), *(pl.col(c).cast(pl.String) for c in rest))
        if self.ignore_case:
            texts = texts.with_columns(pl.col(columns).str.to_lowercase())
        said: Any = pl.col("said")
        framed = texts.select(netstring(*map(pl.col, texts.columns)).alias("said"))
        if self.of == "record" and "meta" in frame.columns:
            own = frame["meta"].str.json_path_match("$.id")
            framed = framed.select(pl.coalesce(pl.lit("record ") + pl.lit(own), "said").alias("said"))
        return framed.select(said.nchash.xxh3_64().alias("key"))

    def decide(self, table: pl.DataFrame) -> Decision:
        import numpy as np
        import polars as pl

        keys = table["key"].to_numpy()
        # Only rows that share their key are looked at further: the table may be larger than what is convenient.
        ordered = np.sort(keys)
        places = np.flatnonzero(np.isin(keys, ordered[1:][ordered[1:] == ordered[:-1]]))
        del ordered
        groups = table.select("id", "origin", "key")[places].with_columns(place=places)
        groups = groups.sort("key", "id", "origin", "place").with_columns(
            pl.col("id").first().over("key").alias("stays"), (pl.col("place").cum_count().over("key") > 1).alias("goes")
        )
        gone = groups.filter("goes")
        reason = pl.Series("reason", [None] * len(table), dtype=pl.String)
        reason = reason.scatter(gone["place"], ["duplicate"] * len(gone))
        said = pl.Series("evidence", [None] * len(table), dtype=pl.String).scatter(gone["place"], gone["stays"])
        there = self._elsewhere(table["key"])
        if len(there):
            reason = reason.scatter(there["place"], ["duplicate_elsewhere"] * len(there))
            said = said.scatter(there["place"], there["stays"])
        return Decision(reason, evidence=said)

    def _elsewhere(self, keys: pl.Series) -> pl.DataFrame:
        """`place` of each row that another set has too, with the smallest id there as `stays`."""
        import polars as pl

        found = [pl.DataFrame(schema={"key": pl.UInt64, "stays": pl.String})]
        own = keys.to_frame("key")
        for ref in self.against:
            for frame in chats(ref, self.on):
                theirs = self.keys(frame).with_columns(frame["id"].alias("stays"))
                found.append(theirs.join(own, on="key", how="semi"))
        by_key = pl.concat(found).group_by("key").agg(pl.col("stays").min())
        return own.with_row_index("place").join(by_key, on="key", how="inner").select("place", "stays")


def _opening() -> pl.Expr:
    """The first message of a user and the first of the assistant; of chats without both, all of them."""
    import polars as pl

    role = pl.element().struct.field("role")
    firsts = [pl.col("messages").list.eval(pl.element().filter(role == who).head(1)) for who in ("user", "assistant")]
    both = pl.concat_list(firsts)
    return pl.when(both.list.len() == 2).then(both).otherwise("messages")
