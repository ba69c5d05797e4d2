"""Nothing of a queue is passed over, however the pages that are asked for and the answers on their way overlap."""

from __future__ import annotations

import time
from typing import Any

import pytest
from labeling_ui import arrives

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]

PENDING = {
    "filters": {
        "and": [
            {"type": "terms", "scope": {"entity": "response", "property": "status"}, "values": ["pending"]},
            {"type": "terms", "scope": {"entity": "record", "property": "status"}, "values": ["pending"]},
        ]
    }
}


def filled(server: Any, measuring: Any, name: str, count: int) -> str:
    boards = measuring("boards")
    owner = measuring("served").Session(server.url, server.owner.api_key)
    dataset: str = boards.made(owner, name, min_submitted=1)
    boards.pushed(owner, dataset, boards.records(count))
    owner.close()
    return dataset


def test_a_record_that_was_passed_over_stands_where_the_next_page_begins(server: Any, measuring: Any) -> None:
    dataset, key = filled(server, measuring, "handed", 12), server.person("handed-ann")

    def page(offset: int, limit: int = 4) -> list[str]:
        place = f"me/datasets/{dataset}/records/search?limit={limit}&offset={offset}"
        return [item["record"]["id"] for item in server.made("POST", place, PENDING, key)["items"]]

    def answer(record: str) -> None:
        body = {"values": {"better": {"value": "a"}}, "status": "submitted"}
        server.made("POST", f"records/{record}/responses", body, key)

    plain = [*page(0), *page(4), *page(8)]
    assert len(set(plain)) == 12
    assert page(12) == [], "who leafs to the end is told that it is the end"
    begun = page(0)
    assert begun == plain[:4], "the first page begins anew"
    answer(begun[0])
    after = page(4)  # the answer was on its way when this was asked: three are held, not four
    assert after == plain[5:9], "one is passed over"
    answer(begun[1])
    assert page(6) == [plain[4], *plain[9:]], "it comes with the next page, and nothing comes twice"
    for record in [*begun[2:], *after, *plain[9:]]:
        answer(record)
    assert page(0) == [plain[4]]
    assert page(1) == [], "it was handed out already"

    other = filled(server, measuring, "handed-last", 3)
    dataset = other
    first = page(0, 2)
    for record in first:
        answer(record)
    (last,) = page(1, 2)  # as if one were still unanswered: there is one, and it was not handed out
    assert last not in first


def test_who_decides_as_fast_as_keys_go_is_shown_every_record(server: Any, browser: Any, measuring: Any) -> None:
    count = 60
    dataset = filled(server, measuring, "fast", count)
    server.person("fast-ann")
    person = arrives(browser, server, "fast-ann")
    person.opens(f"{server.url}/dataset/{dataset}/annotation-mode")
    ends = time.monotonic() + 200
    while not person.page.get_by_text("The task is completed").count():
        assert time.monotonic() < ends, person.page.locator("body").inner_text()
        assert not person.page.get_by_text("no pending records").count(), "nothing was passed over"
        for key in ("1", "Enter"):
            person.page.keyboard.press(key)
            person.page.wait_for_timeout(50)  # a tenth of a second each decision
    done = server.made("GET", f"datasets/{dataset}/progress")
    assert (done["completed"], done["pending"]) == (count, 0)
    person.page.context.close()
