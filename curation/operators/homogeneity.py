"""Drops whole sources whose rows all look alike: templates filled in, one task a thousand times.

GPT4All left out all of P3 after a look at a map of its data: each row was fine, the lot taught one thing. Here the look
is a number. Of each source a sample is drawn, and each of its rows is compared with all others of the sample: how much
it shares with the nearest, as the Jaccard similarity of their pairs of neighbouring words. The mean of that is low for
what people wrote (0.02 to 0.11 in seven public sets), 0.33 for chats around a few hundred tools, and above 0.55 for
templates, whose rows all have a twin nearby. A plain mean over pairs would miss a source of a hundred
templates: most pairs there have nothing in common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from curation.operator import Decision, Selector

if TYPE_CHECKING:
    import polars as pl

_SHINGLE = 2


class Homogeneity(Selector):
    """Drops every row of a source whose rows are alike. Reason: `homogeneous_source`.

    The figure is noted beside each row that goes. Rows that are the same do not make a source homogeneous, but near
    copies do: put `near_dedup` before it.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"conversations", "candidates", "preferences"})
    op: Literal["homogeneity"] = "homogeneity"
    max_similarity: float = Field(0.4, gt=0, le=1)
    """Highest mean similarity of a source's rows to the nearest row of the sample. What people wrote lies below
    0.12, templates above 0.55."""
    min_rows: int = Field(100, ge=2)
    """Sources with fewer different rows are not judged."""
    sample: int = Field(512, ge=2, le=4096)
    """Rows of a source that are compared, drawn by chance that can be repeated; work grows with its square."""
    by: Literal["dataset", "file", "source"] = "dataset"
    """What a source is: a data set of the recipe, each file of it, or what records name as their `source` in a data set
    that was poured together before (read with `columns: [prompt, response, source]`); those that name none are one
    source a data set."""
    seed: int = 0
    """Another one draws another sample."""

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl
        import polars_hash  # noqa: F401  # registers `nchash`

        from curation.operators.minhash import WORDS, sketches
        from curation.operators.near_dedup import shingled

        made = sketches(*shingled(frame, _SHINGLE))
        source = pl.col("source").struct
        name = source.field("dataset")
        if self.by == "file":
            name = pl.concat_str(name, pl.lit("\n"), source.field("file"))
        if self.by == "source":
            told = frame["meta"].str.json_path_match("$.source")
            name = pl.concat_str(name, pl.lit("\n"), pl.lit(told).fill_null(""))
        hashed: Any = name.fill_null("")
        sources = frame.select(hashed.nchash.xxh3_64().alias("source"))
        return sources.with_columns(pl.Series("sketch", made, dtype=pl.Array(pl.UInt64, WORDS)))

    def decide(self, table: pl.DataFrame) -> Decision:
        import numpy as np
        import polars as pl

        from curation.operators.draw import draw
        from curation.operators.minhash import Sketches
        from curation.operators.near_dedup import array

        sets = Sketches([array(chunk) for chunk in table["sketch"].get_chunks()])
        rows = table.select("id", "origin", "source", draw("homogeneity", self.seed, "id").alias("drawn"))
        # One row for each thing that is said; a row without a word says nothing.
        rows = rows.with_row_index("place").with_columns(said=pl.Series(sets.digests(), dtype=pl.UInt64))
        ones = rows.filter(pl.col("said") != 0).sort("source", "drawn", "id", "origin")
        ones = ones.unique(["source", "said"], keep="first", maintain_order=True)
        figures: dict[int, tuple[float, int]] = {}
        for (source,), own in ones.group_by("source", maintain_order=True):
            if len(own) >= self.min_rows:
                some = own["place"].head(self.sample).to_numpy().astype(np.int64)
                figures[int(source)] = (_nearest(sets.at(some)), len(some))
        alike = {s: f"{mean:.2f} is what each of {n} rows shares with its nearest, on average"
                 for s, (mean, n) in figures.items() if mean > self.max_similarity}  # fmt: skip
        told = pl.DataFrame(
            {"source": list(alike), "evidence": list(alike.values())},
            schema={"source": pl.UInt64, "evidence": pl.String},
        )
        evidence = table.select("source").join(told, on="source", how="left", maintain_order="left")["evidence"]
        goes = pl.when(evidence.is_not_null()).then(pl.lit("homogeneous_source"))
        return Decision(pl.select(goes.alias("reason")).to_series(), evidence=evidence)


def _nearest(some: Any) -> float:
    """The mean similarity of each set to the one that is nearest to it.

    One half of the sketches says which set is nearest, the other how near it is: the highest of many estimates would
    be too high.
    """
    import numpy as np

    from curation.operators.minhash import WORDS, likeness

    half = WORDS // 2
    finds, tells = some[:, half:], some[:, :half]
    nearest = np.zeros(len(some))
    for i in range(len(some)):
        shared = likeness(finds[i], finds)
        shared[i] = -np.inf
        nearest[i] = likeness(tells[i], tells[int(shared.argmax())])
    return max(0.0, float(nearest.mean()))
