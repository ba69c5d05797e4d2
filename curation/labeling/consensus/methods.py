"""The four ways by name, over all items at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from curation.labeling.consensus.bradley_terry import Duel, bradley_terry
from curation.labeling.consensus.dawid_skene import dawid_skene
from curation.labeling.consensus.majority import majority
from curation.labeling.consensus.ranked_pairs import ranked_pairs
from curation.labeling.consensus.ranks import Ranks, Said, check, dense, duels

Method = Literal["majority", "ranked_pairs", "dawid_skene", "bradley_terry"]
METHODS: tuple[Method, ...] = get_args(Method)
Reliability = dict[str, float]
"""Person -> how often they say what is found true, by a way that asks for it."""

CHOICES: tuple[Ranks, ...] = ((1, 2), (2, 1), (1, 1))
"""What can be said of two answers."""
_SMOOTHING = 0.01
"""Added to everybody's table, so that what was never said is unlikely and not impossible."""
_EVEN = 0.005
"""Two answers are a tie when the chance of either lies this near one half."""


def agreed(
    said: Said, method: Method | None = None, answers: Mapping[str, Sequence[str]] | None = None
) -> tuple[dict[str, Ranks], Reliability]:
    """What people say together about each item, and how far each can be relied on where the way asks for that.

    Args:
        said: Item -> person -> ranking; each item has at least one.
        method: None: `majority` of two answers, `ranked_pairs` of more.
        answers: Item -> names of its answers, in the order of the rankings: answers of one name are one answer,
            whichever items it stands in. `bradley_terry` learns from that; None: every item has answers of its own.

    Raises:
        ValueError: the way is not made for so many answers.
    """
    if not said:
        return {}, {}
    if method is None:
        return {item: _USUAL[check(people) > 2](people) for item, people in said.items()}, {}
    if method == "majority":
        return {item: majority(people) for item, people in said.items()}, {}
    if method == "ranked_pairs":
        return {item: ranked_pairs(people) for item, people in said.items()}, {}
    return _by_model(said) if method == "dawid_skene" else _by_strength(said, answers)


_USUAL = {False: majority, True: ranked_pairs}


def used(said: Said) -> str:
    """The ways that `agreed` takes by itself for these items."""
    sizes = {check(people) > 2 for people in said.values()}
    return ", ".join(_USUAL[many].__name__ for many in sorted(sizes))


def _by_model(said: Said) -> tuple[dict[str, Ranks], Reliability]:
    """Which of two answers comes first is arbitrary, so every item counts a second time with its answers exchanged."""
    for people in said.values():
        if (size := check(people)) != 2:
            raise ValueError(f"`dawid_skene` is for two answers, and these are {size}")
    who = sorted({name for people in said.values() for name in people})
    counts = np.zeros((2 * len(said), len(who), len(CHOICES)))
    for i, people in enumerate(said.values()):
        for name, ranks in people.items():
            choice = CHOICES.index(dense(ranks))
            counts[i, who.index(name), choice] = 1
            counts[len(said) + i, who.index(name), (1, 0, 2)[choice]] = 1
    model = dawid_skene(counts, smoothing=_SMOOTHING)
    found = {}
    for item, odds in zip(said, model.truth[: len(said)], strict=True):
        even = abs(odds[0] - odds[1]) < 1e-6  # as likely as each other, to what EM can tell
        best = int(odds.argmax())
        found[item] = CHOICES[2] if even else CHOICES[best]
    return found, dict(zip(who, map(float, model.reliability()), strict=True))


def _by_strength(said: Said, answers: Mapping[str, Sequence[str]] | None) -> tuple[dict[str, Ranks], Reliability]:
    who = {name: n for n, name in enumerate(sorted({name for people in said.values() for name in people}))}
    number: dict[str, int] = {}
    own: dict[str, list[int]] = {}
    for item, people in said.items():
        names = answers[item] if answers else [f"{item} {i}" for i in range(check(people))]
        own[item] = [number.setdefault(name, len(number)) for name in names]
    fought = []
    for item, people in said.items():
        for name, ranks in people.items():
            for better, worse, tie in duels(ranks):
                a, b = own[item][better], own[item][worse]
                fought += [Duel(who[name], a, b, 0.5), Duel(who[name], b, a, 0.5)] if tie else [Duel(who[name], a, b)]
    fit = bradley_terry(fought, len(number), len(who))
    found = {item: _places([float(fit.strengths[n]) for n in numbers]) for item, numbers in own.items()}
    return found, {name: float(fit.reliability[n]) for name, n in who.items()}


def _places(strengths: Sequence[float]) -> Ranks:
    """The strongest first; neighbours that are nearly as strong share a place."""
    near = float(np.log((0.5 + _EVEN) / (0.5 - _EVEN)))
    places = [0] * len(strengths)
    place, before = 0, float("inf")
    for n in sorted(range(len(strengths)), key=lambda n: -strengths[n]):
        place += before - strengths[n] > near
        places[n], before = place, strengths[n]
    return dense(places)
