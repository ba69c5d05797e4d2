"""What a labeling step says of the people who answered, in its metrics and its warnings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rlhf.recipe.step import Room

if TYPE_CHECKING:
    from curation.labeling.gold import Known
    from curation.labeling.panel import Panel
    from curation.labeling.rounds import Round

Vote = Callable[[Any], Mapping[str, Any]]
"""A verdict -> question -> value, for a step that asks several questions about an item."""


def names_of(now: Round, room: Room) -> dict[str, str]:
    """Person -> pseudonym."""
    from curation.labeling.votes import pseudonyms

    assert room.labels is not None  # people were asked, so there is a log
    return pseudonyms(room.labels, (who for people in now.said.values() for who in people))


def figures(panel: Panel, now: Round, names: Mapping[str, str], room: Room) -> dict[str, Any]:
    """`agreement` and `people` for the metrics of a step; who is flagged is warned of, and no answer is dropped.

    Args:
        panel: Holds the votes, and what the step alone knows (gold, reliability); the rest is filled in here.
        now: Where the asking stands.
    """
    from curation.labeling.log import Book
    from curation.labeling.panel import flagged
    from curation.labeling.question import SKIP
    from curation.labeling.timing import paces_of

    assert room.labels is not None
    everybody = [(who, verdict) for people in now.said.values() for who, verdict in people.items()]
    panel.answers = {who: sum(w == who for w, _ in everybody) for who, _ in everybody}
    panel.skips = {who: sum(w == who and v == SKIP for w, v in everybody) for who in panel.answers}
    panel.paces = paces_of(Book(room.labels), now.said.keys())
    found = panel.figures(names)
    if words := flagged(found):
        room.warn(f"{words}; no answer was dropped for that: look, and decide")
    return found


def of_questions(
    now: Round, vote: Vote, names: Mapping[str, str], room: Room, *, grades: bool, known: Mapping[str, Known]
) -> dict[str, Any]:
    """The same for questions that are not rankings; `agreement` by question.

    Args:
        vote: What a verdict says; skips are none.
        grades: Whether values are points, which may lie near each other or far apart.
        known: Item -> what is right to say of it, for gold questions.
    """
    from curation.labeling.gold import right
    from curation.labeling.panel import Panel
    from curation.labeling.question import SKIP

    votes: dict[str, dict[str, dict[str, Any]]] = {}
    for item, people in now.said.items():
        for who, verdict in people.items():
            for question, value in vote(verdict).items() if verdict != SKIP else ():
                votes.setdefault(question, {}).setdefault(f"{item} {question}", {})[who] = value
    together = {key: people for items in votes.values() for key, people in items.items()}
    level: Any = "ordinal" if grades else "nominal"
    whole = Panel(together, level, whole=lambda key: key.split(" ")[0], gold=right(now.said, known))
    found = figures(whole, now, names, room)
    found["agreement"] = {question: Panel(items, level).agreement() for question, items in votes.items()}
    if known:
        found["gold"] = len(known)
    return found
