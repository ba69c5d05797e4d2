"""One look at an Argilla server: take in what people said, say what still lacks, and put up records for it.

As with forms (`curation.labeling.rounds`), what people said goes into the log before anything else is decided. An
answer that someone took back in the UI is withdrawn; one whose record, or whole data set, is gone from the server stays
as it is in the log, for nobody took it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curation.conversation import digest
from curation.labeling.argilla import Connection, form_of
from curation.labeling.rounds import Log, Round, Terms, counted
from curation.labeling.tasks import ITEMS, QUESTION, Asked, Given, Shown, new_lines


def look(asked: Asked, connection: Connection, log: Log, terms: Terms, name: str, guidelines: str) -> tuple[Round, str]:
    """Pulls, counts, and pushes what lacks answers.

    Args:
        name: Of the step; the data set is called after it and after the guidelines.
        guidelines: What people read beside the records.

    Returns:
        Where the asking stands, and the address where people answer.
    """
    called = f"{name}-{digest('board', QUESTION, terms.guidelines)[:8]}"
    board = connection.board(called, guidelines, terms.min_submitted)
    known = {line["record"]: Shown.from_line(line) for line in log.read(ITEMS)}
    given, there = board.answers(known)
    lines = log.read(QUESTION)
    taken_back = _taken_back(given, there & known.keys(), lines, board.name, known)
    log.append(new_lines([*given, *taken_back], lines))
    now = counted(asked, log.read(QUESTION), terms)
    if now.answered < now.wanted:
        shown = sorted((asked.items[item].shown(0, terms.guidelines) for item in now.pending), key=lambda s: s.code)
        log.append([s.line() for s in shown if s.code not in known])  # first, so that every code on a server is known
        board.push([s for s in shown if s.code not in there])
    return now, board.url


def _taken_back(
    given: Sequence[Given],
    there: set[str],
    lines: Sequence[Mapping[str, Any]],
    board: str,
    known: Mapping[str, Shown],
) -> list[Given]:
    """Answers of this board that stand in the log and are no longer on the server, though their record is."""
    now = {(g.form, g.shown.code) for g in given}
    last = {(line["form"], line["record"]): line for line in lines if line["form"].startswith(form_of(board, ""))}
    return [
        Given(known[record], line["annotator"], "withdrawn", "", form)
        for (form, record), line in last.items()
        if line["verdict"] != "withdrawn" and (form, record) not in now and record in there
    ]
