"""Chats that were cut into pieces before they were exported: `hRPPgZT_0`, `hRPPgZT_11`, `hRPPgZT_17`.

FastChat's `split_long_conversation.py`, which made the cleaned ShareGPT sets, gives each piece the id of its chat and
the number of the turn that it begins with; the pieces follow one another in the file. Ids with numbers are common
elsewhere too (`identity_0`, `identity_1` ...), so an id alone proves nothing: consecutive records with one name are
taken for pieces of a chat when every one of them begins at or after the turn that the one before it ended on, and most
begin exactly there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from curation.conversation import Conversation, Message
from curation.formats.format import Outcome

_PIECE = re.compile(r"(?P<chat>.+)_(?P<first>\d{1,9})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """A row whose id may be that of a piece."""

    outcome: Outcome
    row: Conversation
    chat: str
    first: int
    """Number of the turn that it begins with."""

    @property
    def end(self) -> int:
        """Number of the turn after its last one. A system turn is no turn of the chat."""
        return self.first + len(self.row.messages) - len(_system(self.row))


def tied(outcomes: Iterable[Outcome], *, join: bool) -> Iterator[Outcome]:
    """The outcomes, with pieces of one chat tied by `meta["tree"]`, or joined where one goes on where another ends.

    Args:
        outcomes: Of one file, in order.
        join: Whether pieces become one row again.
    """
    held: list[Piece] = []
    numbered = ""
    """The last chat's name that turned out to be that of a numbered set."""
    for outcome in outcomes:
        piece = _piece(outcome)
        if piece is None and not outcome.rows:  # a broken record between two pieces does not part them
            yield outcome
            continue
        if held and (piece is None or piece.chat != held[-1].chat or not _follows(held[-1], piece)):
            numbered = "" if piece is None or piece.chat != held[-1].chat else piece.chat
            yield from (one.outcome for one in held) if numbered else _released(held, join)
            held = []
        if piece is None or piece.chat == numbered:
            yield outcome
        else:
            numbered = ""
            held.append(piece)
    yield from _released(held, join)


def _follows(before: Piece, piece: Piece) -> bool:
    """A cut leaves a question and its answer at least, so numbered prompts (`q_0`, `q_1`) are none."""
    return piece.first >= before.end >= before.first + 2


def _piece(outcome: Outcome) -> Piece | None:
    if len(outcome.rows) != 1 or outcome.used != 1:
        return None
    row = outcome.rows[0][1]
    own = row.meta.get("id")
    found = _PIECE.fullmatch(own) if isinstance(row, Conversation) and isinstance(own, str) else None
    return Piece(outcome, row, found["chat"], int(found["first"])) if found else None  # type: ignore[arg-type]


def _released(pieces: Sequence[Piece], join: bool) -> Iterator[Outcome]:
    exact = sum(a.end == b.first for a, b in pairwise(pieces))
    if len(pieces) < 2 or 2 * exact < len(pieces) - 1:
        yield from (piece.outcome for piece in pieces)
        return
    for run in _runs(pieces) if join else ([piece] for piece in pieces):
        index = run[0].outcome.rows[0][0]
        yield replace(run[0].outcome, rows=[(index, _joined(run, len(run) == len(pieces)))], used=len(run))


def _runs(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Pieces without a gap between them, that may call the same tools."""
    run = [pieces[0]]
    for piece in pieces[1:]:
        if piece.first == run[-1].end and piece.row.tools == run[-1].row.tools:
            run.append(piece)
        else:
            yield run
            run = [piece]
    yield run


def _joined(run: Sequence[Piece], whole: bool) -> Conversation:
    """The chat of these pieces. What comes with every piece (a system turn) comes once."""
    first = run[0].row
    if len(run) == 1:
        return first.with_(meta={**first.meta, "tree": run[0].chat})
    messages = first.messages
    for piece in run[1:]:
        messages += piece.row.messages[len(_system(piece.row)) if _system(piece.row) == _system(first) else 0 :]
    ids = [piece.row.meta["id"] for piece in run]
    meta: Mapping[str, Any] = {**first.meta, "id": run[0].chat if whole else ids[0], "pieces": ids}
    return first.with_(messages=messages, meta={**meta, "tree": run[0].chat})


def _system(row: Conversation) -> tuple[Message, ...]:
    return row.messages[:1] if row.messages[:1] and row.messages[0].role == "system" else ()
