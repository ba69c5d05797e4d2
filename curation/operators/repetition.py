"""Answers that say the same again and again: what a model does that is stuck, and what scrapers bring home.

The measures of Gopher (Rae et al. 2021, table A1), for single messages instead of web pages: letters in lines and
paragraphs that stood there before, runs of words that did, the share of the run that comes most often, and the longest
loop; and how often one character follows itself, which is no matter of words. Words are tokens as
`curation.operators.shingles` has them, so Chinese, Japanese and Thai are measured by letters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from curation.operator import Filter
from curation.operators.text import Who, said

if TYPE_CHECKING:
    import polars as pl

_TOP = 3
"""Words of the run whose share is measured."""
_PERIOD = 32
"""Longest piece whose repetition is a loop."""
_AT_ONCE = 256
"""Messages whose characters are looked at together."""


class Repetition(Filter):
    """Drops chats in which an answer repeats itself.

    Reasons, the first that applies: `repeated_character`, `repeated_lines`, `repeated_paragraphs`, `repeated_run`,
    `top_ngram`, `repeated_ngrams`. The figure is noted beside each row that goes.

    Songs have refrains and code has patterns, so the defaults are wider than those for web pages. Each measure is left
    out with `null`.
    """

    revision = 2
    op: Literal["repetition"] = "repetition"
    max_characters: int | None = Field(300, ge=2)
    """Most times in a row that a message may hold one character: `aaaaa`. White space, which lays things out, does not
    count; rules of tables and banners are 80 or 120 long."""
    max_lines: float | None = Field(0.5, ge=0, lt=1)
    """Largest share of a message's letters that may stand in lines that it had before; lines without a letter or digit
    do not count."""
    max_paragraphs: float | None = Field(0.5, ge=0, lt=1)
    """The same for paragraphs: what stands between empty lines."""
    max_run: int | None = Field(100, ge=2)
    """Most words of a loop: one piece, of up to 32 words, three times or more without anything between."""
    max_top: float | None = Field(0.3, gt=0, lt=1)
    """Largest share of a message's words that the run of three words which comes most often may cover."""
    max_ngrams: float | None = Field(0.6, ge=0, lt=1)
    """Largest share of a message's runs of five words that stood in it before."""
    min_words: int = Field(50, ge=1)
    """Shorter messages are not looked at, but for a character that follows itself."""
    of: Who | None = None
    """`answers` looks at the assistant's messages, `chat` at all, `last` at the last. None: the answers; the answer
    alone where `on` names one (`chosen`, `rejected`, `reply`); the whole chat where `on: prompt`."""

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        return self._found(frame)["reason"]

    def evidence(self, frame: pl.DataFrame, reasons: pl.Series) -> pl.Series:
        import polars as pl

        gone = reasons.is_not_null().arg_true()
        nothing = pl.Series("evidence", [None] * len(frame), dtype=pl.String)
        return nothing.scatter(gone, self._found(frame[gone])["evidence"]) if len(gone) else nothing

    def _found(self, frame: pl.DataFrame) -> pl.DataFrame:
        """`reason` and `evidence` of each chat."""
        import polars as pl

        everything = said(frame, self._who())
        messages = everything.filter(pl.col("text").str.len_bytes() >= 2 * self.min_words - 1).with_row_index("message")
        measured = messages.select("row", "message").with_columns(
            _measures(messages["text"], self.max_ngrams or 0.0, self.max_run or 2)
        )
        measured = measured.filter(pl.col("words") >= self.min_words)
        whole = messages.filter(pl.col("message").is_in(measured["message"].implode()))
        for name, separator in (("lines", "\n"), ("paragraphs", "\n\n")):
            measured = measured.join(_said_before(whole, separator, name), on="message", how="left")
        limits: tuple[tuple[str, str, Any, str], ...] = (
            ("repeated_character", "characters", self.max_characters, "one character {:.0f} times"),
            ("repeated_lines", "lines", self.max_lines, "{:.2f} of an answer in lines that it had before"),
            ("repeated_paragraphs", "paragraphs", self.max_paragraphs, "{:.2f} in paragraphs that it had before"),
            ("repeated_run", "run", self.max_run, "a loop of {:.0f} words"),
            ("top_ngram", "top", self.max_top, "{:.2f} of the words in one run of three"),
            ("repeated_ngrams", "ngrams", self.max_ngrams, "{:.2f} of the runs of five words were there before"),
        )
        words = [n for n, column, limit, _ in limits if limit is not None]
        # Of all messages of a chat the worst counts, measure by measure.
        columns = [column for _, column, limit, _ in limits if limit is not None]
        measured = pl.concat([measured, _characters(everything, self.max_characters)], how="diagonal")
        worst = measured.group_by("row").agg(pl.col(c).max() for c in columns)
        rows = pl.int_range(len(frame), dtype=pl.UInt32, eager=True).alias("row").to_frame()
        worst = rows.join(worst, on="row", how="left", maintain_order="left")
        bounds = {column: limit for _, column, limit, _ in limits}
        reason = pl.coalesce(
            *(pl.when(pl.col(c) > bounds[c]).then(pl.lit(w)) for w, c in zip(words, columns, strict=True)),
            pl.lit(None, dtype=pl.String),
        )
        told = worst.with_columns(reason.alias("reason"))
        form = {word: (column, text) for word, column, _, text in limits}
        said_of = [
            form[r["reason"]][1].format(r[form[r["reason"]][0]]) if r["reason"] else None
            for r in told.iter_rows(named=True)
        ]
        return told.select("reason", pl.Series("evidence", said_of, dtype=pl.String))

    def _who(self) -> Who:
        if self.of:
            return self.of
        return {"prompt": "chat", None: "answers"}.get(self.on, "last")  # type: ignore[return-value]


def _characters(messages: pl.DataFrame, limit: int | None) -> pl.DataFrame:
    """`row` and `characters`, the longest run of one character, of messages in which it is above the limit."""
    import numpy as np
    import polars as pl

    found: list[tuple[int, int]] = []
    some = messages.filter(pl.col("text").str.len_chars() > limit) if limit else messages.clear()
    for piece in some.iter_slices(_AT_ONCE):
        points = np.frombuffer("".join(piece["text"]).encode("utf-32-le"), dtype="<u4")
        edges = np.cumsum(piece["text"].str.len_chars().to_numpy())
        begins = np.concatenate([[True], points[1:] != points[:-1]])
        begins[edges[:-1]] = True  # a run ends with its message
        starts = np.flatnonzero(begins)
        sizes = np.diff(starts, append=len(points))
        for at in np.flatnonzero(sizes > (limit or 0)).tolist():
            if not chr(points[starts[at]]).isspace():
                found.append((piece["row"][int(np.searchsorted(edges, starts[at], side="right"))], int(sizes[at])))
    return pl.DataFrame(found, schema={"row": pl.UInt32, "characters": pl.Float64}, orient="row")


def _said_before(messages: pl.DataFrame, separator: str, name: str) -> pl.DataFrame:
    """`message`, and the share of its letters in pieces that it had before; none where that is nothing."""
    import polars as pl

    some = messages.filter(pl.col("text").str.contains(separator, literal=True))
    pieces = some.select("message", pl.col("text").str.split(separator).alias("piece")).explode("piece")
    pieces = pieces.with_columns(pl.col("piece").str.strip_chars())
    pieces = pieces.filter(pl.col("piece").str.contains(r"[\pL\pN]"))
    size = pl.col("piece").str.len_chars()
    again = pl.struct("message", "piece").is_first_distinct().not_()
    pieces = pieces.with_columns(size.alias("size"), again.alias("again"))
    share = pl.col("size").filter("again").sum() / pl.col("size").sum()
    return pieces.group_by("message").agg(share.alias(name)).filter(pl.col(name) > 0)


def _measures(texts: pl.Series, share: float, loop: int) -> list[pl.Series]:
    """`words`, `top`, `ngrams` and `run` of each text; the last two may be 0 where they are not above these bounds."""
    import numpy as np
    import polars as pl

    from curation.operators.shingles import runs, tokens

    parts: list[Any] = [np.zeros((0, 4))]
    for some in tokens(texts):
        words = np.diff(some.edges)
        made = np.zeros((len(words), 4))
        made[:, 0] = words
        most, again = _repeats(*runs(some.numbers, some.edges, _TOP))
        made[:, 1] = most * _TOP / np.maximum(words, 1)
        # What comes again in fives and in loops comes again in threes: most texts need no second look.
        for i in np.flatnonzero(again > share * np.maximum(words - 4, 1)).tolist():
            own = some.numbers[some.edges[i] : some.edges[i + 1]]
            fives, count = runs(own, np.array([0, len(own)]), 5)
            made[i, 2] = _repeats(fives, count)[1][0] / max(len(fives), 1)
        for i in np.flatnonzero(again > loop - loop // 3 - _TOP).tolist():
            made[i, 3] = _loop(some.numbers[some.edges[i] : some.edges[i + 1]])
        parts.append(made)
    table = np.concatenate(parts)
    return [pl.Series(name, table[:, i]) for i, name in enumerate(("words", "top", "ngrams", "run"))]


def _repeats(numbers: Any, counts: Any) -> tuple[Any, Any]:
    """(how often each text has the number that it has most often, 0 for once; how many of its numbers came before)."""
    import numpy as np

    if not len(numbers):
        return np.zeros(len(counts)), np.zeros(len(counts))
    text = np.repeat(np.arange(len(counts), dtype=np.uint64), counts)
    # Numbers of different texts are set apart, so that one sort does for all.
    apart = numbers ^ (text + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    order = np.argsort(apart)
    ordered, owner = apart[order], text[order].astype(np.int64)
    begins = np.flatnonzero(np.concatenate([[True], (ordered[1:] != ordered[:-1]) | (owner[1:] != owner[:-1])]))
    sizes = np.diff(np.concatenate([begins, [len(ordered)]]))
    most = np.zeros(len(counts), dtype=np.int64)
    np.maximum.at(most, owner[begins], sizes)
    distinct = np.bincount(owner[begins], minlength=len(counts))
    return np.where(most > 1, most, 0), counts - distinct


def _loop(words: Any) -> int:
    """Words of the longest stretch in which a piece of up to `_PERIOD` words follows itself, three times or more."""
    import numpy as np

    longest = 0
    for period in range(1, min(_PERIOD, len(words) // 3) + 1):
        breaks = np.flatnonzero(words[period:] != words[:-period])
        stretch = int(np.diff(np.concatenate([[-1], breaks, [len(words) - period]])).max()) - 1
        if stretch >= 2 * period:
            longest = max(longest, stretch + period)
    return longest
