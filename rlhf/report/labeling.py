"""What the page says of the people behind a labeling step: how far they agree, and whose answers to look at.

People are `annotator1`, `annotator2` ... here as in every artifact; `rlhf label people` tells who that is, from the log
that never leaves the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.labeling.flags import WORDS
from rlhf.report.steps import StepView
from rlhf.report.words import count, duration, interval, is_interval, is_number, number, share

_COEFFICIENTS = {
    "raw": ("raw agreement", "share of pairs of people who say the same of an item"),
    "kappa": ("Fleiss’ kappa", "beyond chance: 0 is chance, 1 is always"),
    "alpha": ("Krippendorff’s alpha", "the same where not everybody saw everything; grades by their distance"),
}
_METHODS = {
    "majority": "the verdict with more votes than any other, else a tie",
    "ranked_pairs": "ranked pairs (Tideman): the clearest majorities first, none that would close a circle",
    "dawid_skene": "Dawid and Skene’s model, which weighs people by how often they are right",
    "bradley_terry": "Bradley and Terry’s model, with the reliability of each person (Crowd-BT)",
}


@dataclass(frozen=True)
class Coefficient:
    """One measure of agreement."""

    name: str
    meaning: str
    found: Mapping[str, Any]

    @property
    def words(self) -> str:
        return interval(self.found)


@dataclass(frozen=True)
class Asked:
    """How far people agree about one question."""

    question: str
    """Empty where there is only one."""
    items: int
    coefficients: Sequence[Coefficient]

    @classmethod
    def of(cls, found: Mapping[str, Any], question: str = "") -> Asked:
        """From the figures of a question."""
        rows = [
            Coefficient(*words, found[name]) for name, words in _COEFFICIENTS.items() if is_interval(found.get(name))
        ]
        return cls(question, found.get("items") or 0, rows)

    @property
    def note(self) -> str:
        """What the agreement rests on."""
        if not self.coefficients:
            return "No two people answered the same question, so nothing is known of their agreement."
        return f"On {count(self.items, 'item')} that two or more people answered."


@dataclass(frozen=True)
class Person:
    """One annotator: a row of the table, with the cells of `People.columns`."""

    name: str
    cells: Sequence[str]
    flags: Sequence[str]


class People:
    """The people behind one step."""

    def __init__(self, step: StepView) -> None:
        metrics = step.manifest.get("metrics") or {}
        self.step = step
        found = metrics.get("agreement") or {}
        one = "items" in found or not found
        self.asked = [Asked.of(found)] if one else [Asked.of(own, str(name)) for name, own in found.items()]
        self._rows: Mapping[str, Mapping[str, Any]] = metrics.get("people") or {}
        self.consensus = str(metrics.get("consensus") or "")

    @property
    def how(self) -> str:
        """How several verdicts become one."""
        return _METHODS.get(self.consensus, self.consensus)

    @property
    def columns(self) -> list[tuple[str, str]]:
        """(name, what it means) of the columns that there is anything in."""
        return [(name, meaning) for name, meaning, cell in _COLUMNS if any(cell(row) for row in self._rows.values())]

    @property
    def people(self) -> list[Person]:
        shown = [cell for _, _, cell in _COLUMNS if any(cell(row) for row in self._rows.values())]
        return [
            Person(
                name, [cell(row) or number(None) for cell in shown], [WORDS.get(f, f) for f in row.get("flags") or ()]
            )
            for name, row in self._rows.items()
        ]

    @property
    def flagged(self) -> list[Person]:
        return [person for person in self.people if person.flags]


def _gold(row: Mapping[str, Any]) -> str:
    found = row.get("gold")
    return f"{interval(found)} of {number(found.get('n'))}" if is_interval(found) else ""


def _too_fast(row: Mapping[str, Any]) -> str:
    timed = row.get("timed")
    return f"{number(row.get('too_fast'))} of {number(timed)}" if is_number(timed) and timed else ""


_COLUMNS = (
    ("answers", "", lambda row: number(row.get("answers"))),
    ("skips", "", lambda row: number(row["skips"]) if row.get("skips") else ""),
    ("agrees", "share of others’ votes on the same items", lambda row: share(row["agrees"]) if "agrees" in row else ""),
    ("kappa", "with the others, beyond chance", lambda row: interval(row["kappa"]) if "kappa" in row else ""),
    ("reliability", "as the model finds it", lambda row: share(row["reliability"]) if "reliability" in row else ""),
    ("gold", "right where the answer is known", _gold),
    ("pace", "median from one answer to the next", lambda row: duration(row["seconds"]) if "seconds" in row else ""),
    ("too fast", "to have been read", _too_fast),
)
