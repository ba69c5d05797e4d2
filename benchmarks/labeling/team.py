"""People who answer at the same moment, as the UI answers for them, and none of whom stops to think.

A page of pending records is asked for; each is answered; after each the UI asks how far this person and the data set
are. Everyone begins the next as soon as the last is through, so the server is never idle: a team of people who read
before they answer is lighter than this by far.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from served import Session

PENDING: dict[str, Any] = {
    "filters": {
        "and": [
            {"type": "terms", "scope": {"entity": "response", "property": "status"}, "values": ["pending"]},
            {"type": "terms", "scope": {"entity": "record", "property": "status"}, "values": ["pending"]},
        ]
    }
}
PAGE = 10
"""Records that the UI loads at once."""


@dataclass
class Said:
    """What became of a team's work."""

    given: list[tuple[str, str]] = field(default_factory=list)
    """(record, person) of each answer that the server took."""
    submits: list[float] = field(default_factory=list)
    """Seconds of each."""
    pages: list[float] = field(default_factory=list)
    counts: list[float] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    wall: float = 0.0


def answer(side: str) -> dict[str, Any]:
    """What the UI sends for a choice."""
    return {"values": {"better": {"value": side}}, "status": "submitted"}


def work(people: Sequence[Session], dataset: str, submits: int) -> Said:
    """Everyone answers `submits` records, all at once."""
    said, lock, gate = Said(), threading.Lock(), threading.Barrier(len(people) + 1)
    failed: list[BaseException] = []

    def timed(where: list[float], session: Session, method: str, place: str, body: Any = None) -> tuple[int, Any]:
        started = time.perf_counter()
        status, found = session.ask(method, place, body)
        took = time.perf_counter() - started
        with lock:
            where.append(took)
            said.codes[status] += 1
        return status, found

    def one(n: int, session: Session) -> None:
        gate.wait()
        try:
            left = submits
            while left:
                place = f"me/datasets/{dataset}/records/search?include=responses&include=suggestions&limit={PAGE}"
                status, page = timed(said.pages, session, "POST", place, PENDING)
                if status >= 300 or not page["items"]:
                    raise RuntimeError(f"no page: {status} {page}")
                for item in page["items"][:left]:
                    record = item["record"]["id"]
                    side = "ab"[(n + left) % 2]
                    status, _ = timed(said.submits, session, "POST", f"records/{record}/responses", answer(side))
                    if status < 300:
                        with lock:
                            said.given.append((record, str(n)))
                    left -= 1
                    timed(said.counts, session, "GET", f"me/datasets/{dataset}/metrics")
                    timed(said.counts, session, "GET", f"datasets/{dataset}/progress")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(n, session)) for n, session in enumerate(people)]
    for thread in threads:
        thread.start()
    gate.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    said.wall = time.perf_counter() - started
    if failed:
        raise failed[0]
    return said


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which this part of them lies (nearest rank)."""
    found = sorted(values)
    return found[min(len(found) - 1, int(len(found) * part))]
