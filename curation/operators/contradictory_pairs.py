"""Pairs that contradict each other: the same two answers to the same prompt, and once this one is better, once that.

Such pairs come from several judges, from poured-together sets, or from a judge that is not sure. A trainer that sees
both learns nothing from them but noise. Of each pair only hashes take part in the comparison.
"""

from __future__ import annotations

from collections import defaultdict
from math import fsum
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from curation.operator import Selector

if TYPE_CHECKING:
    import polars as pl


class ContradictoryPairs(Selector):
    """Drops preferences that another preference says the opposite of. Reason: `contradictory_pair`.

    Prompts and answers are the same up to white space and Unicode form. Ties contradict nothing.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"preferences"})
    op: Literal["contradictory_pairs"] = "contradictory_pairs"
    keep: Literal["none", "majority"] = "none"
    """`none` drops all pairs that take part. `majority` keeps those on the side with the larger sum of weights (of
    votes, where weights are equal), and none where both sides weigh the same."""

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl
        import polars_hash  # noqa: F401  # registers `nchash`

        from curation.frame import netstring
        from curation.operators.text import squeezed_chat

        texts = frame.select(squeezed_chat(c).alias(c) for c in ("prompt", "chosen", "rejected"))
        forth = pl.col("chosen") < pl.col("rejected")
        both = [pl.min_horizontal("chosen", "rejected"), pl.max_horizontal("chosen", "rejected")]
        said = texts.select(netstring(pl.col("prompt"), *both).alias("said"), forth.alias("forth"))
        said_expr: Any = pl.col("said")
        decided = pl.when(frame["verdict"] != "tie")
        return said.select(
            decided.then(said_expr.nchash.xxh3_64()).alias("key"),
            "forth",
            frame["weight"].alias("weight"),
        )

    def choose(self, table: pl.DataFrame) -> pl.Series:
        import polars as pl

        decided = pl.col("key").is_not_null()
        both = pl.col("forth").any().over("key") & pl.col("forth").not_().any().over("key")
        against = table.with_row_index("row").filter(decided & both)
        lost = set(against["row"])
        if self.keep == "majority":
            lost -= _winners(against)
        reasons = pl.Series("reason", [None] * len(table), dtype=pl.String)
        return reasons.scatter(sorted(lost), "contradictory_pair") if lost else reasons


def _winners(against: pl.DataFrame) -> set[int]:
    """Rows of the heavier side of each contradiction. Sums are exact, so that the order of rows changes nothing."""
    sides: dict[Any, tuple[list[tuple[int, float]], list[tuple[int, float]]]] = defaultdict(lambda: ([], []))
    for row, key, forth, weight in against.select("row", "key", "forth", "weight").iter_rows():
        sides[key][forth].append((row, weight))
    kept: set[int] = set()
    for back, forth in sides.values():
        a, b = (fsum(weight for _, weight in side) for side in (back, forth))
        if a != b:
            kept.update(row for row, _ in (back if a > b else forth))
    return kept
