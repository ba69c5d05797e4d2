"""Whether people answer faster than anyone can read what they answer about.

What is known is when each answer was submitted. From one submit to the next a person has at most that time for the
next record; what came before it in their sitting they have read already. So the words of a record that are new to them,
divided by the time since their last submit, are a lower bound of their reading speed. People read 238 words a minute
(Brysbaert 2019, "How many words do we read per minute?"); at 600 they do not read any more but scan for a single word
(Carver 1992, "Reading rate: theory, research, and practical implications"). Faster than that nothing was weighed.

Where a script writes no spaces every character counts as a word: Chinese is read at 255 characters a minute and English
at 228 words in the same study (Trauzettel-Klosinski and Dietz 2012, "Standardized assessment of reading performance").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

FASTEST = 600
"""Words a minute of scanning: whoever is faster does not read."""
FEWEST, SHARE = 5, 0.25
"""Someone is flagged from so many answers on that came faster, when they are more than such a share."""

_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+"
)


def words(text: str) -> int:
    """Words, and characters of scripts without spaces."""
    return len(_WORD.findall(text))


@dataclass(frozen=True)
class Submit:
    """One answer of one person."""

    annotator: str
    at: float
    """When it was first given, in seconds since any fixed time."""
    texts: tuple[str, ...]
    """What the record showed."""


@dataclass(frozen=True)
class Pace:
    """How fast a person answers."""

    timed: int
    """Answers of which it is known; the first one has none before it."""
    too_fast: int
    """Those that came faster than anyone can read."""
    seconds: float
    """From one answer to the next: the median."""

    @property
    def flagged(self) -> bool:
        return self.too_fast >= FEWEST and self.too_fast > SHARE * self.timed


def paces(submits: Iterable[Submit]) -> dict[str, Pace]:
    """Everybody whose answers carry times, at least two of them.

    Answers of the same second were given in one go (a page of records that is submitted as a whole), and share the time
    since the answer before.
    """
    found = {}
    in_order = sorted(submits, key=lambda s: (s.annotator, s.at))
    for annotator, own in groupby(in_order, key=lambda s: s.annotator):
        if pace := _pace(list(own)):
            found[annotator] = pace
    return found


def _pace(submits: Sequence[Submit]) -> Pace | None:
    seen: set[str] = set()
    before: float | None = None
    timed = too_fast = 0
    gaps: list[float] = []
    for at, group in groupby(submits, key=lambda s: int(s.at)):
        together = list(group)
        new = {text for submit in together for text in submit.texts} - seen
        seen |= new
        if before is not None:
            gap = at - before
            timed += len(together)
            gaps += [gap / len(together)] * len(together)
            if sum(map(words, new)) > FASTEST * gap / 60:
                too_fast += len(together)
        before = at
    return Pace(timed, too_fast, median(gaps)) if gaps else None
