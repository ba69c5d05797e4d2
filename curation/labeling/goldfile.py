"""A file of questions whose answer is known: JSON lines, in the words of the question that people are asked.

{"prompt": "...", "chosen": "...", "rejected": "..."}                  compare; "verdict": "tie" for a tie
{"prompt": "...", "answers": ["...", "...", "..."], "ranks": [1, 3, 2]}   compare, where three to five are ranked
{"messages": [...], "points": {"help": 5, "truth": [4, 5]}}            rate; a list where several are right
{"messages": [...], "verdict": "drop"}                                 review; a list where several are right
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from curation.conversation import AnyRow, Candidates, Conversation, Preference
from curation.errors import UserError, keys_in_words
from curation.formats.messages import Messages
from curation.formats.preference import PreferencePair
from curation.formats.ratings import Ratings
from curation.labeling.answers import Distinct
from curation.labeling.consensus.ranks import dense
from curation.labeling.gold import Gold, of_pairs
from curation.labeling.question import Item, Question
from curation.labeling.ranking import FEWEST, MOST, Ranking
from curation.labeling.rating import POINTS, Rating
from curation.labeling.review import ACTIONS, Review

Asks = Literal["compare", "rate", "review"]
SHAPES: Mapping[Asks, str] = {
    "compare": '{"prompt": ..., "chosen": ..., "rejected": ...}, or where people rank '
    '{"prompt": ..., "answers": [...], "ranks": [1, 3, 2]}',
    "rate": '{"messages": [...], "points": {ASPECT: 5}}',
    "review": '{"messages": [...], "verdict": "drop"}',
}


class _Wrong(Exception):
    """Why a line is no gold question."""


def read(text: str, title: str, asks: Asks, question: Question | None = None) -> list[Gold]:
    """The questions in a file.

    Args:
        title: Its name, for messages.
        asks: The step that people are asked by.
        question: How people are asked, for `rate` and `review`.

    Raises:
        UserError: it names the line, what stands there and what should.
    """
    found: list[Gold] = []
    pairs: list[Preference] = []
    for number, record in _lines(text, title):
        try:
            made = _MAKE[asks](record, question)
        except _Wrong as error:
            hint = f"a line is {SHAPES[asks]}"
            if other := next((name for name in _FITS if name != asks and _FITS[name] in record), None):
                hint += f"; this one would be for `{other}`"
            raise UserError(f"{title}, line {number}: {error}", hint=hint) from None
        if isinstance(made, Preference):
            pairs.append(made)
        else:
            found.append(made)
    return [*of_pairs(pairs), *found]


_FITS: Mapping[Asks, str] = {"compare": "chosen", "rate": "points", "review": "verdict"}
"""A column that only lines for this step have."""


def _lines(text: str, title: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.strip():
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not isinstance(record, dict):
                hint = "one JSON object a line, ending with .jsonl"
                raise UserError(f"{title}, line {number}: {line.strip()[:60]!r} is no JSON object", hint=hint)
            yield number, record


def _compared(record: Mapping[str, Any], _: Question | None) -> Preference | Gold:
    if "answers" in record:
        asked = {k: record[k] for k in ("prompt", "system", "answers") if k in record}
        row = _first(Ratings().rows(asked, "candidates"))
        if not isinstance(row, Candidates):
            raise _Wrong(f"it is no prompt with answers ({row})")
        answers, ranks = [answer.message() for answer in row.answers], record.get("ranks")
        whole = isinstance(ranks, list) and all(isinstance(r, int | float) and not isinstance(r, bool) for r in ranks)
        if not isinstance(ranks, list) or not whole or len(ranks) != len(answers):
            raise _Wrong(f"`ranks` must hold a number for each of the {len(answers)} answers, 1 for the best")
        if not FEWEST <= len(answers) <= MOST or len(Distinct.of(row).answers) < len(answers):
            raise _Wrong(f"{FEWEST} to {MOST} different answers are ranked, here are {len(Distinct.of(row).answers)}")
        if len(set(ranks)) == 1:
            raise _Wrong("all answers share a rank, so whatever people say is right")
        item = Ranking.item(row.prompt, answers)
        return item, dense([ranks[answers.index(answer)] for answer in item.answers])
    pair = _first(PreferencePair().rows(record, "preferences"))
    if not isinstance(pair, Preference):
        raise _Wrong(f"it holds {keys_in_words(record)}, which is no pair ({pair})")
    return pair.with_(verdict="tie") if record.get("verdict") == "tie" else pair


def _first(rows: Sequence[AnyRow] | str) -> AnyRow | str:
    """The row that a record gave, or the reason why it gave none."""
    return rows if isinstance(rows, str) else rows[0]


def _chat(record: Mapping[str, Any]) -> Conversation:
    row = _first(Messages().rows(record, "conversations"))
    if not isinstance(row, Conversation):
        raise _Wrong(f"it holds {keys_in_words(record)}, which is no chat ({row})")
    if not row.reply:
        raise _Wrong("the chat does not end on an answer, which is what people judge")
    return row


def _rated(record: Mapping[str, Any], question: Question | None) -> Gold:
    assert isinstance(question, Rating)
    row, points = _chat(record), record.get("points")
    names = question.filled
    if not isinstance(points, Mapping) or not points:
        raise _Wrong("there is no `points`")
    if unknown := [name for name in points if name not in names]:
        raise _Wrong(f"there is no aspect {unknown[0]!r}; people rate {', '.join(names)}")
    known = {}
    for name, given in points.items():
        right = frozenset(given if isinstance(given, list) else [given])
        if not right or not right <= set(POINTS):
            raise _Wrong(f"{given!r} are no points for {name!r}, which go from 1 to 5")
        known[str(name)] = frozenset(int(n) for n in right)
    return Item(question, row.prompt, (row.messages[-1],), row.tools), known


def _reviewed(record: Mapping[str, Any], question: Question | None) -> Gold:
    assert isinstance(question, Review)
    row, said = _chat(record), record.get("verdict")
    right = said if isinstance(said, list) else [said]
    if not right or any(word not in ACTIONS for word in right):
        raise _Wrong(f"`verdict` is {', '.join(ACTIONS)} or a list of them, not {said!r}")
    return Item(question, row.prompt, (row.messages[-1],), row.tools), frozenset(map(str, right))


_MAKE: Mapping[Asks, Callable[[Mapping[str, Any], Question | None], Preference | Gold]] = {
    "compare": _compared,
    "rate": _rated,
    "review": _reviewed,
}
