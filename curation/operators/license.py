"""Keeps rows by the licence of the data set that they come from.

Licences are SPDX identifiers (https://spdx.org/licenses) or whatever else a data set calls its own; case counts for
nothing. Expressions are understood: of `MIT OR GPL-3.0-only` one side is enough, of `MIT AND CC-BY-NC-4.0` both must
do. What a row does not say is unknown, and unknown is not allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from curation.operator import Filter

if TYPE_CHECKING:
    import polars as pl

_UNKNOWN = frozenset({"", "unknown", "other", "none", "noassertion", "unlicensed", "n/a"})
"""What data sets write where they do not say it. `Unlicense` is a licence; `unlicensed` is none."""


class License(Filter):
    """Drops rows whose licence is not among those allowed, or is one of those denied.

    Reasons: `license_denied`, `license_not_allowed`, `unknown_license`. The licence is noted beside each row that goes.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"conversations", "candidates", "preferences"})
    op: Literal["license"] = "license"
    allow: tuple[str, ...] = ()
    """SPDX identifiers that stay; all others go. A `*` at the end stands for anything: `cc-by-*`. Empty: everything
    stays that is not denied."""
    deny: tuple[str, ...] = ()
    """Identifiers that go, also where `allow` has them: `[cc-by-nc-*]`."""
    unknown: Literal["keep", "drop"] = "drop"
    """What happens to rows whose data set states no licence (none, `unknown`, `other`)."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.allow or self.deny):
            raise PydanticCustomError("license", "license needs `allow` or `deny`: allow: [apache-2.0, mit]")
        if any(not name.strip(" *") for name in (*self.allow, *self.deny)):
            raise PydanticCustomError("license", "an empty name would be every licence")
        return self

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        licenses = frame.select(pl.col("source").struct.field("license").fill_null("").alias("reason"))["reason"]
        words = {text: self._word(text) for text in licenses.unique()}
        return licenses.replace_strict(list(words), list(words.values()), return_dtype=pl.String)

    def evidence(self, frame: pl.DataFrame, reasons: pl.Series) -> pl.Series:
        import polars as pl

        named = pl.col("source").struct.field("license").replace("", None)
        return frame.select(pl.when(pl.lit(reasons).is_not_null()).then(named).alias("evidence"))["evidence"]

    def _word(self, text: str) -> str | None:
        if text.strip().lower() in _UNKNOWN:
            return "unknown_license" if self.unknown == "drop" else None
        if self.deny and not satisfied(text, lambda one: not _among(one, self.deny)):
            return "license_denied"
        return None if not self.allow or satisfied(text, partial(_among, names=self.allow)) else "license_not_allowed"


def _among(one: str, names: Iterable[str]) -> bool:
    """Whether a licence is one of those named."""
    for name in names:
        wanted = name.strip().lower()
        if one == wanted or (wanted.endswith("*") and one.startswith(wanted[:-1])):
            return True
    return False


def satisfied(text: str, fine: Callable[[str], bool]) -> bool:
    """Whether a licence, or an SPDX expression of several, is fine; what is no expression is taken as one name."""
    tokens = re.findall(r"[()]|[^\s(),;]+|[,;]", text.strip().lower())
    try:
        result, rest = _either(tokens, fine)
    except IndexError:
        return fine(text.strip().lower())
    return fine(text.strip().lower()) if rest else result


def _either(tokens: list[str], fine: Callable[[str], bool]) -> tuple[bool, list[str]]:
    result, tokens = _both(tokens, fine)
    while tokens and tokens[0] == "or":
        other, tokens = _both(tokens[1:], fine)
        result = result or other
    return result, tokens


def _both(tokens: list[str], fine: Callable[[str], bool]) -> tuple[bool, list[str]]:
    result, tokens = _one(tokens, fine)
    while tokens and tokens[0] in ("and", ",", ";"):  # a list of licences: a row may stand under any of them
        other, tokens = _one(tokens[1:], fine)
        result = result and other
    return result, tokens


def _one(tokens: list[str], fine: Callable[[str], bool]) -> tuple[bool, list[str]]:
    if tokens[0] == "(":
        result, tokens = _either(tokens[1:], fine)
        if tokens[0] != ")":
            raise IndexError("a bracket is open")
        return result, tokens[1:]
    name, tokens = tokens[0], tokens[1:]
    if tokens[:1] == ["with"]:  # an exception only allows more
        tokens = tokens[2:]
    return fine(name), tokens
