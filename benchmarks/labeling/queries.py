"""What the UI asks of a large data set, many times each: pages of a queue, searches, filters, orders, counts."""

from __future__ import annotations

import time
from typing import Any

from boards import made, pushed, records, with_answers
from served import Served, Session
from team import PENDING

_PAGE = "include=responses&include=suggestions&limit=10"


def _terms(scope: dict[str, Any], *values: str) -> dict[str, Any]:
    return {"type": "terms", "scope": scope, "values": list(values)}


def _range(scope: dict[str, Any], low: float, high: float) -> dict[str, Any]:
    return {"type": "range", "scope": scope, "ge": low, "le": high}


_STATUS = {"entity": "response", "property": "status"}
_SUBMITTED = {"filters": {"and": [_terms(_STATUS, "submitted")]}}
_LANGUAGE = {"entity": "metadata", "metadata_property": "language"}
_LENGTH = {"entity": "metadata", "metadata_property": "length"}
_SUGGESTED = {"entity": "suggestion", "question": "better", "property": "value"}
_SCORE = {"entity": "suggestion", "question": "better", "property": "score"}


def _pending(*filters: dict[str, Any], query: str = "", field: str = "", sort: Any = None) -> dict[str, Any]:
    body: dict[str, Any] = {"filters": {"and": [*PENDING["filters"]["and"], *filters]}}
    if query:
        body["query"] = {"text": {"q": query, **({"field": field} if field else {})}}
    if sort:
        body["sort"] = [{"scope": sort, "order": "desc"}]
    return body


ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "queue: first page": (_PAGE, PENDING),
    "queue: page 200": (f"{_PAGE}&offset=2000", PENDING),
    "queue: submitted": (_PAGE, _SUBMITTED),
    "search: a word in a sixth": (_PAGE, _pending(query="compare")),
    "search: one record": (_PAGE, _pending(query='"question 4242:"')),
    "search: two letters": (_PAGE, _pending(query="京塔")),
    "search: one letter": (_PAGE, _pending(query="塔")),
    "search: in one field": (_PAGE, _pending(query="wählen", field="answer_a")),
    "filter: metadata, terms": (_PAGE, _pending(_terms(_LANGUAGE, "vi", "th"))),
    "filter: metadata, range": (_PAGE, _pending(_range(_LENGTH, 100, 200))),
    "filter: suggestion": (_PAGE, _pending(_terms(_SUGGESTED, "a"))),
    "filter: score of a suggestion": (_PAGE, _pending(_range(_SCORE, 0.9, 1.0))),
    "filter: own answer": (_PAGE, {"filters": {"and": [_terms({"entity": "response", "question": "better"}, "tie")]}}),
    "sort: metadata": (_PAGE, _pending(sort=_LENGTH)),
    "sort: score of a suggestion": (_PAGE, _pending(sort=_SCORE)),
    "sort: newest": (_PAGE, _pending(sort={"entity": "record", "property": "inserted_at"})),
    "search, filter and sort": (_PAGE, _pending(_terms(_LANGUAGE, "en"), query="compare", sort=_LENGTH)),
}


def filled(server: Served, count: int, people: int = 3) -> tuple[str, list[Session]]:
    """A data set of so many records, half with suggestions and a third answered; (its id, who answers)."""
    owner = server.session()
    team = server.people(people)
    ids = [session.made("GET", "me")["id"] for session in team]
    dataset = made(owner, f"records-{count}", min_submitted=2)
    question = owner.made("GET", f"datasets/{dataset}/questions")["items"][0]["id"]
    for seed in range(0, count, 5000):
        items = with_answers(records(min(5000, count - seed), seed), question, ids)
        pushed(owner, dataset, items)
    return dataset, team


def timed(session: Session, dataset: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of each question, asked in rounds."""
    found: dict[str, list[float]] = {}
    owner_places = {
        "counts: mine": f"me/datasets/{dataset}/metrics",
        "counts: all": f"datasets/{dataset}/progress",
    }
    for prop in session.made("GET", f"me/datasets/{dataset}/metadata-properties")["items"]:
        owner_places[f"panel: {prop['name']}"] = f"metadata-properties/{prop['id']}/metrics"
    for _ in range(rounds):
        for name, (query, body) in ASKED.items():
            started = time.perf_counter()
            session.made("POST", f"me/datasets/{dataset}/records/search?{query}", body)
            found.setdefault(name, []).append(time.perf_counter() - started)
        for name, place in owner_places.items():
            started = time.perf_counter()
            session.made("GET", place)
            found.setdefault(name, []).append(time.perf_counter() - started)
    return found
