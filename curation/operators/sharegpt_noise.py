"""What the page of a chat leaves in a copied chat: labels of buttons, page marks, and errors in the place of answers.

Exports of shared chats (ShareGPT and its kin) are web pages turned into text, so a model trained on them learns to say
"Copy code" before each program. Only what the page writes at a place where it writes it is taken: the button of a code
block right behind the block's language, a page mark `2 / 2` alone on the last line, an error that is a whole answer.
The same words inside a sentence, a quotation or a program are somebody's text and stay. The words are in
`sharegpt_words`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Literal

from curation.operator import Filter, Mapper
from curation.operators.rewriting import rewritten, where
from curation.operators.sharegpt_code import uncopied

if TYPE_CHECKING:
    import polars as pl


class SharegptNoise(Mapper, Filter):
    """Takes out what the page of a chat left in its texts: "Copy code", `2 / 2`, "Regenerate response", error messages.

    A question whose answer is nothing but an error of the page (rate limit, network, too many messages at a time) goes
    together with that error, and the chat goes on behind them. A chat in which nothing else is answered is dropped, and
    so is a pair whose answer is such an error. Reasons: `error_reply`.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"conversations"})
    op: Literal["sharegpt_noise"] = "sharegpt_noise"
    errors: bool = True
    """Whether errors of the page go; False leaves them, each in its place."""

    def map_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        frame = rewritten(frame, lambda texts: where(texts, _suspect(), question), {"user"})
        clean = answer if self.errors else answer_with_errors
        frame = rewritten(frame, lambda texts: where(texts, _suspect(), clean), {"assistant"})
        if not self.errors or self.on is not None or not frame.select(_fails().any()).item():
            return frame
        error = _is_error()
        asked = (pl.element().struct.field("role") == "user") & error.shift(-1, fill_value=False)
        left = pl.col("messages").list.eval(pl.element().filter(~error & ~asked))
        answered = left.list.eval(pl.element().struct.field("role") == "assistant").list.any()
        return frame.with_columns(pl.when(_fails() & answered).then(left).otherwise("messages").alias("messages"))

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        word = pl.when(_fails() if self.errors else pl.lit(False)).then(pl.lit("error_reply"))
        return frame.select(word.otherwise(pl.lit(None, dtype=pl.String)).alias("reason"))["reason"]

    def evidence(self, frame: pl.DataFrame, reasons: pl.Series) -> pl.Series:
        import polars as pl

        found = pl.col("messages").list.eval(pl.element().struct.field("content").filter(_is_error())).list.first()
        return frame.select(pl.when(pl.lit(reasons).is_not_null()).then(found.str.strip_chars()).alias("e"))["e"]


def _is_error() -> pl.Expr:
    """Of the messages of a list: which are answers that are nothing but errors."""
    import polars as pl

    message = pl.element().struct
    return (message.field("role") == "assistant") & message.field("content").str.contains(_only_errors())


def _fails() -> pl.Expr:
    """Which chats have such an answer."""
    import polars as pl

    return pl.col("messages").list.eval(_is_error()).list.any()


def question(text: str) -> str:
    """What a user wrote, without what the page wrote into it."""
    # The button is glued to the text or has a line of its own; behind a space it is a word of the user's.
    return _at_the_end(uncopied(text), lambda end: _unpaged(_unwarned(re.sub(r"(?<=\S)\n?Share Prompt$", "", end))))


def answer(text: str) -> str:
    """What the assistant wrote, without the buttons of its code blocks and what stands below it."""
    text = answer_with_errors(text)
    if re.match(_only_errors(), text):
        return text
    return _at_the_end(text, lambda end: _unfooted(end, _patterns()["error"], alone=True))


def answer_with_errors(text: str) -> str:
    """The same, but errors stay."""
    footer = _patterns()["footer"]
    return _at_the_end(uncopied(text), lambda end: _unfooted(_unpaged(_unwarned(end)), footer))


def _at_the_end(text: str, edit: Callable[[str], str]) -> str:
    """The text edited without the white space behind it, which stays if nothing else changes."""
    body = text.rstrip()
    made = edit(body)
    return text if made == body else made.rstrip()


def _unwarned(text: str) -> str:
    rest = _patterns()["warning"].sub("", text).rstrip()
    return rest or text


def _unpaged(text: str) -> str:
    """Without the mark of a page that was turned to its last version, `2 / 2`: other fractions are arithmetic."""
    found = _patterns()["page"].search(text)
    if not found or found["at"] != found["of"] or int(found["of"]) < 2:
        return text
    before = text[: found.start()].rstrip()
    return before if before and before[-1] not in ":=+-*/×÷(,：" else text


def _unfooted(text: str, line: re.Pattern[str], alone: bool = False) -> str:
    """Without the last lines that the page wrote, if anything is left; with `alone` only behind an empty line."""
    end = len(text)
    while (start := text.rfind("\n", 0, end)) >= 0:
        before = len(text[:start].rstrip())
        apart = not alone or "\n" in text[before:start]
        if not apart or not before or text[before - 1] in ":：" or not line.fullmatch(text[start:end].strip()):
            break
        end = before
    return text[:end]


def _any(words: tuple[str, ...]) -> str:
    return f"(?:{'|'.join(words)})"


@cache
def _only_errors() -> str:
    from curation.operators.sharegpt_words import ERRORS

    return rf"\A\s*{_any(ERRORS)}(?:\s+{_any(ERRORS)})*\s*$"


@cache
def _suspect() -> str:
    """Texts without a match hold nothing to take out."""
    from curation.operators.sharegpt_words import COPY_CODE, ERRORS, FOOTERS, WARNINGS

    ends = _any((*FOOTERS, *WARNINGS, *ERRORS, "Share Prompt", r"\n[ \t]*\d+ / \d+"))
    return rf"{_any(COPY_CODE)}|{ends}\s*$"


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    from curation.operators.sharegpt_words import ERRORS, FOOTERS, WARNINGS

    return {
        "warning": re.compile(rf"{_any(WARNINGS)}$"),
        "page": re.compile(r"\n[ \t]*(?P<at>\d{1,3}) / (?P<of>\d{1,3})$"),
        "footer": re.compile(_any(FOOTERS)),
        "error": re.compile(_any(ERRORS)),
    }
