"""Counts what deduplication left of planted duplicates, by language: what was found, and what should have stayed.

    python benchmarks/curation/chats.py 20000 chats.jsonl
    python benchmarks/curation/survivors.py chats.jsonl              # runs this project's slice, then counts
    python benchmarks/curation/survivors.py chats.jsonl kept.txt     # counts what somebody else kept: an id a line

A **group** is an original with its exact and its near copies: one of them should stay, so `recall` is the share of
all others that went. Copies **below** the threshold should stay beside the group: `removed` is the share of those that
did not, `merged` counts those besides that stayed in place of their whole group. A group of which nothing stayed,
in whatever place, was merged with strangers: `lost`.

Rows that other rules of the slice drop (refusals, roles out of order, short and endless texts) count for nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

import polars as pl

CHARACTERS = (200, 90_000)
"""Rows of fewer or more characters are left out of the count: nobody's length filter is tested here."""


def survivors(truth: pl.DataFrame, kept: Collection[str]) -> pl.DataFrame:
    """One line a language, and one for all.

    Args:
        truth: What `chats.py` says of each row.
        kept: Ids of the rows that stayed.

    Returns:
        `language`, `rows`, `copies` (that should go), `recall`, `below` (copies that should stay), `removed` and
        `merged` (shares of these), `lost` (groups without a survivor, as a share of the rows).
    """
    kinds = pl.col("kind").is_in(["base", "exact", "near", "below"])
    rows = truth.filter(kinds & pl.col("chars").is_between(*CHARACTERS))
    stays = pl.Series(list(kept), dtype=pl.String).implode()
    rows = rows.with_columns(pl.col("id").is_in(stays).alias("stays"), below=pl.col("kind") == "below")
    groups = rows.group_by("language", "root").agg(
        size=(~pl.col("below")).sum(),
        left=(pl.col("stays") & ~pl.col("below")).sum(),
        below=pl.col("below").sum(),
        below_left=(pl.col("stays") & pl.col("below")).sum(),
    )
    per_group = groups.with_columns(
        copies=pl.max_horizontal(pl.col("size").cast(pl.Int64) - 1, 0),
        gone=pl.min_horizontal(
            pl.col("size") - pl.col("left"), pl.max_horizontal(pl.col("size").cast(pl.Int64) - 1, 0)
        ),
        replaced=((pl.col("left") == 0) & (pl.col("below_left") > 0)).cast(pl.Int64),
        lost=((pl.col("left") == 0) & (pl.col("below_left") == 0)).cast(pl.Int64),
    )
    by_language = per_group.group_by("language").agg(
        rows=(pl.col("size") + pl.col("below")).sum(),
        copies=pl.col("copies").sum(),
        gone=pl.col("gone").sum(),
        below=pl.col("below").sum(),
        below_gone=(pl.col("below") - pl.col("below_left")).sum(),
        replaced=pl.col("replaced").sum(),
        lost=pl.col("lost").sum(),
    )
    total = by_language.select(pl.lit("all").alias("language"), pl.exclude("language").sum())
    return pl.concat([by_language.sort("language"), total], how="vertical_relaxed").select(
        "language",
        "rows",
        "copies",
        (pl.col("gone") / pl.col("copies")).alias("recall"),
        "below",
        (pl.col("below_gone") / pl.col("below")).alias("removed"),
        (pl.col("replaced") / pl.col("below")).alias("merged"),
        (pl.col("lost") / pl.col("rows")).alias("lost"),
    )


def shown(counted: pl.DataFrame) -> str:
    """The lines for people."""
    lines = ["language    rows  copies  recall   below  removed  merged     lost"]
    for r in counted.iter_rows(named=True):
        lines.append(
            f"{r['language']:8} {r['rows']:7,} {r['copies']:7,}  {r['recall']:.4f} {r['below']:7,}"
            f"   {r['removed']:6.2%}  {r['merged']:6.2%}  {r['lost']:7.4%}"
        )
    return "\n".join(lines)


def main() -> None:
    """Counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chats", type=Path)
    parser.add_argument("kept", type=Path, nargs="?")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = args.kept
        if kept is None:
            ours = Path(__file__).parent / "peers" / "ours.py"
            subprocess.run([sys.executable, ours, args.chats, folder, "1"], check=True)
            kept = Path(folder) / "ids.txt"
        ids = kept.read_text(encoding="utf-8").split("\n")
    print(shown(survivors(pl.read_parquet(args.chats.with_suffix(".truth.parquet")), ids)))


if __name__ == "__main__":
    main()
