"""A map of a step's rows: what is alike lies together, and each point knows its source and whether it was dropped.

Rows are kept sorted by id, and an id is a hash, so the first rows of a data set are a fair sample of it that no engine
and no order of the input can change. Of kept and dropped rows together those with the smallest ids are placed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf.report.projection import READ, landmarks, place

if TYPE_CHECKING:
    import polars as pl

POINTS = 1200
"""Rows on a map: more would be one blot."""
FEWEST = 24
"""With fewer there is nothing to see."""
SOURCES = 7
"""Sources that get a colour of their own, those with the most points; the others share one."""
_LANDMARKS = 8
_SAID = 90


def data_map(kept: Path, dropped: Path | None) -> dict[str, Any] | None:
    """The map as plain JSON, or None when there are too few rows.

    Keys: `points` ("x,y,source,dropped" each, joined by spaces), `sources` (names, by number), `landmarks` (number of a
    point and the start of its text), `by` (how texts were placed), `of` (rows from which the sample comes).
    """
    import polars as pl

    from curation import table

    folders = [kept, *([dropped] if dropped else [])]
    heads = [_head(folder).with_columns(dropped=pl.lit(int(i == 1))) for i, folder in enumerate(folders)]
    sample = pl.concat(heads).sort("id", "dropped", "source", "text").head(POINTS)
    if len(sample) < FEWEST:
        return None
    if sample["source"].n_unique() == 1 and sample["named"].n_unique() > 1:  # a set that was poured together before
        sample = sample.with_columns(pl.col("named").fill_null("unnamed").alias("source"))
    names = sample["source"].value_counts(sort=False).sort(["count", "source"], descending=[True, False])["source"]
    sources = names.to_list()
    number = {name: min(i, SOURCES) for i, name in enumerate(sources)}
    plane = place(sample["text"].to_list())
    rows = zip(plane.places, sample["source"], sample["dropped"], strict=True)
    texts = sample["asked"].to_list()
    return {
        "by": plane.by,
        "of": sum(table.count(folder) for folder in folders),
        "points": " ".join(f"{x},{y},{number[source]},{gone}" for (x, y), source, gone in rows),
        "sources": sources[:SOURCES] + (["others"] if len(sources) > SOURCES else []),
        "landmarks": [[i, _start(texts[i])] for i in landmarks(plane.places, min(_LANDMARKS, len(sample) // FEWEST))],
    }


def _head(folder: Path) -> pl.DataFrame:
    """The rows with the smallest ids: `id`, `source`, what the record itself `named` as its source, `text`, and `asked`
    (the first message of a user).
    """
    import polars as pl

    from curation import table
    from curation.frame import to_rows

    found = [
        (
            row.id,
            row.source.dataset or row.source.file or "unnamed",
            named if isinstance(named := row.meta.get("source"), str) and named else None,
            "\n".join(_told(row))[:READ],
            _asked(row),
        )
        for row in to_rows(table.scan(folder).head(POINTS).collect())
    ]
    return pl.DataFrame(
        found, schema=dict.fromkeys(("id", "source", "named", "text", "asked"), pl.String), orient="row"
    )


def _told(row: Any) -> list[str]:
    """All texts of a row: of a chat its messages, else the prompt and each answer to it."""
    if hasattr(row, "messages"):
        return [m.content for m in row.messages]
    start = len(row.prompt)
    return [m.content for m in row.prompt] + [m.content for c in row.conversations() for m in c.messages[start:]]


def _asked(row: Any) -> str:
    messages = row.messages if hasattr(row, "messages") else row.prompt
    return next((m.content for m in messages if m.role == "user"), messages[0].content if messages else "")


def _start(text: str) -> str:
    """The beginning of a text in one line."""
    line = " ".join(text[: 4 * _SAID].split())
    return line if len(line) <= _SAID else line[: _SAID - 1] + "…"
