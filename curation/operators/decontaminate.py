"""Takes out rows that hold what a benchmark asks, so that what is measured later was not learnt before.

What is looked for in which way, `curation.operators.probes` says; how it is found, `curation.operators.leaks`. Case,
punctuation, white space, Unicode's form and width, and the place of a Vietnamese tone mark count for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from curation.operator import Filter
from curation.operators.against import Others, chats
from curation.operators.benchmarks import Benchmarks, Item

if TYPE_CHECKING:
    import polars as pl

_SHOWN = 160
"""Characters of a row's text that are shown as evidence."""


class Decontaminate(Filter):
    """Drops rows in which a text of a benchmark stands. Reasons: `leak`, `near_leak`.

    The evidence names the benchmark, the item and the words of the row that are the item's. Of the benchmark, what is
    asked is looked for (and the answer, where `columns` names it); of the rows, every message, or those that `on`
    means. Items too short to tell are looked for as a whole.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"conversations", "candidates", "preferences"})
    op: Literal["decontaminate"] = "decontaminate"
    benchmarks: Benchmarks = Field(default_factory=list)
    """Files or data sets on the Hub: `mt_bench.jsonl`, or `{path: openai/gsm8k, name: main, columns: [question]}`; one,
    or a list."""
    against: Others = Field(default_factory=list)
    """Steps whose prompts must not be learnt: one, or a list."""
    n: int = Field(13, ge=2, le=50)
    """So many words in a row are a leak, when the item has as many. In scripts that do not set words apart, letters:
    two of Chinese or Japanese for a word, four of Thai, Lao, Khmer or Burmese."""
    short: int = Field(8, ge=2, le=50)
    """Items of fewer than `n` words leak where three quarters of their runs of so many words stand in one message.
    Items that are shorter still must stand in a message as a whole, and those of four words or fewer must be all of
    it."""
    near: float | None = Field(0.6, gt=0, le=1)
    """Share of an item's runs of five words in one message that makes it a `near_leak`. None: edited items are not
    looked for."""

    _index: Any = PrivateAttr(None)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not (self.benchmarks or self.against):
            raise PydanticCustomError(
                "nothing", "decontaminate has nothing to look for: name `benchmarks` or `against`"
            )
        if self.short > self.n:
            raise PydanticCustomError("range", "`short` is for items of fewer than `n` words, so it is at most `n`")
        return self

    def prepare(self) -> None:
        if self._index is None:
            from curation.operators.probes import index

            sets = [(benchmark.title, benchmark.items()) for benchmark in self.benchmarks]
            sets += [(ref.written, _asked(ref)) for ref in self.against]
            self._index = index(sets, self.n, self.short, self.near)

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import numpy as np
        import polars as pl

        self.prepare()
        worst = np.zeros(len(frame), dtype=np.uint8)
        for texts in _said(frame):
            lengths = texts.list.len().fill_null(0).to_numpy()
            pieces = texts.drop_nulls().explode(empty_as_null=False)
            np.maximum.at(worst, np.repeat(np.arange(len(frame)), lengths), self._index.search(pieces))
        words = pl.Series([None, "near_leak", "leak"], dtype=pl.String)
        return words.gather(worst).alias("reason")

    def evidence(self, frame: pl.DataFrame, reasons: pl.Series) -> pl.Series:
        import polars as pl

        from curation.operators.windows import plain

        lost = reasons.is_not_null().arg_true()
        rows = frame[lost]
        columns = [texts.fill_null([]).to_list() for texts in _said(rows)]
        said = []
        for of_row in zip(*columns, strict=True):
            texts = plain(pl.Series([text for texts in of_row for text in texts], dtype=pl.String))
            said.append(self._best(texts.to_list()))
        return pl.Series("evidence", [None] * len(frame), dtype=pl.String).scatter(lost, said)

    def _best(self, texts: list[str]) -> str | None:
        """What speaks most for a leak: the item of which most is there, exact runs first; of equals the first item."""
        index = self._index
        found = [(hit, text) for text in texts for hit in index.hits(text)]
        if not found:
            return None
        hit, text = min(found, key=lambda f: (f[0].how == "near", -f[0].runs, f[0].probe))
        name, item = index.names[index.owners[hit.probe]]
        words = " ".join(text.encode()[hit.start : hit.end].decode("utf-8", "replace").split())
        return f"{name}[{item}]: {words[:_SHOWN]}{'…' if len(words) > _SHOWN else ''}"


def _said(frame: pl.DataFrame) -> list[pl.Series]:
    """The texts of each row, a column of lists for each of its columns of messages."""
    import polars as pl

    columns = [c for c in ("messages", "prompt", "answers", "chosen", "rejected") if c in frame.columns]
    return [frame.select(pl.col(c).list.eval(pl.element().struct.field("content")))[c] for c in columns]


def _asked(ref: Any) -> Iterator[Item]:
    """What the rows of a step ask, of users' turns."""
    import polars as pl

    for frame in chats(ref, "prompt"):
        users = pl.element().filter(pl.element().struct.field("role") == "user").struct.field("content")
        for row, texts in frame.select("id", pl.col("messages").list.eval(users)).iter_rows():
            said = tuple(text for text in texts if text and text.strip())
            if said:
                yield Item(row, said)
