"""Many records in one call give what Argilla's own way gives: the same answers, the same rows, the same refusals.

A second server runs Argilla's own code (its sessions, its bulk call) on the same search engine; both are told the same.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from labeling_server import Server, free_port

from curation.labeling.server import environment, serve
from curation.labeling.server.home import WORKSPACE, Home

pytestmark = pytest.mark.heavy

ARGILLAS_OWN = """
import os
from pathlib import Path
os.environ["ARGILLA_SEARCH_ENGINE"] = "embedded"
from inside.queue import provide
provide(Path(os.environ["ARGILLA_HOME_PATH"]))
import argilla_server
from inside.engine import database, texts
from inside.texts import catch_up
catch_up(texts(), database())
app = argilla_server.app
"""
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?")
ROWS = {
    "records": "SELECT external_id, fields, metadata, status, updated_at > inserted_at FROM records r WHERE {of}",
    "suggestions": "SELECT r.external_id, q.name, s.value, s.score, s.agent, s.type, s.updated_at > s.inserted_at "
    "FROM suggestions s JOIN records r ON r.id = s.record_id JOIN questions q ON q.id = s.question_id WHERE {of}",
    "responses": 'SELECT r.external_id, u.username, p."values", p.status, p.updated_at > p.inserted_at '
    "FROM responses p JOIN records r ON r.id = p.record_id JOIN users u ON u.id = p.user_id WHERE {of}",
    "vectors": "SELECT r.external_id, k.name, v.value FROM vectors v JOIN records r ON r.id = v.record_id "
    "JOIN vectors_settings k ON k.id = v.vector_settings_id WHERE {of}",
    "people": "SELECT u.username FROM datasets_users m JOIN users u ON u.id = m.user_id "
    "WHERE m.dataset_id = (SELECT id FROM datasets WHERE name = 'bulk')",
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("plain")
    (folder / "argillas_own.py").write_text(ARGILLAS_OWN)
    python, home, port = environment.make(), Home(folder / "home"), free_port()
    owner, _ = serve.prepared(python, home, None)
    home.scratch.mkdir()
    url = serve.url_of("127.0.0.1", port)
    given = home.environment()
    given["PYTHONPATH"] = os.pathsep.join([given["PYTHONPATH"], str(folder)])
    command = [str(python), "-m", "uvicorn", "argillas_own:app", "--port", str(port), "--log-level", "warning"]
    with home.log.open("ab") as log:
        process = subprocess.Popen(command, env={**os.environ, **given}, stdout=log, stderr=log)
    try:
        serve.wait(process, home, url)
        yield Server(url, home, owner)
    finally:
        serve.stop(process)


def alike(answer: Any) -> Any:
    """With numbers for ids, in the order in which they come, and without times of day."""
    ids: dict[str, str] = {}
    text = ID.sub(lambda found: ids.setdefault(found[0], f"id {len(ids)}"), json.dumps(answer, sort_keys=True))
    return json.loads(TIME.sub("a time", text))


def rows(server: Server) -> dict[str, list[Any]]:
    of = "r.dataset_id = (SELECT id FROM datasets WHERE name = 'bulk')"
    with closing(sqlite3.connect(f"file:{server.home.database}?mode=ro", uri=True)) as connection:
        found = {name: connection.execute(asked.format(of=of)).fetchall() for name, asked in ROWS.items()}
    # Ours writes letters for letters into JSON: what it says is compared, not how it is spelled.
    return {name: sorted(([_read(v) for v in row] for row in some), key=repr) for name, some in found.items()}


def _read(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def told(server: Server) -> list[Any]:
    """Everything that a client may send, good and bad; what the server said to each."""
    workspace = next(w["id"] for w in server.made("GET", "me/workspaces")["items"] if w["name"] == WORKSPACE)
    overlap = {"strategy": "overlap", "min_submitted": 2}
    body = {"name": "bulk", "workspace_id": workspace, "distribution": overlap, "allow_extra_metadata": False}
    dataset = server.made("POST", "datasets", body)["id"]
    place = f"datasets/{dataset}"
    for name, kind in (("prompt", {"type": "text", "use_markdown": False}), ("talk", {"type": "chat"})):
        server.made("POST", f"{place}/fields", {"name": name, "title": name, "required": True, "settings": kind})
    own = {"type": "custom", "template": "<p></p>"}
    server.made("POST", f"{place}/fields", {"name": "own", "title": "own", "required": False, "settings": own})
    options = [{"value": v, "text": v, "description": None} for v in ("a", "b", "tie")]
    for name, settings in (
        ("better", {"type": "label_selection", "options": options, "visible_options": 3}),
        ("order", {"type": "ranking", "options": options}),
    ):
        asked = {"name": name, "title": name, "required": name == "better", "settings": settings}
        server.made("POST", f"{place}/questions", asked)
    for name, kind in (("language", {"type": "terms"}), ("length", {"type": "integer", "min": 0})):
        body = {"name": name, "title": name, "settings": kind, "visible_for_annotators": True}
        server.made("POST", f"{place}/metadata-properties", body)
    server.made("POST", f"{place}/vectors-settings", {"name": "v", "title": "v", "dimensions": 2})
    one = {"external_id": "too early", "fields": {"prompt": "p", "talk": [{"role": "user", "content": "x"}]}}
    said = [server.ask("POST", f"{place}/records/bulk", {"items": [one]})]
    server.made("PUT", f"{place}/publish")
    asked = {q["name"]: q["id"] for q in server.made("GET", f"{place}/questions")["items"]}
    for name in ("bulk-ann", "bulk-bob"):
        server.person(name)
    who = {u["username"]: u["id"] for u in server.made("GET", "users")["items"]}

    def fields(text: str, **more: Any) -> dict[str, Any]:
        turns = [{"role": "user", "content": text}, {"role": "assistant", "content": f"{text} 东京塔 👍"}]
        return {"prompt": text, "talk": turns, **more}

    def answer(name: str, side: str, status: str = "submitted") -> dict[str, Any]:
        return {"user_id": who[name], "status": status, "values": {"better": {"value": side}}}

    ranking = [{"value": "b", "rank": 1}, {"value": "a", "rank": 2}, {"value": "tie", "rank": 2}]
    guess = {"question_id": asked["better"], "value": "a", "score": 0.25, "agent": "m", "type": "model"}
    many = [
        {"external_id": "plain", "fields": fields("plain")},
        {"external_id": "own", "fields": fields("own", own={"x": [1, None, {"y": "z"}]}), "metadata": {}},
        {"external_id": "none", "fields": fields("none", own=None), "metadata": None, "responses": [], "vectors": {}},
        {"fields": fields("nameless"), "metadata": {"language": None, "length": 3}},
        {"external_id": "guess", "fields": fields("guess"), "suggestions": [guess], "metadata": {"language": "vi"}},
        {"external_id": "vector", "fields": fields("vector"), "vectors": {"v": [0.5, -1]}},
        {"external_id": "one", "fields": fields("one"), "responses": [answer("bulk-ann", "a")]},
        {
            "external_id": "all",
            "fields": fields("all"),
            "metadata": {"language": ["en", "de"], "length": 7},
            "suggestions": [{"question_id": asked["order"], "value": ranking}, guess],
            "vectors": {"v": [1, 2]},
            "responses": [answer("bulk-ann", "tie"), answer("bulk-bob", "b")],
        },
        {
            "external_id": "draft",
            "fields": fields("draft"),
            "responses": [answer("bulk-bob", "b", "draft"), {"user_id": who["bulk-ann"], "status": "discarded"}],
        },
    ]
    said.append(server.ask("POST", f"{place}/records/bulk", {"items": many}))
    ids = {r["external_id"]: r["id"] for r in server.made("GET", f"{place}/records")["items"]}
    good = {"external_id": "good", "fields": fields("good")}
    bad: list[Any] = [
        many[0],
        {"fields": {}},
        {"fields": None},
        {"fields": {"prompt": "no talk"}},
        {"fields": fields("x", other="y")},
        {"fields": {**fields("x"), "prompt": [{"role": "user", "content": "x"}]}},
        {"fields": {**fields("x"), "talk": "no chat"}},
        {"fields": {**fields("x"), "talk": [{"role": "user"}]}},
        {"fields": {**fields("x"), "talk": [{"role": "user", "content": ""}]}},
        {"fields": {**fields("x"), "talk": [{"role": "user", "content": "x"}] * 501}},
        {"fields": fields("x", own="text")},
        {"fields": fields("x"), "metadata": {"length": "long"}},
        {"fields": fields("x"), "metadata": {"length": -1}},
        {"fields": fields("x"), "metadata": {"other": 1}},
        {"fields": fields("x"), "vectors": {"v": [1, 2, 3]}},
        {"fields": fields("x"), "vectors": {"w": [1, 2]}},
        {"fields": fields("x"), "suggestions": [{**guess, "value": "c"}]},
        {"fields": fields("x"), "suggestions": [guess, guess]},
        {"fields": fields("x"), "suggestions": [{**guess, "question_id": ids["plain"]}]},
        {"fields": fields("x"), "responses": [{**answer("bulk-ann", "a"), "user_id": ids["plain"]}]},
        {"fields": fields("x"), "responses": [answer("bulk-ann", "a"), answer("bulk-ann", "b")]},
        {"fields": fields("x"), "responses": [{"user_id": who["bulk-ann"], "status": "submitted", "values": {}}]},
        good,
    ]
    for wrong in bad:
        said.append(server.ask("POST", f"{place}/records/bulk", {"items": [good, wrong]}))
        said.append(server.ask("PUT", f"{place}/records/bulk", {"items": [good, wrong]}) if wrong is not many[0] else 0)
    said.append(server.ask("POST", f"{place}/records/bulk", {"items": []}))
    changed = [
        {"external_id": "plain", "metadata": {"length": 1}, "vectors": {"v": [3, 4]}},
        {"id": ids["guess"], "suggestions": [{**guess, "value": "b", "score": None}]},
        {"external_id": "one", "responses": [answer("bulk-bob", "b")]},
        {"external_id": "all", "responses": [answer("bulk-ann", "a", "draft")], "fields": fields("all anew")},
        {"external_id": "vector"},
        {"external_id": "new", "fields": fields("new"), "responses": [answer("bulk-bob", "tie")]},
    ]
    said.append(server.ask("PUT", f"{place}/records/bulk", {"items": changed}))
    said.append(server.ask("PUT", f"{place}/records/bulk", {"items": changed}))
    every = "include=responses&include=suggestions&include=vectors&limit=100"
    said.append(server.ask("GET", f"{place}/records?{every}"))
    for words in ("anew", "nameless", "京塔"):
        query = {"query": {"text": {"q": words}}, "sort": [_BY_CODE]}
        said.append(server.ask("POST", f"me/{place}/records/search?include=responses&include=suggestions", query))
    return said


_BY_CODE = {"scope": {"entity": "record", "property": "external_id"}, "order": "asc"}


def test_records_put_up_in_bulk_lie_there_and_are_answered_as_by_argilla_s_own_way(server: Any, plain: Server) -> None:
    ours, theirs = told(server), told(plain)
    codes = [one[0] for one in theirs if one]
    assert set(codes) == {200, 201, 422}
    assert codes.count(422) > 40
    for mine, right in zip(ours, theirs, strict=True):
        assert alike(mine) == alike(right)
    assert rows(server) == rows(plain)
    assert {row[0]: row[3] for row in rows(server)["records"]}["all"] == "pending", "one of its two answers is a draft"
    assert {name: len(some) for name, some in rows(server).items()} == {
        "records": 10,
        "suggestions": 3,
        "responses": 7,
        "vectors": 3,
        "people": 2,
    }
