"""Every filter, order and view that the UI has, beyond the plain ones of `test_server.py`, against the real server."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def board(server: Any) -> tuple[str, dict[str, str], str]:
    """(data set, external id -> id, key of who answered): four records, topics in lists, answers of one person."""
    workspace = server.made("GET", "me/workspaces")["items"][0]["id"]
    overlap = {"strategy": "overlap", "min_submitted": 2}
    body = {"name": "filters", "workspace_id": workspace, "distribution": overlap}
    dataset = str(server.made("POST", "datasets", body)["id"])
    place = f"datasets/{dataset}"
    settings: dict[str, Any] = {"type": "text", "use_markdown": False}
    server.made("POST", f"{place}/fields", {"name": "text", "title": "text", "required": True, "settings": settings})
    options = [{"value": v, "text": v, "description": None} for v in ("x", "y", "z")]
    for name, settings in (
        ("labels", {"type": "multi_label_selection", "options": options, "visible_options": 3}),
        ("stars", {"type": "rating", "options": [{"value": n} for n in range(1, 6)]}),
        ("order", {"type": "ranking", "options": options}),
    ):
        body = {"name": name, "title": name, "required": name == "stars", "settings": settings}
        server.made("POST", f"{place}/questions", body)
    body = {"name": "topics", "title": "topics", "settings": {"type": "terms"}, "visible_for_annotators": True}
    server.made("POST", f"{place}/metadata-properties", body)
    server.made("POST", f"{place}/vectors-settings", {"name": "v", "title": "v", "dimensions": 2})
    server.made("PUT", f"{place}/publish")
    asked = {q["name"]: q["id"] for q in server.made("GET", f"{place}/questions")["items"]}
    topics = [["art"], ["art", "law"], "law", None]
    items = [
        {
            "external_id": f"r{n}",
            "fields": {"text": f"text {n}"},
            "metadata": {} if topic is None else {"topics": topic},
            "vectors": {"v": [1.0, n]},
            "suggestions": [
                {"question_id": asked["labels"], "value": ["x", "y"][: n + 1], "score": [0.5, 0.9][: n + 1]}
            ]
            if n < 2
            else [],
        }
        for n, topic in enumerate(topics)
    ]
    server.made("POST", f"{place}/records/bulk", {"items": items})
    found = server.made("GET", f"{place}/records")["items"]
    ids = {r["external_id"]: r["id"] for r in found}
    key = server.person("filters-ann")
    ranking = [{"value": "z", "rank": 1}, {"value": "x", "rank": 2}, {"value": "y", "rank": 2}]
    for code, stars, labels in (("r0", 5, ["x"]), ("r1", 2, ["y", "z"])):
        values = {"stars": {"value": stars}, "labels": {"value": labels}, "order": {"value": ranking}}
        server.made("POST", f"records/{ids[code]}/responses", {"values": values, "status": "submitted"}, key)
    return dataset, ids, key


def search(server: Any, board: Any, *filters: Any, key: str | None = None, **more: Any) -> list[str]:
    body = {**({"filters": {"and": list(filters)}} if filters else {}), **more}
    answer = server.made("POST", f"me/datasets/{board[0]}/records/search?limit=50", body, key or board[2])
    assert answer["total"] == len(answer["items"])
    return [item["record"]["external_id"] for item in answer["items"]]


def terms(entity: str, *values: str, **of: str) -> dict[str, Any]:
    return {"type": "terms", "scope": {"entity": entity, **of}, "values": list(values)}


def test_a_value_in_a_list_counts_as_one_alone(server: Any, board: Any) -> None:
    assert sorted(search(server, board, terms("metadata", "law", metadata_property="topics"))) == ["r1", "r2"]
    assert sorted(search(server, board, terms("metadata", "art", "law", metadata_property="topics"))) == [
        "r0",
        "r1",
        "r2",
    ]
    prop = server.made("GET", f"me/datasets/{board[0]}/metadata-properties", key=board[2])["items"][0]["id"]
    counts = server.made("GET", f"metadata-properties/{prop}/metrics", key=board[2])["values"]
    assert {c["term"]: c["count"] for c in counts} == {"art": 2, "law": 2}


def test_records_by_what_they_are(server: Any, board: Any) -> None:
    _, ids, _ = board
    assert search(server, board, terms("record", ids["r2"], property="id")) == ["r2"]
    assert sorted(search(server, board, terms("record", "r1", "r3", property="external_id"))) == ["r1", "r3"]
    assert search(server, board, terms("record", "completed", property="status")) == []
    since = {
        "type": "range",
        "scope": {"entity": "record", "property": "inserted_at"},
        "ge": "2000-01-01",
        "le": "2001-01-01",
    }
    assert search(server, board, since) == []


def test_suggestions_of_several_labels(server: Any, board: Any) -> None:
    of = {"question": "labels", "property": "value"}
    assert sorted(search(server, board, terms("suggestion", "x", **of))) == ["r0", "r1"]
    assert search(server, board, terms("suggestion", "y", **of)) == ["r1"]
    high = {"type": "range", "scope": {"entity": "suggestion", "question": "labels", "property": "score"}, "ge": 0.8}
    assert search(server, board, high) == ["r1"]


def test_own_answers_by_value_and_rank(server: Any, board: Any) -> None:
    assert search(server, board, terms("response", "5", question="stars")) == ["r0"]
    assert search(server, board, terms("response", "z", question="labels")) == ["r1"]
    low = {"type": "range", "scope": {"entity": "response", "question": "stars"}, "ge": 1, "le": 3}
    assert search(server, board, low) == ["r1"]
    other = server.person("filters-bo")
    assert search(server, board, terms("response", "5", question="stars"), key=other) == [], "of others, not one's own"
    both = terms("response", "submitted", "pending", property="status")
    assert sorted(search(server, board, both)) == ["r0", "r1", "r2", "r3"]


@pytest.mark.parametrize(
    ("scope", "order", "right"),
    [
        ({"entity": "record", "property": "inserted_at"}, "asc", ["r0", "r1", "r2", "r3"]),
        ({"entity": "record", "property": "inserted_at"}, "desc", ["r3", "r2", "r1", "r0"]),
        ({"entity": "response", "question": "stars"}, "asc", ["r1", "r0", "r2", "r3"]),
        ({"entity": "response", "question": "stars"}, "desc", ["r0", "r1", "r2", "r3"]),
    ],
)
def test_orders_with_those_that_have_no_value_last(
    server: Any, board: Any, scope: dict[str, str], order: str, right: list[str]
) -> None:
    assert search(server, board, sort=[{"scope": scope, "order": order}]) == right


def test_pages_of_a_queue_are_in_one_order_and_know_the_whole(server: Any, board: Any) -> None:
    found = []
    for offset in range(5):
        place = f"me/datasets/{board[0]}/records/search?limit=1&offset={offset}"
        page = server.made("POST", place, {}, board[2])
        assert page["total"] == 4
        found += [item["record"]["external_id"] for item in page["items"]]
    assert sorted(found) == ["r0", "r1", "r2", "r3"]


def test_similar_records_among_those_that_a_filter_lets_through(server: Any, board: Any) -> None:
    query = {"vector": {"name": "v", "record_id": board[1]["r3"], "order": "most_similar"}}
    assert search(server, board, query=query) == ["r2", "r1", "r0"]
    assert search(server, board, terms("metadata", "art", metadata_property="topics"), query=query) == ["r1", "r0"]


def test_a_page_is_submitted_as_a_whole_and_progress_follows(server: Any, board: Any) -> None:
    dataset, ids, _ = board
    key = server.person("filters-cy")
    items = [
        {"record_id": ids[code], "values": {"stars": {"value": 3}}, "status": "submitted"}
        for code in ("r0", "r2", "r3")
    ]
    given = server.made("POST", "me/responses/bulk", {"items": items}, key)["items"]
    assert [one["error"] for one in given] == [None] * 3
    progress = server.made("GET", f"datasets/{dataset}/progress")
    assert (progress["total"], progress["completed"]) == (4, 1)
    assert search(server, board, terms("record", "completed", property="status")) == ["r0"]
    mine = server.made("GET", f"me/datasets/{dataset}/metrics", key=key)["responses"]
    assert (mine["submitted"], mine["pending"]) == (3, 1)


def test_settings_that_are_changed_in_the_ui(server: Any, board: Any) -> None:
    dataset, _, _ = board
    for question in server.made("GET", f"datasets/{dataset}/questions")["items"]:
        if question["name"] == "stars":
            server.made("PATCH", f"questions/{question['id']}", {"title": "How many stars?"})
    server.made("PATCH", f"datasets/{dataset}", {"guidelines": "# New"})
    assert server.made("GET", f"datasets/{dataset}")["guidelines"] == "# New"
    assert search(server, board, terms("response", "2", question="stars")) == ["r1"]
