"""A number made of named numbers, as `select` and `top` write what they rank by: `complexity * quality`, `-perplexity`.

A small grammar that is parsed, never evaluated as code:

    sum     = product {("+" | "-") product}
    product = factor {("*" | "/") factor}
    factor  = "-" factor | "(" sum ")" | number | name                 names may have dots and hyphens

A hyphen inside a word belongs to a name, so a minus between names has spaces around it. Where one of the numbers is
missing, or the result is no finite number (a division by zero), there is no result.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curation.reader import Reader, pattern

if TYPE_CHECKING:
    import polars as pl

_APPLY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


@dataclass(frozen=True)
class Apply:
    """`left sign right`."""

    left: Formula
    sign: str
    right: Formula


Formula = Apply | float | str
"""A formula, a number, or the name of one."""


def parse(text: str) -> Formula:
    """The formula that a text means.

    Raises:
        RecipeError: it does not follow the grammar; the message shows the place.
    """
    return _Parser(text).whole()


def names(formula: Formula) -> list[str]:
    """The names in it, in order of appearance, each once."""
    if isinstance(formula, Apply):
        return list(dict.fromkeys(names(formula.left) + names(formula.right)))
    return [formula] if isinstance(formula, str) else []


def as_polars(formula: Formula, column: Callable[[str], pl.Expr]) -> pl.Expr:
    """The same over columns (Float64): null where it has no finite result."""
    import polars as pl

    def made(part: Formula) -> pl.Expr:
        if isinstance(part, Apply):
            both: pl.Expr = _APPLY[part.sign](made(part.left), made(part.right))
            return both
        return column(part) if isinstance(part, str) else pl.lit(part, dtype=pl.Float64)

    result = made(formula).cast(pl.Float64)
    return pl.when(result.is_finite()).then(result)


class _Parser(Reader):
    """Recursive descent, one method a rule of the grammar."""

    what, like = "formula", "`quality`, `complexity * quality` or `-(perplexity + 0.1 * words)`"
    token, opens = pattern("[-+*/()]"), ("(", "-")

    def whole(self) -> Formula:
        made = self.sum()
        self.end()
        return made

    def sum(self) -> Formula:
        made = self.product()
        while sign := self.take("+", "-"):
            made = Apply(made, sign, self.product())
        return made

    def product(self) -> Formula:
        made = self.factor()
        while sign := self.take("*", "/"):
            made = Apply(made, sign, self.factor())
        return made

    def factor(self) -> Formula:
        if self.take("-"):
            return Apply(0.0, "-", self.factor())
        if self.take("("):
            inner = self.sum()
            self.close()
            return inner
        return self.operand()
