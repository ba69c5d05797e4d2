"""The real Argilla server on our search engine: what its UI asks for, asked as the UI does."""

from __future__ import annotations

import stat
from typing import Any

import pytest

pytestmark = pytest.mark.heavy

TEXTS = [
    ("东京塔很高。", "zh", 1, 0.1),
    ("con ma trong truyện", "vi", 2, 0.2),
    ("má tôi ở Huế", "vi", 3, 0.3),
    ("the quick fox", "en", 4, 0.4),
    ("the slow wolf", "en", 5, 0.5),
    ("القطة على السجادة", "ar", 6, 0.6),
]


@pytest.fixture(scope="module")
def dataset(server: Any) -> str:
    """Six records with metadata, suggestions and vectors; two people must answer each."""
    workspace = server.made("GET", "me/workspaces")["items"][0]["id"]
    made = server.made(
        "POST",
        "datasets",
        {
            "name": "pairs",
            "workspace_id": workspace,
            "distribution": {"strategy": "overlap", "min_submitted": 2},
            "allow_extra_metadata": False,
        },
    )
    place = f"datasets/{made['id']}"
    for name in ("prompt", "answer"):
        field = {"name": name, "title": name, "required": True, "settings": {"type": "text", "use_markdown": False}}
        server.made("POST", f"{place}/fields", field)
    options = [{"value": v, "text": v, "description": None} for v in ("a", "b", "tie")]
    questions: list[tuple[str, dict[str, Any]]] = [
        ("better", {"type": "label_selection", "options": options, "visible_options": 3}),
        ("stars", {"type": "rating", "options": [{"value": n} for n in range(1, 6)]}),
        ("order", {"type": "ranking", "options": options}),
    ]
    for name, settings in questions:
        body = {"name": name, "title": name, "required": name == "better", "settings": settings}
        server.made("POST", f"{place}/questions", body)
    for name, settings in (
        ("language", {"type": "terms"}),
        ("length", {"type": "integer"}),
        ("score", {"type": "float"}),
    ):
        body = {"name": name, "title": name, "settings": settings, "visible_for_annotators": True}
        server.made("POST", f"{place}/metadata-properties", body)
    vectors = server.made("POST", f"{place}/vectors-settings", {"name": "means", "title": "means", "dimensions": 2})
    assert vectors["dimensions"] == 2
    server.made("PUT", f"{place}/publish")
    asked = {q["name"]: q["id"] for q in server.made("GET", f"{place}/questions")["items"]}
    records = [
        {
            "external_id": f"r{n}",
            "fields": {"prompt": text, "answer": "fine"},
            "metadata": {"language": language, "length": length, "score": score},
            "vectors": {"means": [length, 1.0]},
            "suggestions": [
                {"question_id": asked["better"], "value": "a" if n % 2 else "b", "score": score, "agent": "m"}
            ],
        }
        for n, (text, language, length, score) in enumerate(TEXTS)
    ]
    server.made("POST", f"{place}/records/bulk", {"items": records})
    return str(made["id"])


def search(server: Any, dataset: str, body: dict[str, Any], key: str | None = None, query: str = "") -> list[str]:
    """External ids of what is found, in order."""
    place = f"me/datasets/{dataset}/records/search?limit=50{query}"
    answer = server.made("POST", place, body, key)
    found = [item["record"]["external_id"] for item in answer["items"]]
    assert answer["total"] >= len(found)
    return found


def where(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"filters": {"and": list(filters)}}


def terms(scope: dict[str, Any], *values: Any) -> dict[str, Any]:
    return {"type": "terms", "scope": scope, "values": list(values)}


def between(scope: dict[str, Any], low: float | None, high: float | None) -> dict[str, Any]:
    return {"type": "range", "scope": scope, "ge": low, "le": high}


def metadata(name: str) -> dict[str, Any]:
    return {"entity": "metadata", "metadata_property": name}


@pytest.mark.parametrize(
    ("asked", "right"),
    [("京塔", ["r0"]), ("ma", ["r1"]), ("má", ["r2"]), ("السجادة", ["r5"]), ("fox | wolf", ["r3", "r4"])],
)
def test_the_search_bar_works_in_every_language(server: Any, dataset: str, asked: str, right: list[str]) -> None:
    assert sorted(search(server, dataset, {"query": {"text": {"q": asked}}})) == right
    assert search(server, dataset, {"query": {"text": {"q": asked, "field": "answer"}}}) == []


@pytest.mark.parametrize(
    ("filter_", "right"),
    [
        (terms(metadata("language"), "vi", "ar"), ["r1", "r2", "r5"]),
        (between(metadata("length"), 3, 4), ["r2", "r3"]),
        (between(metadata("score"), None, 0.2), ["r0", "r1"]),
        (terms({"entity": "suggestion", "question": "better", "property": "value"}, "a"), ["r1", "r3", "r5"]),
        (between({"entity": "suggestion", "question": "better", "property": "score"}, 0.45, None), ["r4", "r5"]),
        (
            terms({"entity": "suggestion", "question": "better", "property": "agent"}, "m"),
            ["r0", "r1", "r2", "r3", "r4", "r5"],
        ),
        (terms({"entity": "record", "property": "status"}, "completed"), []),
    ],
)
def test_filters_let_through_what_they_say(
    server: Any, dataset: str, filter_: dict[str, Any], right: list[str]
) -> None:
    assert sorted(search(server, dataset, where(filter_))) == right  # everyone has an order of their own


def test_filters_and_a_search_hold_together(server: Any, dataset: str) -> None:
    body = {
        **where(terms(metadata("language"), "vi"), between(metadata("length"), 3, None)),
        "query": {"text": {"q": "má"}},
    }
    assert search(server, dataset, body) == ["r2"]


@pytest.mark.parametrize(("way", "right"), [("desc", [5, 4, 3, 2, 1, 0]), ("asc", [0, 1, 2, 3, 4, 5])])
@pytest.mark.parametrize(
    "scope", [metadata("length"), {"entity": "suggestion", "question": "better", "property": "score"}]
)
def test_orders(server: Any, dataset: str, scope: dict[str, Any], way: str, right: list[int]) -> None:
    found = search(server, dataset, {"sort": [{"scope": scope, "order": way}]})
    assert found == [f"r{n}" for n in right]


def test_similar_records_by_cosine(server: Any, dataset: str) -> None:
    """Vectors are (n + 1, 1): the closer in n, the closer in angle."""
    vector = {"name": "means", "value": [6.0, 1.0], "order": "most_similar"}
    assert search(server, dataset, {"query": {"vector": vector}}) == ["r5", "r4", "r3", "r2", "r1", "r0"]
    assert search(server, dataset, {"query": {"vector": {**vector, "order": "least_similar"}}})[0] == "r0"


def test_what_the_filter_panel_shows(server: Any, dataset: str) -> None:
    found = {p["name"]: p["id"] for p in server.made("GET", f"me/datasets/{dataset}/metadata-properties")["items"]}
    languages = server.made("GET", f"metadata-properties/{found['language']}/metrics")
    assert {v["term"]: v["count"] for v in languages["values"]} == {"vi": 2, "en": 2, "zh": 1, "ar": 1}
    assert languages["total"] == 6
    lengths = server.made("GET", f"metadata-properties/{found['length']}/metrics")
    assert (lengths["min"], lengths["max"]) == (1, 6)


def test_two_people_answer_and_the_server_knows_who_has_what_left(server: Any, dataset: str) -> None:
    ann, bo = server.person("ann"), server.person("bo")
    pending = where(terms({"entity": "response", "property": "status"}, "pending"))
    ids = {
        item["record"]["external_id"]: item["record"]["id"]
        for item in server.made("POST", f"me/datasets/{dataset}/records/search?limit=50", {})["items"]
    }
    assert sorted(search(server, dataset, pending, ann)) == [f"r{n}" for n in range(6)]

    ranking = [{"value": "b", "rank": 1}, {"value": "a", "rank": 2}, {"value": "tie", "rank": 2}]
    values = {"better": {"value": "b"}, "stars": {"value": 4}, "order": {"value": ranking}}
    given = server.made("POST", f"records/{ids['r3']}/responses", {"values": values, "status": "submitted"}, ann)
    assert given["values"]["order"]["value"] == ranking
    server.made("POST", f"records/{ids['r4']}/responses", {"status": "discarded"}, ann)
    server.made(
        "POST", f"records/{ids['r0']}/responses", {"values": {"better": {"value": "a"}}, "status": "draft"}, ann
    )

    assert sorted(search(server, dataset, pending, ann)) == ["r1", "r2", "r5"]
    assert search(server, dataset, pending, bo)[0] == "r3", "what another has begun comes first"
    mine = where(terms({"entity": "response", "property": "status"}, "submitted"))
    assert search(server, dataset, mine, ann) == ["r3"]
    stars = where(between({"entity": "response", "question": "stars"}, 4, None))
    assert search(server, dataset, stars, ann) == ["r3"]
    chosen = where(terms({"entity": "response", "question": "better"}, "a"))
    assert search(server, dataset, chosen, ann) == ["r0"]
    progress = server.made("GET", f"me/datasets/{dataset}/metrics", key=ann)["responses"]
    assert progress == {"total": 6, "submitted": 1, "discarded": 1, "draft": 1, "pending": 3}

    server.made(
        "POST", f"records/{ids['r3']}/responses", {"values": {"better": {"value": "a"}}, "status": "submitted"}, bo
    )
    whole = server.made("GET", f"datasets/{dataset}/progress")
    assert (whole["total"], whole["completed"], whole["pending"]) == (6, 1, 5)
    assert search(server, dataset, where(terms({"entity": "record", "property": "status"}, "completed"))) == ["r3"]


def test_what_is_deleted_is_not_found_any_more(server: Any, dataset: str) -> None:
    found = server.made("POST", f"me/datasets/{dataset}/records/search", {"query": {"text": {"q": "السجادة"}}})
    ids = [item["record"]["id"] for item in found["items"]]
    assert len(ids) == 1
    server.made("DELETE", f"datasets/{dataset}/records?ids={ids[0]}")
    assert search(server, dataset, {"query": {"text": {"q": "السجادة"}}}) == []


def test_the_server_s_files_are_its_user_s_alone(server: Any) -> None:
    assert stat.S_IMODE(server.home.folder.stat().st_mode) == 0o700
    loose = [path.name for path in server.home.folder.iterdir() if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert loose == []


def test_nobody_gets_in_without_a_key(server: Any) -> None:
    for key in ("argilla.apikey", "owner.apikey", "x"):
        assert server.ask("GET", "me", key=key)[0] == 401
