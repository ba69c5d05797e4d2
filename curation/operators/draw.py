"""Chance that can be repeated: a number in [0, 1) from a stable hash."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def draw(purpose: str, seed: int, column: str) -> pl.Expr:
    """One number a value of the column, uniform in [0, 1), in steps of 2^-53.

    `purpose` keeps the draws of different operators apart, so that what one of them keeps says nothing about what
    another does with it.
    """
    import polars as pl
    import polars_hash  # noqa: F401  # registers `nchash`: hashes that are stable across versions

    text = pl.concat_str(pl.lit(f"{purpose}:{seed}:"), pl.col(column))
    hashed: pl.Expr = text.nchash.xxh3_64()  # type: ignore[attr-defined]
    return (hashed // 2**11).cast(pl.Float64) / 2.0**53
