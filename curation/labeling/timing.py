"""When answers were given, as far as the log knows: a server says it, and a form does not."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime

from curation.labeling.log import Book
from curation.labeling.pace import Pace, Submit, paces


def paces_of(book: Book, items: Container[str]) -> dict[str, Pace]:
    """How fast everybody answered about these items; people whose answers carry no times are left out.

    What counts is when an answer was first given, for what is changed later was read before.
    """
    first: dict[tuple[str, str], Submit] = {}
    for lines in book.lines.values():
        for line in lines:
            at, place = _seconds(line.get("at")), (line["form"], line["record"])
            shown = book.known.get(line["record"])
            if at is not None and shown is not None and line["item"] in items and place not in first:
                texts = tuple(m.content for messages in shown.question.shows(shown).values() for m in messages)
                first[place] = Submit(line["annotator"], at, texts)
    return paces(first.values())


def _seconds(at: object) -> float | None:
    """Of an ISO 8601 time, in UTC where it does not say."""
    if not isinstance(at, str) or not at:
        return None
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
