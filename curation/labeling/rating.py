"""How good is an answer, in each of several aspects? One to five points each.

A verdict is `{aspect: points}` with all aspects. What an aspect means is part of what is asked: under other words, old
points do not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from curation.conversation import digest
from curation.labeling.of_chat import OfChat
from curation.labeling.question import SKIP, Misread, Shown, Verdict
from curation.labeling.showing import inert

POINTS = (1, 2, 3, 4, 5)
_LONGEST = 1_000
"""Characters that Argilla takes of what an aspect means."""
RESERVED = ("record", "prompt", "answer", "annotator", "note")
"""Columns of a form, which no aspect can be called."""


@dataclass(frozen=True)
class Rating(OfChat):
    """Points for the last answer of a chat."""

    aspects: tuple[tuple[str, str], ...]
    """(name, what earns its points)."""

    name: ClassVar[str] = "rating"
    letter: ClassVar[str] = "r"
    asked: ClassVar[str] = "rate"

    @property
    def title(self) -> str:
        return "How good is the last answer? 1 to 5 each"

    def under(self, guidelines: str) -> str:
        return digest("rating", guidelines, *(part for aspect in self.aspects for part in aspect))

    @property
    def filled(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.aspects)

    def parse(self, shown: Shown, cells: Mapping[str, str]) -> Verdict | None:
        said = {name: cells[name] for name in self.filled if cells[name]}
        if not said:
            return None
        if SKIP in (text.lower() for text in said.values()):
            return SKIP
        if missing := [name for name in self.filled if name not in said]:
            raise Misread(f"there are no points for `{'` and `'.join(missing)}`; write 1 to 5, or skip")
        return {name: _points(name, text) for name, text in said.items()}

    @property
    def questions(self) -> tuple[Mapping[str, Any], ...]:
        settings = {"type": "rating", "options": [{"value": n} for n in POINTS]}
        return tuple(
            {
                "name": name,
                "title": name,
                "description": inert(what)[:_LONGEST] or None,
                "required": True,
                "settings": settings,
            }
            for name, what in self.aspects
        )

    def read(self, shown: Shown, values: Mapping[str, Any]) -> Verdict | None:
        said = {name: values.get(name) for name in self.filled}
        return {n: int(v) for n, v in said.items() if v is not None} if None not in said.values() else None

    def suggestion(self, shown: Shown, verdict: Verdict) -> Mapping[str, Any]:
        return dict(verdict) if isinstance(verdict, Mapping) else {}

    def line(self, shown: Shown) -> dict[str, Any]:
        return {**super().line(shown), "aspects": [list(aspect) for aspect in self.aspects]}

    @classmethod
    def of_line(cls, line: Mapping[str, Any]) -> Rating:
        return cls(tuple((name, what) for name, what in line["aspects"]))


def _points(name: str, text: str) -> int:
    try:
        points = float(text.replace(",", "."))  # a spreadsheet may make 4.0 of 4
    except ValueError:
        points = 0.0
    if points not in POINTS:
        raise Misread(f"{text[:40]!r} are no points for `{name}`; write 1 to 5, or skip")
    return int(points)
