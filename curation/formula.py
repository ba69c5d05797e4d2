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
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from curation.errors import RecipeError

if TYPE_CHECKING:
    import polars as pl

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))"
    r"|(?P<name>[^\W\d][\w-]*(?:\.[\w-]+)*)"
    r"|(?P<sign>[-+*/()]))"
)
_DEEPEST = 100
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


class _Parser:
    """Recursive descent, one method a rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        """(kind, text, place)."""
        at, end = 0, len(text.rstrip())
        while at < end:
            found = _TOKEN.match(text, at)
            if not found or not found.lastgroup:
                at += len(text[at:]) - len(text[at:].lstrip())
                self.fail(f"{text[at]!r} cannot be read", at)
            self.tokens.append((found.lastgroup, str(found[found.lastgroup]), found.start(found.lastgroup)))
            at = found.end()
        self.tokens.append(("end", "", len(text)))
        self.next = 0
        if sum(word in ("(", "-") for _, word, _ in self.tokens) > _DEEPEST:
            self.fail(f"more than {_DEEPEST} brackets and signs", 0)

    def fail(self, what: str, at: int) -> NoReturn:
        raise RecipeError(
            f"the formula {self.text!r} is wrong at character {at + 1}: {what}",
            hint="write it like `quality`, `complexity * quality` or `-(perplexity + 0.1 * words)`",
        )

    def take(self, *signs: str) -> str | None:
        """The next token if it is one of these signs."""
        kind, word, _ = self.tokens[self.next]
        if kind == "sign" and word in signs:
            self.next += 1
            return word
        return None

    def whole(self) -> Formula:
        made = self.sum()
        kind, word, at = self.tokens[self.next]
        if kind != "end":
            self.fail(f"{word!r} was not expected here", at)
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
            if not self.take(")"):
                self.fail("a closing bracket is missing", self.tokens[self.next][2])
            return inner
        kind, word, at = self.tokens[self.next]
        if kind not in ("number", "name"):
            self.fail("expected a number or a name" + (f", not {word!r}" if word else ""), at)
        self.next += 1
        return float(word) if kind == "number" else word
