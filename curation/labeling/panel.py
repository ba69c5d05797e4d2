"""What can be said of the people who answered: how far they agree, and whose answers somebody should look at.

A flag is a question to a human and never a reason to drop an answer: all answers count until someone decides otherwise.
Three things raise one. `disagrees`: the whole interval of somebody's agreement with the others lies below what
everybody is expected to reach. `too_fast`: more answers than a few came faster than anyone can read (`pace`).
`misses_gold`: the whole interval of their accuracy on questions with known answers lies below `GOLD_FLOOR`.

People are called `annotator1`, `annotator2` ... in everything that is made from this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from curation.labeling.agreement import (
    FLEISS,
    RAW,
    Interval,
    Level,
    Share,
    Standing,
    Votes,
    alpha_of,
    annotators,
    interval,
)
from curation.labeling.consensus.ranks import Said, duels
from curation.labeling.flags import WORDS, Flag
from curation.labeling.pace import Pace

GOLD_FLOOR = 0.7
"""Accuracy on gold questions that is expected of everyone."""


@dataclass
class Panel:
    """Everybody's votes on some items, and what else is known of them. Keys are the names of people."""

    votes: Votes
    """Item -> person -> value; of rankings, see `of_rankings`."""
    level: Level = "nominal"
    whole: Callable[[str], str] = str
    """Item -> the larger item that it is a part of, which is drawn whole."""
    answers: Mapping[str, int] = field(default_factory=dict)
    """Person -> answers, skips included."""
    skips: Mapping[str, int] = field(default_factory=dict)
    gold: Mapping[str, Share] = field(default_factory=dict)
    paces: Mapping[str, Pace] = field(default_factory=dict)
    reliability: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of_rankings(cls, said: Said, **known: Any) -> Panel:
        """Every two answers of a ranking are a vote; those of one ranking stand and fall together."""
        votes: dict[str, dict[str, str]] = {}
        for item, people in said.items():
            for who, ranks in people.items():
                for better, worse, tie in duels(ranks):
                    a, b = sorted((better, worse))
                    votes.setdefault(f"{item} {a} {b}", {})[who] = (
                        "tie" if tie else "first" if better == a else "second"
                    )
        return cls(votes, whole=lambda item: item.split(" ")[0], **known)

    def figures(self, names: Mapping[str, str], seed: int = 42) -> dict[str, Any]:
        """`{"agreement": {...}, "people": {annotator1: {...}}}` as plain JSON.

        Args:
            names: Person -> what they are called.
        """
        people = sorted(self.answers, key=lambda who: _natural(names[who]))
        standings = {s.annotator: s for s in annotators(self.votes, level=self.level, whole=self.whole, seed=seed)}
        rows = {names[who]: self._person(who, standings.get(who)) for who in people}
        return {"agreement": self.agreement(seed), "people": rows}

    def agreement(self, seed: int = 42) -> dict[str, Any]:
        """`raw`, `kappa` (Fleiss) and `alpha` (Krippendorff) with intervals; `items` and `votes` that they rest on."""
        seen = {item: people for item, people in self.votes.items() if len(people) > 1}
        found: dict[str, Any] = {"items": len({self.whole(item) for item in seen})}
        found["votes"] = sum(map(len, seen.values()))
        if not seen:
            return found
        for name, statistic in (("raw", RAW), ("kappa", FLEISS), ("alpha", alpha_of(seen, self.level))):
            found[name] = plain(interval(seen, statistic, whole=self.whole, seed=seed))
        return found

    def _person(self, who: str, standing: Standing | None) -> dict[str, Any]:
        row: dict[str, Any] = {"answers": self.answers[who], "skips": self.skips.get(who, 0)}
        flags: list[Flag] = []
        if standing and standing.shared.pairs:
            row["agrees"] = standing.shared.value
            row["kappa"] = plain(standing.kappa)
            if standing.stray:
                flags.append("disagrees")
        if who in self.reliability:
            row["reliability"] = self.reliability[who]
        if pace := self.paces.get(who):
            row |= {"seconds": pace.seconds, "timed": pace.timed, "too_fast": pace.too_fast}
            if pace.flagged:
                flags.append("too_fast")
        if (gold := self.gold.get(who)) and gold.pairs:
            accuracy = exact(gold)
            row["gold"] = {**plain(accuracy), "n": gold.pairs}
            if accuracy.high < GOLD_FLOOR:
                flags.append("misses_gold")
        return {**row, "flags": list(flags)}


def flagged(figures: Mapping[str, Any]) -> str:
    """One line for people that names who is flagged and why, or nothing."""
    found = [
        f"{name} {' and '.join(WORDS[flag] for flag in row['flags'])}"
        for name, row in figures["people"].items()
        if row["flags"]
    ]
    return "; ".join(found)


def exact(share: Share, confidence: float = 0.95) -> Interval:
    """A share of independent trials with its exact interval (Clopper and Pearson 1934)."""
    from scipy.stats import beta

    k, n, tail = share.agreed, share.pairs, (1 - confidence) / 2
    low = float(beta.ppf(tail, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0
    return Interval(share.value, low, high)


def plain(found: Interval) -> dict[str, float | None]:
    """As metrics hold it: `{mean, low, high}`, with None for what there is not."""
    parts = {"mean": found.value, "low": found.low, "high": found.high}
    return {name: None if math.isnan(x) else float(x) for name, x in parts.items()}


def _natural(name: str) -> tuple[str, int]:
    """`annotator2` before `annotator10`."""
    bare = name.rstrip("0123456789")
    return bare, int(name[len(bare) :] or 0)
