"""What the two small grammars of recipes share: a text cut into numbers, names and signs, and one look ahead.

Conditions (`curation.expression`) and formulas (`curation.formula`) say which signs there are and what they mean.
"""

from __future__ import annotations

import re
from typing import ClassVar, NoReturn

from curation.errors import RecipeError

NUMBER = r"(?P<number>{sign}(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))"
NAME = r"(?P<name>[^\W\d][\w-]*(?:\.[\w-]+)*)"
_DEEPEST = 100


def pattern(signs: str, number_sign: str = "") -> re.Pattern[str]:
    """One token, white space before it.

    Args:
        signs: The signs, as a regular expression.
        number_sign: What may stand right before a number and belongs to it.
    """
    return re.compile(rf"\s*(?:{NUMBER.format(sign=number_sign)}|{NAME}|(?P<sign>{signs}))")


class Reader:
    """The tokens of a text, read one after the other. Subclasses add one method a rule of their grammar.

    Raises:
        RecipeError: the text holds what is no token, or too many brackets to be meant.
    """

    what: ClassVar[str]
    """What the text is, for messages."""
    like: ClassVar[str]
    """How it is written right, for messages."""
    token: ClassVar[re.Pattern[str]]
    words: ClassVar[tuple[str, ...]] = ()
    """Names that are signs."""
    opens: ClassVar[tuple[str, ...]] = ("(",)
    """Signs that go one level deeper."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        """(kind, text, place)."""
        at, end = 0, len(text.rstrip())
        while at < end:
            found = self.token.match(text, at)
            kind = found.lastgroup if found else None
            if not found or not kind:
                at += len(text[at:]) - len(text[at:].lstrip())
                self.fail(f"{text[at]!r} cannot be read", at)
            word = str(found[kind])
            self.tokens.append(("sign" if word in self.words else kind, word, found.start(kind)))
            at = found.end()
        self.tokens.append(("end", "", len(text)))
        self.next = 0
        if sum(word in self.opens for _, word, _ in self.tokens) > _DEEPEST:
            self.fail(f"more than {_DEEPEST} brackets and signs", 0)

    def fail(self, what: str, at: int) -> NoReturn:
        """Raises, with the place."""
        raise RecipeError(
            f"the {self.what} {self.text!r} is wrong at character {at + 1}: {what}", hint=f"write it like {self.like}"
        )

    def take(self, *signs: str) -> str | None:
        """The next token if it is one of these signs."""
        kind, word, _ = self.tokens[self.next]
        if kind == "sign" and word in signs:
            self.next += 1
            return word
        return None

    def close(self) -> None:
        """A closing bracket must come."""
        if not self.take(")"):
            self.fail("a closing bracket is missing", self.tokens[self.next][2])

    def end(self) -> None:
        """Nothing more may come."""
        kind, word, at = self.tokens[self.next]
        if kind != "end":
            self.fail(f"{word!r} was not expected here", at)

    def operand(self) -> float | str:
        """A number or a name must come."""
        kind, word, at = self.tokens[self.next]
        if kind not in ("number", "name"):
            self.fail("expected a number or a name" + (f", not {word!r}" if word else ""), at)
        self.next += 1
        return float(word) if kind == "number" else word
