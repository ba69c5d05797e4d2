"""Every row accounted for: what each operator was given, made, kept, dropped and replaced, and whether it adds up.

Two sums must hold, or the step fails: `records = used + malformed` where records are read, and for each operator
`made + children = kept + dropped + replaced`, where `made` is what it was given, `children` what a mapper split off,
and `replaced` the parents of those children.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field


def in_words(reasons: Mapping[str, int]) -> str:
    """`2 tied, 1 too_short`: reasons and how many rows each, for a sentence; empty where there are none."""
    return ", ".join(f"{rows} {word}" for word, rows in sorted(reasons.items()))


class Reading(BaseModel):
    """What became of the records of one source."""

    model_config = ConfigDict(extra="forbid")

    source: str
    """Name for people: the file or data set."""
    records: int = 0
    """Records seen, the broken ones included."""
    used: int = 0
    """Records that gave at least one row."""
    malformed: dict[str, int] = Field(default_factory=dict)
    """Reason word -> records that gave none."""
    rows: int = 0
    """Rows made from the used records (a tree gives many)."""
    bytes_lost: int = 0
    """Bytes after the place where a file broke off; 0 for a whole file."""
    formats: dict[str, int] = Field(default_factory=dict)
    """Format -> records that were used as it. Several where `auto` met a file in which sets are mixed."""
    evidence: dict[str, str] = Field(default_factory=dict)
    """Format that `auto` found -> what spoke for it."""

    def problem(self) -> str | None:
        """Why the sum does not hold, or None."""
        lost = sum(self.malformed.values())
        if self.records == self.used + lost:
            return None
        return f"{self.source}: {self.records} records, but {self.used} used + {lost} malformed"


class Entry(BaseModel):
    """What one operator did."""

    model_config = ConfigDict(extra="forbid")

    operator: str
    """Name as in the recipe, with what it worked on: `length`, `length(chosen)`."""
    made: int = 0
    """Rows given to the operator."""
    children: int = 0
    """New rows that it split off."""
    kept: int = 0
    dropped: dict[str, int] = Field(default_factory=dict)
    """Reason word -> rows."""
    replaced: int = 0
    """Rows that gave way to their children."""
    edited: int = 0
    """Of the kept rows, those whose content changed. In no sum."""
    removed: dict[str, int] = Field(default_factory=dict)
    """Reason word -> answers taken out of candidates that were kept. In no sum."""
    seconds: float = 0.0

    def problem(self) -> str | None:
        """Why the sum does not hold, or None."""
        lost = sum(self.dropped.values())
        if self.made + self.children == self.kept + lost + self.replaced:
            return None
        return (
            f"{self.operator}: {self.made} made + {self.children} children, "
            f"but {self.kept} kept + {lost} dropped + {self.replaced} replaced"
        )


class Ledger(BaseModel):
    """All readings and operators of one step, in order."""

    model_config = ConfigDict(extra="forbid")

    readings: list[Reading] = Field(default_factory=list)
    entries: list[Entry] = Field(default_factory=list)

    def problems(self) -> list[str]:
        """Every sum that does not hold, the ones between neighbours included."""
        lines: tuple[Reading | Entry, ...] = (*self.readings, *self.entries)
        found = [p for line in lines if (p := line.problem())]
        for a, b in zip(self.entries, self.entries[1:], strict=False):
            if a.kept != b.made:
                found.append(f"{a.operator} kept {a.kept} rows, but {b.operator} was given {b.made}")
        return found

    def waterfall(self) -> list[str]:
        """The way of the rows through the operators, one line each, for people."""
        if not self.entries:
            return []
        lines = [f"{self.entries[0].made:,} rows"]
        for e in self.entries:
            lost = ", ".join(f"{n:,} {word}" for word, n in e.dropped.items())
            made = f"{e.children:,} split off from {e.replaced:,}" if e.children else ""
            changes = "; ".join(filter(None, (f"dropped {lost}" if lost else "", made)))
            lines.append(f"{e.kept:,} after {e.operator}" + (f": {changes}" if changes else ""))
        return lines

    def dropped(self) -> dict[str, int]:
        """`operator: reason` -> rows, over all operators."""
        return {f"{e.operator}: {r}": n for e in self.entries for r, n in e.dropped.items()}
