"""Whether what is held out was trained on after all: by lineage, by tree, by what is asked, by nearly the same words.

Rows of both parts that come from the same row, record or tree are an error: no figure on the held-out rows would mean
anything, and a split that knows what they share keeps them together. Rows that merely ask or say the same came from
different places, so they are a warning with their number and an example, and the figures stay readable beside it.
"""

from __future__ import annotations

import polars as pl

from curation.errors import UserError
from curation.operators.groups import tie_columns
from curation.operators.near_dedup import near

_DIGITS = 12
"""Of an id, in a warning: `rlhf show` finds a row by as many."""


def refuse_overlap(train: pl.DataFrame, test: pl.DataFrame) -> None:
    """Checks that no row of one is, or comes from the same row, record or tree as, a row of the other.

    Raises:
        UserError: it names how many do, and an example.
    """
    shared = (
        train.lazy()
        .select(_lineage())
        .explode("line")
        .unique()
        .join(test.lazy().select("id", _lineage()).explode("line"), on="line")
    )
    found = shared.select("id", "line").unique().sort("id", "line").collect()
    if len(found):
        kinds = found["line"].str.extract(r"^(\w+) ").unique()
        what = "tree" if kinds.to_list() == ["tree"] else "rows"
        raise UserError(
            f"{found['id'].n_unique()} of {len(test)} held-out rows come from the same {what} as rows that are trained "
            f"on (the first: {found['id'][0]})",
            hint="split by what they share, before anything is made of them: `split: {test: 0.1, by: tree}`, "
            "or `same_as` a data set that is split already",
        )


def _lineage() -> pl.Expr:
    """What a row is and comes from: its id, its parent's, the record it was read from, and its tree."""
    source = pl.col("source").struct
    known = source.field("digest").fill_null("") != ""
    record = pl.concat_str(
        pl.lit("record "), source.field("digest"), pl.lit(" "), source.field("index").cast(pl.String)
    )
    return (
        pl.concat_list(
            pl.concat_str(pl.lit("row "), pl.col("id")),
            pl.concat_str(pl.lit("row "), pl.col("parent")),
            *(pl.concat_str(pl.lit("row "), pl.col("meta").str.json_path_match(f"$.parents[{n}]")) for n in (0, 1)),
            pl.when(known).then(record),
            pl.concat_str(pl.lit("tree "), pl.col("meta").str.json_path_match("$.tree")),
        )
        .list.drop_nulls()
        .alias("line")
    )


def alike(train: pl.DataFrame, test: pl.DataFrame) -> list[str]:
    """What to say of held-out rows that ask, or say, what a row that is trained on does; nothing where none do."""
    said = []
    asked = tie_columns(train).select("prompt").drop_nulls().unique()
    same = test.select("id").hstack(tie_columns(test).select("prompt")).join(asked, on="prompt")
    if len(same):
        said.append(
            f"{len(same)} of {len(test)} held-out rows ask what a row that is trained on asks (the first: "
            f"{same['id'].min()[:_DIGITS]}); `split: {{test: 0.1, by: prompt}}` keeps such rows together"  # type: ignore[index]
        )
    found = near(test, train)
    if len(found):
        first, other = found.row(0)
        said.append(
            f"{len(found)} of {len(test)} held-out rows say nearly what a row that is trained on says (the first: "
            f"{first[:_DIGITS]}, near to {other[:_DIGITS]}), so they are easier than new ones; "
            "`near_dedup` before the `split` leaves one of each"
        )
    return said
