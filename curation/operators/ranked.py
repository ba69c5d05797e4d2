"""What rows are ranked by: a score, or a formula over scores. Ties go by id, then origin, never by place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from curation.errors import RecipeError
from curation.formula import as_polars, names, parse

if TYPE_CHECKING:
    import polars as pl


def _readable(value: str) -> str:
    try:
        found = names(parse(value))
    except RecipeError as error:
        raise PydanticCustomError("formula", "{text}", {"text": f"{error.what}; {error.hint}"}) from None
    if not found:
        raise PydanticCustomError("formula", "{text} names no score", {"text": repr(value)})
    return value


By = Annotated[str, AfterValidator(_readable)]
"""A formula over scores; the highest value comes first."""


def scores_of(by: str | None) -> frozenset[str]:
    """The scores that a formula names."""
    return frozenset(names(parse(by))) if by else frozenset()


def score_keys(frame: pl.DataFrame, by: str | None) -> pl.DataFrame:
    """The columns of those scores."""
    from curation.frame import SCORES

    return frame.select(SCORES + name for name in sorted(scores_of(by)))


def value(by: str) -> pl.Expr:
    """The formula's value; null for a row that lacks one of the scores, or for which it is no finite number."""
    import polars as pl

    from curation.frame import SCORES

    return as_polars(parse(by), lambda name: pl.col(SCORES + name))


def ranking(table: pl.DataFrame, by: str | None) -> Any:
    """Places in the table, best first (numpy); rows without a value come last, all of them by id where `by` is None."""
    import polars as pl

    wanted = value(by) if by else pl.lit(0.0)
    keys = table.select("id", "origin", wanted.alias("value")).with_row_index("place")
    ranked = keys.sort(
        "value", "id", "origin", "place", descending=[True, False, False, False], nulls_last=[True, False, False, False]
    )
    return ranked["place"].to_numpy()
