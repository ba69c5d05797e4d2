"""Many people answer at the same moment: no error, nothing lost, nothing twice, and every record counted right."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

pytestmark = pytest.mark.heavy


def responses(server: Any, dataset: str) -> dict[str, tuple[str, list[str]]]:
    """Record -> (its status, who answered it)."""
    items = server.made("GET", f"datasets/{dataset}/records?limit=1000&include=responses")["items"]
    return {r["id"]: (r["status"], [p["user_id"] for p in r["responses"]]) for r in items}


def test_a_team_answers_at_once(server: Any, measuring: Any) -> None:
    boards, team = measuring("boards"), measuring("team")
    owner = measuring("served").Session(server.url, server.owner.api_key)
    dataset = boards.made(owner, "team", min_submitted=3)
    boards.pushed(owner, dataset, boards.records(40))
    people = [measuring("served").Session(server.url, server.person(f"team-{n}")) for n in range(8)]
    said = team.work(people, dataset, submits=10)
    for session in (owner, *people):
        session.close()
    assert set(said.codes) == {200, 201}, "no error"
    assert (len(said.given), len(set(said.given))) == (80, 80)
    there = responses(server, dataset)
    given = Counter(record for record, _ in said.given)
    assert {record: len(who) for record, (_, who) in there.items() if who} == given
    assert all(len(set(who)) == len(who) for _, who in there.values()), "nobody is asked twice"
    assert {record: status for record, (status, _) in there.items()} == {
        record: "completed" if given[record] >= 3 else "pending" for record in there
    }
    progress = server.made("GET", f"datasets/{dataset}/progress")
    assert progress["completed"] == sum(n >= 3 for n in given.values())


def test_the_last_answer_completes_a_record_also_when_all_come_together(server: Any, measuring: Any) -> None:
    boards, served = measuring("boards"), measuring("served")
    owner = served.Session(server.url, server.owner.api_key)
    dataset = boards.made(owner, "together", min_submitted=6)
    boards.pushed(owner, dataset, boards.records(6))
    people = [served.Session(server.url, server.person(f"together-{n}")) for n in range(6)]
    gate = threading.Barrier(len(people))
    body = {"values": {"better": {"value": "tie"}}, "status": "submitted"}
    codes: list[int] = []

    def submit(person: Any, record: str) -> None:
        gate.wait(60)
        codes.append(person.ask("POST", f"records/{record}/responses", body)[0])

    for record in responses(server, dataset):
        threads = [threading.Thread(target=submit, args=(person, record)) for person in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for session in (owner, *people):
        session.close()
    assert codes == [201] * 36
    assert {status for status, _ in responses(server, dataset).values()} == {"completed"}
