"""Which rows are trained on and which are held out.

A data set that was split is trained on by its part `train`, unless the recipe names another part (`curated.small`), and
measured on its part `test`. A data set without parts is used whole. Rows come in the order (id, origin).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from curation import table
from curation.artifact import Ref
from curation.errors import UserError
from curation.frame import SCHEMAS, in_order, row_type

TRAIN, TEST = "train", "test"


def training_rows(refs: Sequence[Ref[Any]]) -> pl.DataFrame:
    """The rows that a step with these inputs trains on.

    Raises:
        UserError: a data set has parts, but none called `train`, and the recipe names none.
    """
    return _together([table.read(ref.folder, _part(ref)) for ref in refs])


def held_out_rows(refs: Sequence[Ref[Any]]) -> pl.DataFrame | None:
    """The rows of the parts `test` of the data sets that are trained on by default, or None when there are none."""
    found = [table.read(ref.folder, TEST) for ref in refs if ref.part is None and TEST in table.parts(ref.folder)]
    return _together(found) if found else None


def _part(ref: Ref[Any]) -> str | None:
    if ref.part is not None:
        return ref.part
    parts = table.parts(ref.folder)
    if not parts or TRAIN in parts:
        return TRAIN if parts else None
    listed = ", ".join(f"{ref.step}.{name} ({rows} rows)" for name, rows in parts.items())
    raise UserError(
        f"the data of step {ref.step!r} have no part {TRAIN!r}", hint=f"name the part to train on: {listed}"
    )


def _together(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One frame; scores are no input of a trainer, and data sets need not share them."""
    return in_order(pl.concat([frame.select(list(SCHEMAS[row_type(frame)])) for frame in frames]))
