"""What became of every row, as a staircase: each reason takes its piece off the bar until what was kept is left.

A step's ledger is turned into stairs with the places and lengths of their bars in rows, so that drawing has nothing
left to decide. The stairs are checked by the sums of the ledger: after the last one the level is what was kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlhf.report.words import count


@dataclass(frozen=True)
class Stair:
    """One bar."""

    label: str
    """What happened: an operator's name, or where it starts and ends."""
    reason: str
    """The word of the ledger; empty where nothing was dropped."""
    start: int
    length: int
    kind: str
    """`all`, `lost`, `new`, `kept`, or `none` for an operator that dropped nothing."""
    note: str = ""

    @property
    def change(self) -> str:
        """`262`, `-12`, `+4`."""
        if self.kind == "none":
            return "0"
        sign = {"lost": "\N{MINUS SIGN}", "new": "+"}.get(self.kind, "")
        return f"{sign}{self.length:,}"

    @property
    def title(self) -> str:
        """For screen readers and the mouse."""
        what = f"{self.label}: {self.reason}" if self.reason else self.label
        return f"{what}, {self.change}"


@dataclass(frozen=True)
class Waterfall:
    """The stairs of one source or of one chain of operators."""

    title: str
    stairs: Sequence[Stair]
    note: str = ""

    @property
    def of(self) -> int:
        """The length of the axis: the highest level."""
        return max((s.start + s.length for s in self.stairs), default=0)


def waterfalls(ledger: Mapping[str, Any] | None) -> list[Waterfall]:
    """A ledger (as JSON) as its waterfalls: one a source that was read, one for all operators together."""
    if not ledger:
        return []
    found = [_reading(reading) for reading in ledger.get("readings") or ()]
    entries = ledger.get("entries") or ()
    if entries:
        found.append(Waterfall("", list(_operators(entries))))
    return found


def _reading(reading: Mapping[str, Any]) -> Waterfall:
    level = int(reading.get("records", 0))
    stairs = [Stair("records read", "", 0, level, "all")]
    for reason, n in _sorted(reading.get("malformed")):
        level -= n
        stairs.append(Stair("malformed", reason, level, n, "lost"))
    used, rows = int(reading.get("used", 0)), int(reading.get("rows", 0))
    stairs.append(Stair("used", "", 0, used, "kept", "" if rows in (0, used) else f"they gave {count(rows, 'row')}"))
    broken = int(reading.get("bytes_lost", 0))
    note = f"the file breaks off: its last {count(broken, 'byte')} could not be read" if broken else ""
    return Waterfall(str(reading.get("source", "")), stairs, note)


def _operators(entries: Sequence[Mapping[str, Any]]) -> Iterator[Stair]:
    level = int(entries[0].get("made", 0))
    yield Stair("given", "", 0, level, "all")
    for entry in entries:
        name, changed = str(entry.get("operator", "")), False
        edited = int(entry.get("edited", 0))
        note = f"{edited:,} edited" if edited else ""
        if children := int(entry.get("children", 0)):
            yield Stair(name, "children", level, children, "new", "made from other rows")
            level, changed = level + children, True
        pieces = [*_sorted(entry.get("dropped"))]
        if replaced := int(entry.get("replaced", 0)):
            pieces.append(("replaced", replaced))
        for reason, n in pieces:
            level -= n
            yield Stair(name, reason, level, n, "lost", "gave way to them" if reason == "replaced" else note)
            changed, note = True, ""
        if not changed:
            yield Stair(name, "", level, 0, "none", note)
    yield Stair("kept", "", 0, int(entries[-1].get("kept", 0)), "kept")


def _sorted(reasons: Any) -> list[tuple[str, int]]:
    """The reasons that took a row, the largest first."""
    found = [(str(r), int(n)) for r, n in (reasons or {}).items() if n]
    return sorted(found, key=lambda item: (-item[1], item[0]))
