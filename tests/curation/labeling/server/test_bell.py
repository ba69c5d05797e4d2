"""A watched run wakes when somebody answers on a server of ours; everywhere else it sleeps as long as it was told."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from labeling_server import free_port

from curation.labeling.bell import Bell


@pytest.mark.heavy
def test_an_answer_wakes_and_what_is_no_answer_does_not(server: Any, measuring: Any) -> None:
    boards = measuring("boards")
    owner = measuring("served").Session(server.url, server.owner.api_key)
    dataset = boards.made(owner, "bell", min_submitted=1)
    bell = Bell(server.url)
    boards.pushed(owner, dataset, boards.records(2))
    owner.made("GET", f"datasets/{dataset}/progress")
    assert bell.wait(1.5) >= 1.5, "records that are put up are no answers"
    one, two = owner.made("GET", f"datasets/{dataset}/records")["items"]

    def answer(record: dict[str, Any]) -> None:
        body = {"values": {"better": {"value": "a"}}, "status": "submitted"}
        owner.made("POST", f"records/{record['id']}/responses", body)

    answer(one)
    assert bell.wait(60.0) < 30.0, "one that came while nobody slept is not slept over"
    later = threading.Timer(1.0, answer, [two])
    later.start()
    assert bell.wait(60.0) < 30.0
    later.join()
    assert bell.wait(1.2) >= 1.2, "each wakes once"
    answered = owner.made("GET", f"datasets/{dataset}/records?include=responses")["items"][0]["responses"][0]
    body = {"values": {"better": {"value": "b"}}, "status": "submitted"}
    owner.made("PUT", f"responses/{answered['id']}", body)
    assert 2.0 <= bell.wait(60.0, least=2.0) < 30.0, "another answer wakes too, but not before the least is over"
    owner.close()


def test_without_a_server_of_ours_the_sleep_is_a_plain_one() -> None:
    for url in (None, f"http://127.0.0.1:{free_port()}", "no address"):
        began = time.monotonic()
        assert Bell(url).wait(0.3) >= 0.3
        assert time.monotonic() - began >= 0.3
