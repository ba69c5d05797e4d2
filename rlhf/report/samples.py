"""Rows that went, to look at: up to ten for each operator and reason, picked without looking.

Rows are kept sorted by id, and an id is a hash: the first rows of a reason are a fair sample of it, the same in every
run, whatever the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curation.ledger import Entry

EACH = 10
"""Rows of one reason."""
MOST = 300
"""Rows in all: with many reasons each gets fewer."""
SHOWN = 600
"""Characters of a row."""
_MESSAGE = 260
"""Characters of one message, where there are several."""


def dropped_samples(dropped: Path | None, entries: Sequence[Entry]) -> list[dict[str, str]]:
    """`{"dropped by", "reason", "text"}` each, in the order of the operators; within a reason by id.

    Where the operator said what its reason rests on, that is there as `evidence`.

    Args:
        dropped: Folder of the dropped rows, or None when there are none.
        entries: Of the ledger: which operators dropped for which reasons.
    """
    order = list(dict.fromkeys((entry.operator, word) for entry in entries for word in entry.dropped))
    if dropped is None or not order:
        return []
    import polars as pl

    from curation import table
    from curation.frame import to_rows

    each = max(min(EACH, MOST // len(order)), 1)
    lazy = table.scan(dropped).with_row_index("place")
    by = ["dropped_by", "reason"]
    picked = lazy.select("place", *by).group_by(by).agg(pl.col("place").sort().head(each)).collect()
    places = picked["place"].explode().sort()
    # Most of the places lie at the beginning: what comes after the last of them is not read.
    near = lazy.head(int(places[-1]) + 1) if len(places) else lazy.head(0)
    frame = near.filter(pl.col("place").is_in(places.implode())).drop("place").collect()
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    said = frame["evidence"] if "evidence" in frame.columns else [None] * len(frame)
    for row, (operator, reason), evidence in zip(to_rows(frame), frame.select(by).iter_rows(), said, strict=True):
        sample = {"dropped by": operator, "reason": reason, "text": text_of(row)}
        if evidence:
            sample["evidence"] = _shortened(evidence, _MESSAGE)
        found.setdefault((operator, reason), []).append(sample)
    return [sample for key in order for sample in found.get(key, ())]


def malformed_samples(malformed: Path | None) -> list[dict[str, str]]:
    """The same of records that gave no row, the most frequent reason first; within a reason spread over the records.

    Args:
        malformed: Folder of these records (`file`, `index`, `reason`, `raw`), or None when there are none.
    """
    if malformed is None or not malformed.exists():
        return []
    import polars as pl

    from curation import table

    lazy = table.scan(malformed).with_row_index("place")
    counts = lazy.group_by("reason").agg(pl.col("place").sort(), n=pl.len()).collect()
    order = counts.sort(["n", "reason"], descending=[True, False])
    each = max(min(EACH, MOST // len(order)), 1)
    found = []
    for reason, places in order.select("reason", "place").iter_rows():
        chosen = [places[i * len(places) // min(each, len(places))] for i in range(min(each, len(places)))]
        frame = lazy.filter(pl.col("place").is_in(chosen)).collect()
        for file, index, raw in frame.select("file", "index", "raw").iter_rows():
            text = f"{file}, record {index}: {_shortened(raw, SHOWN)}"
            found.append({"dropped by": "malformed", "reason": reason, "text": text})
    return found


def text_of(row: Any) -> str:
    """A row for people: who said what, long messages with their beginnings and ends."""
    if hasattr(row, "messages"):
        said = [(m.role, m.content) for m in row.messages]
    else:
        start = len(row.prompt)
        pair = hasattr(row, "chosen")
        names = ["chosen", "rejected"] if pair else [f"answer {i + 1}" for i in range(len(row.answers))]
        said = [(m.role, m.content) for m in row.prompt]
        for name, chat in zip(names, row.conversations(), strict=True):
            said += [(name, m.content) for m in chat.messages[start:]]
    most = SHOWN if len(said) == 1 else _MESSAGE
    lines: list[str] = []
    for role, content in said:
        if sum(map(len, lines)) > SHOWN:
            lines.append(f"... {len(said) - len(lines)} more messages")
            break
        lines.append(f"{role}: {_shortened(content, most)}")
    return "\n".join(lines)


def _shortened(text: str, most: int) -> str:
    """The beginning and the end of a long text: a reason may lie in either."""
    if len(text) <= most:
        return text
    tail = most // 4
    return f"{text[: most - tail]} [… {len(text) - most:,} characters …] {text[-tail:]}"
