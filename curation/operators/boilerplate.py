"""Answers that refuse, answers that talk about being a language model, and turns that name its maker.

Models trained on other models' chats copy these phrases first. A refusal counts only near the beginning of an answer,
where refusals stand; that an answer calls itself a language model counts anywhere. The phrases are in
`boilerplate_refusals` and `boilerplate_self`, by language, and a file can add one's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from curation.artifact import InputFile
from curation.errors import UserError, did_you_mean
from curation.operator import Filter
from curation.operators.text import said

if TYPE_CHECKING:
    import polars as pl


class Boilerplate(Filter):
    """Drops chats in which a message of the assistant is boilerplate.

    Reasons: `refusal`, `self_reference`, `vendor_name`, `listed_pattern` (from `patterns`).
    """

    revision = 3
    op: Literal["boilerplate"] = "boilerplate"
    refusals: bool = True
    """Whether answers that refuse go."""
    self_references: bool = True
    """Whether answers that call themselves a language model, or name who trained them, go."""
    languages: tuple[str, ...] | None = None
    """Whose phrases are looked for, as ISO 639-1 codes: ar de en es fa fr hi id it ja ko nl pl pt ru th tr uk vi zh.
    None: all of them."""
    refusal_within: int = Field(160, ge=1)
    """Refusals are looked for in so many characters at the start of an answer; further on, the same words are part of
    an answer."""
    vendors: tuple[str, ...] = ()
    """Names that a chat may not hold, whatever is said about them, in any case and inside other words: Vicuna left out
    `[openai, chatgpt]`. Drops honest questions about these companies too, so the default is none."""
    vendors_in: Literal["answers", "chat"] = "chat"
    """Where those names count: in `answers`, or in every message of the `chat`, as Vicuna did."""
    patterns: InputFile | None = None
    """A file with patterns of your own, looked for anywhere in an answer: one regular expression a line, in the syntax
    of RE2 and Rust, whatever the case; empty lines and lines that begin with `#` count for nothing."""

    _own: tuple[str, ...] | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _known(self) -> Self:
        from curation.operators.boilerplate_refusals import REFUSALS

        for language in self.languages or ():
            if language not in REFUSALS:
                text = f"there are no phrases in {language!r}; {did_you_mean(language, REFUSALS)}"
                raise PydanticCustomError("language", "{text}", {"text": text})
        if not (self.refusals or self.self_references or self.vendors or self.patterns):
            raise PydanticCustomError("nothing", "boilerplate has nothing to look for")
        if any(not name.strip() for name in self.vendors):
            raise PydanticCustomError("vendors", "an empty name would be found in every message")
        return self

    def prepare(self) -> None:
        if self.patterns is not None and self._own is None:
            self._own = tuple(read_patterns(self.patterns))

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        self.prepare()
        answers = said(frame, "answers")
        text = pl.col("text")
        looked: list[tuple[str, pl.DataFrame, pl.Expr]] = []
        if self.refusals:
            start = text.str.head(self.refusal_within)
            looked.append(("refusal", *lowered(answers, start, refusal_pattern(self.languages))))
        if self.self_references:
            looked.append(("self_reference", *lowered(answers, text, self_pattern(self.languages))))
        if self.vendors:
            named = text.str.contains_any(list(self.vendors), ascii_case_insensitive=True)
            looked.append(("vendor_name", answers if self.vendors_in == "answers" else said(frame), named))
        if self._own:
            own = "|".join(f"(?:{p})" for p in self._own)
            looked.append(("listed_pattern", answers, text.str.contains(f"(?i){own}")))
        reasons = pl.Series("reason", [None] * len(frame), dtype=pl.String)
        for word, lines, holds in reversed(looked):  # the first that holds has the last word
            rows = lines.filter(holds)["row"].unique()
            reasons = reasons.scatter(rows, [word] * len(rows))
        return reasons


def lowered(lines: pl.DataFrame, text: pl.Expr, pattern: str) -> tuple[pl.DataFrame, pl.Expr]:
    """(the lines that may hold the pattern in lower case, whether each does).

    Making lower case of a text takes twice as long as the search itself. So it is made of those lines alone that hold
    the pattern in any case, or one of the two letters of which a pattern without case does not know the small one: the
    dotted I of Turkish, which becomes two characters, and the sign for kelvin, which becomes a letter of ASCII.
    """
    maybe = lines.filter(text.str.contains(rf"[\u{{130}}\u{{212A}}]|(?i:{pattern})"))
    return maybe, text.str.to_lowercase().str.contains(pattern)


def refusal_pattern(languages: Iterable[str] | None = None) -> str:
    """One pattern for the refusals of these languages, over text in lower case."""
    from curation.operators.boilerplate_refusals import REFUSALS

    return any_of(REFUSALS, languages)


def self_pattern(languages: Iterable[str] | None = None) -> str:
    """The same for answers that speak of themselves as a model."""
    from curation.operators.boilerplate_self import SELF_REFERENCES

    return any_of(SELF_REFERENCES, languages)


def any_of(phrases: Mapping[str, tuple[str, ...]], languages: Iterable[str] | None) -> str:
    """The phrases as one pattern in the syntax of Rust's regex crate."""
    import unicodedata

    chosen = sorted(phrases if languages is None else languages)
    every = "|".join(f"(?:{p})" for language in chosen for p in phrases[language])
    # Word boundaries of ASCII: Unicode's make the search many times slower on text that is not English.
    return unicodedata.normalize("NFC", every).replace(r"\b", r"(?-u:\b)").replace("'", "['’]")


def read_patterns(file: InputFile) -> list[str]:
    """The patterns of a file, each of which compiles.

    Raises:
        UserError: one does not, or matches the empty text; the message names file and line.
    """
    import polars as pl

    found: list[str] = []
    for number, line in enumerate(file.text().splitlines(), start=1):
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        where = f"{file.written}:{number}"
        try:
            everything = pl.Series([""]).str.contains(f"(?i)(?:{pattern})")[0]
        except pl.exceptions.ComputeError as error:
            why = str(error).strip().splitlines()[-1]
            hint = "patterns follow RE2 and Rust: no look-around and no back-references"
            raise UserError(f"{pattern!r} is no pattern: {why}", where=where, hint=hint) from error
        if everything:
            hint = "let it need a letter at least: `+` in the place of `*`, or no `?` around all of it"
            raise UserError(
                f"{pattern!r} matches the empty text, so it would be found everywhere", where=where, hint=hint
            )
        found.append(pattern)
    if not found:
        raise UserError(f"{file.written} holds no pattern", hint="one regular expression a line")
    return found
