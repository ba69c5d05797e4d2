"""Decides on scores: rows for which a condition holds stay.

Scores are made first and decided on later, so a change of the condition computes no score again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from curation.errors import RecipeError
from curation.expression import All, Compare, Expression, as_polars, names, parse
from curation.operator import Filter

if TYPE_CHECKING:
    import polars as pl


class Keep(Filter):
    """Keeps rows for which a condition over their scores holds; written `keep: "ifd < 1 and words >= 16"`.

    The reason says which score was at fault: `low_words`, `high_ifd`, `no_ifd` for a row without that score, or
    `condition` where it takes more than one comparison to tell.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"conversations", "candidates", "preferences"})
    op: Literal["keep"] = "keep"
    condition: str
    """Comparisons of scores and numbers, joined by `and`, `or`, `not` and brackets. A score that a row does not have
    makes its comparison fail."""

    @classmethod
    def shorthand(cls, value: Any) -> dict[str, Any]:
        """`keep: "words >= 16"` for `keep: {condition: "words >= 16"}`."""
        return {"condition": value}

    @field_validator("condition")
    @classmethod
    def _readable(cls, value: str) -> str:
        try:
            parse(value)
        except RecipeError as error:
            raise PydanticCustomError("condition", "{text}", {"text": f"{error.what}; {error.hint}"}) from None
        return value

    @property
    def title(self) -> str:
        return f"keep({self.condition})"

    def reads(self) -> frozenset[str]:
        return frozenset(names(parse(self.condition)))

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        whole = parse(self.condition)
        terms = whole.terms if isinstance(whole, All) else (whole,)
        reason = pl.coalesce(_reason(term) for term in terms)
        return frame.select(reason.cast(pl.String).alias("reason"))["reason"]


def _column(name: str) -> pl.Expr:
    import polars as pl

    from curation.frame import SCORES

    return pl.col(SCORES + name)


def _reason(term: Expression) -> pl.Expr:
    """The word for rows for which one term of the condition does not hold, else null."""
    import polars as pl

    fails = as_polars(term, _column).fill_null(False).not_()
    missing = [pl.when(fails & _column(name).is_null()).then(pl.lit(_word("no", name))) for name in names(term)]
    return pl.coalesce(*missing, pl.when(fails).then(pl.lit(_fault(term))))


def _fault(term: Expression) -> str:
    """`low_words` for `words >= 16` that failed, whichever side the name is on."""
    if not isinstance(term, Compare) or isinstance(term.left, str) == isinstance(term.right, str):
        return "condition"
    name = term.left if isinstance(term.left, str) else str(term.right)
    if term.sign in ("==", "!="):
        return _word("other", name) if term.sign == "==" else _word("same", name)
    wants_more = (term.sign in (">", ">=")) == isinstance(term.left, str)
    return _word("low" if wants_more else "high", name)


def _word(kind: str, name: str) -> str:
    """One snake_case word."""
    return f"{kind}_" + "".join(c if c.isalnum() else "_" for c in name.lower()).strip("_")
