"""Which rows belong together: the groups that a split must not cut.

Rows are tied by what they share (a tree, a parent, a prompt ...); groups are the connected components of those ties.
Only short keys take part, never text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


def tie_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """What may tie a row to others: `tree`, `parent`, `source` (digest of the file) and `prompt`, each text or null.

    `prompt` is a hash of the first user message, whatever its case and white space.
    """
    import polars as pl
    import polars_hash  # noqa: F401  # registers `nchash`: hashes that are stable across versions

    from curation.operators.text import squeezed

    message = pl.element().struct
    asked = pl.col("messages" if "messages" in frame.columns else "prompt").list.eval(
        pl.when(message.field("role") == "user").then(message.field("content")).drop_nulls()
    )
    prompt: Any = squeezed(pl.col("asked")).str.to_lowercase()
    return frame.select(
        pl.col("meta").str.json_path_match("$.tree").alias("tree"),
        "parent",
        pl.col("source").struct.field("digest").alias("source"),
        asked.list.first().alias("asked"),
    ).select("tree", "parent", "source", prompt.nchash.xxh3_64().cast(pl.String).alias("prompt"))


def group_names(table: pl.DataFrame, by: str) -> pl.Series:
    """One name a row, equal for the rows of one group, and independent of the order and number of the other rows.

    Args:
        table: `id` and the columns of `tie_columns`.
        by: `prompt` and `source` tie by that column too; the group is then named by it. Else a group is named by its
            tree, or by the row from which its rows descend.
    """
    import polars as pl

    ties = [pl.concat_str(pl.lit("row:"), "id"), pl.concat_str(pl.lit("row:"), "parent")]
    ties += [pl.concat_str(pl.lit(f"{c}:"), c) for c in ("tree", *({by} & {"prompt", "source"}))]
    keys = table.select(t.alias(str(i)) for i, t in enumerate(ties))
    group = _components(keys)
    known = pl.DataFrame({"group": group, "id": table["id"], "parent": table["parent"]})
    here = known.select("group", pl.col("id").alias("parent"), here=pl.lit(True)).unique()
    roots = known.join(here, on=["group", "parent"], how="left", maintain_order="left").select(
        pl.when(pl.col("parent").is_null()).then("id").when(pl.col("here").is_null()).then("parent").alias("root")
    )["root"]
    column = by if by in ("prompt", "source") else "tree"
    named = pl.DataFrame({"group": group, "by": table[column], "root": roots, "id": table["id"]})
    name = pl.coalesce(
        pl.concat_str(pl.lit(f"{column}:"), pl.col("by").min().over("group")),
        pl.concat_str(pl.lit("row:"), pl.col("root").min().over("group")),
        pl.concat_str(pl.lit("row:"), pl.col("id").min().over("group")),
    )
    return named.select(name.alias("group"))["group"]


def _components(keys: pl.DataFrame) -> pl.Series:
    """The number of each row's connected component, where rows that share a value in any column are connected.

    Smallest label wins, along shared values and then along labels themselves (pointer jumping), until nothing moves.
    """
    import numpy as np
    import polars as pl

    long = keys.with_row_index("row").unpivot(index="row").drop_nulls("value")
    rows = long["row"].to_numpy()
    nodes = long["value"].rank("dense").cast(pl.Int64).to_numpy()
    label = np.arange(len(keys))
    while True:
        lowest = np.full(int(nodes.max(initial=0)) + 1, len(keys))
        np.minimum.at(lowest, nodes, label[rows])
        after = label.copy()
        np.minimum.at(after, rows, lowest[nodes])
        after = after[after]
        if np.array_equal(after, label):
            return pl.Series(label)
        label = after
