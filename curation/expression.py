"""Conditions over named numbers, as `keep` and gates write them: `ifd < 1 and words >= 16`, `dpo.win_rate.low > 0.5`.

A small grammar that is parsed, never evaluated as code:

    condition  = conjunction {"or" conjunction}
    conjunction = negation {"and" negation}
    negation   = "not" negation | "(" condition ")" | comparison
    comparison = operand (("<" | "<=" | ">" | ">=" | "==" | "!=") operand)+      a < b < c means a < b and b < c
    operand    = number | name                                                   names may have dots

A number that is not there (a row that was never scored) makes a comparison unknown, and what is unknown does not hold:
`not` of it is unknown too (Kleene's logic, as in SQL). So a missing value never lets a row or a gate through.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curation.errors import UserError, did_you_mean
from curation.reader import Reader, pattern

if TYPE_CHECKING:
    import polars as pl

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True)
class Compare:
    """`left sign right`; an operand is a number or the name of one."""

    left: float | str
    sign: str
    right: float | str


@dataclass(frozen=True)
class Not:
    term: Expression


@dataclass(frozen=True)
class All:
    """Every term holds."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one term holds."""

    terms: tuple[Expression, ...]


Expression = Compare | Not | All | AnyOf


def parse(text: str) -> Expression:
    """The condition that a text means.

    Raises:
        RecipeError: it does not follow the grammar; the message shows the place.
    """
    return _Parser(text).whole()


def names(expression: Expression) -> list[str]:
    """The names in it, in order of appearance, each once."""
    found: dict[str, None] = {}

    def walk(e: Expression) -> None:
        match e:
            case Compare():
                found.update((side, None) for side in (e.left, e.right) if isinstance(side, str))
            case Not():
                walk(e.term)
            case _:
                for term in e.terms:
                    walk(term)

    walk(expression)
    return list(found)


def holds(expression: Expression | str, values: Mapping[str, Any]) -> bool:
    """Whether it holds for these numbers. `values` is nested (`{"dpo": {"low": 0.6}}`) or flat (`{"dpo.low": 0.6}`).

    Raises:
        UserError: a name is not among the values, or is no number; the message lists what there is.
    """
    expression = parse(expression) if isinstance(expression, str) else expression
    flat = flatten(values)
    return _truth(expression, {name: _number(name, flat) for name in names(expression)}) is True


def explain(text: str, values: Mapping[str, Any]) -> str | None:
    """Why the condition does not hold, with the numbers in it; None when it holds.

    Raises:
        RecipeError: the text is no condition.
        UserError: a name is not among the values.
    """
    expression = parse(text)
    if holds(expression, values):
        return None
    flat = flatten(values)
    seen = ", ".join(f"{n} = {_shown(flat[n])}" for n in names(expression))
    return f"{text} does not hold: {seen}" if seen else f"{text} does not hold"


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def as_polars(expression: Expression, column: Callable[[str], pl.Expr]) -> pl.Expr:
    """The same condition over columns: true, false, or null where it is unknown."""
    import polars as pl

    def side(value: float | str) -> pl.Expr:
        return column(value) if isinstance(value, str) else pl.lit(value, dtype=pl.Float64)

    match expression:
        case Compare():
            made: pl.Expr = _COMPARE[expression.sign](side(expression.left), side(expression.right))
            return made
        case Not():
            return as_polars(expression.term, column).not_()
        case All():
            return pl.all_horizontal([as_polars(t, column) for t in expression.terms])
        case AnyOf():
            return pl.any_horizontal([as_polars(t, column) for t in expression.terms])


def _truth(e: Expression, values: Mapping[str, float | None]) -> bool | None:
    """True, False, or None for unknown."""
    match e:
        case Compare():
            left = values[e.left] if isinstance(e.left, str) else e.left
            right = values[e.right] if isinstance(e.right, str) else e.right
            return None if left is None or right is None else bool(_COMPARE[e.sign](left, right))
        case Not():
            inner = _truth(e.term, values)
            return None if inner is None else not inner
        case All():
            found = [_truth(t, values) for t in e.terms]
            return False if False in found else None if None in found else True
        case AnyOf():
            found = [_truth(t, values) for t in e.terms]
            return True if True in found else None if None in found else False


def _number(name: str, flat: Mapping[str, Any]) -> float | None:
    if name not in flat:
        raise UserError(f"there is no number called {name!r}", hint=did_you_mean(name, flat))
    value = flat[name]
    if value is None or isinstance(value, bool | int | float):
        return value
    raise UserError(
        f"{name!r} is no number but {value!r}", hint=f"name a number inside it, or another: {did_you_mean(name, flat)}"
    )


def _shown(value: Any) -> str:
    return "unknown" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


class _Parser(Reader):
    """Recursive descent, one method a rule of the grammar."""

    what, like = "condition", "`words >= 16 and (ifd < 1 or not length > 2000)`"
    token, words, opens = pattern(r"<=|>=|==|!=|<|>|\(|\)", "[-+]?"), ("and", "or", "not"), ("(", "not")

    def whole(self) -> Expression:
        made = self.condition()
        self.end()
        return made

    def condition(self) -> Expression:
        terms = [self.conjunction()]
        while self.take("or"):
            terms.append(self.conjunction())
        return terms[0] if len(terms) == 1 else AnyOf(tuple(terms))

    def conjunction(self) -> Expression:
        terms = [self.negation()]
        while self.take("and"):
            terms.append(self.negation())
        return terms[0] if len(terms) == 1 else All(tuple(terms))

    def negation(self) -> Expression:
        if self.take("not"):
            return Not(self.negation())
        if self.take("("):
            inner = self.condition()
            self.close()
            return inner
        return self.comparison()

    def comparison(self) -> Expression:
        left = self.operand()
        pairs: list[Expression] = []
        while sign := self.take(*_COMPARE):
            right = self.operand()
            pairs.append(Compare(left, sign, right))
            left = right
        if not pairs:
            self.fail(f"expected one of {' '.join(_COMPARE)}", self.tokens[self.next][2])
        return pairs[0] if len(pairs) == 1 else All(tuple(pairs))
