"""A real server behind a line that fails: what people need is asked again, and nothing is there twice."""

from __future__ import annotations

import http.client
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from memory_log import Log

from curation.conversation import Answer, Candidates, Message
from curation.errors import UserError
from curation.labeling import argilla
from curation.labeling.argilla import Server
from curation.labeling.log import Book
from curation.labeling.online import boards_of, look
from curation.labeling.rounds import Terms
from curation.labeling.tasks import Compared
from curation.labeling.wire import Refused, Wire

pytestmark = pytest.mark.heavy


class Line(BaseHTTPRequestHandler):
    """Passes on what it is asked, except where a fault is due: `busy` (503), `broken` (500), `lost` (heard, then cut),
    `slow`."""

    target: str
    faults: list[str]
    heard: Counter[str]
    version: str | None = None

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        place = self.path.split("?")[0].rsplit("/", 1)[-1]
        self.heard[f"{self.command} {place}"] += 1
        if token := self.headers.get("Authorization"):
            self.heard[token] += 1
        fault = self.faults.pop(0) if self.faults and place == "bulk" else ""
        if fault == "busy":
            self.send_error(503)
            return
        if fault == "broken":
            self.send_error(500)
            return
        if fault == "slow":
            self.connection.settimeout(5)
            with pytest.MonkeyPatch.context():
                self.rfile.read(1)  # until the client gives up
            return
        if place == "version" and self.version:
            self._answer(200, b'{"version": "%s"}' % self.version.encode())
            return
        address = urlsplit(self.target)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k in ("X-Argilla-Api-Key", "Content-Type")}
        connection.request(self.command, self.path, body or None, headers)
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        if fault == "lost":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._answer(answer.status, said)

    def _answer(self, status: int, said: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve

    def log_message(self, *what: Any) -> None:
        pass


@contextmanager
def line(server: Any, *faults: str, version: str | None = None) -> Iterator[tuple[str, Counter[str]]]:
    """(address of a line to the server, what it heard)."""
    given = {"target": server.url, "faults": list(faults), "heard": Counter(), "version": version}
    handler = type("Handler", (Line,), given)
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}", handler.heard
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()


def asked(count: int) -> Compared:
    return Compared.about(
        Candidates(
            prompt=(Message("user", f"question {n}"),), answers=(Answer(f"yes {n}", "a"), Answer(f"no {n}", "b"))
        )
        for n in range(count)
    )


def connected(url: str, server: Any, patience: float = 60.0) -> Any:
    connection = Server(url, "rlhf", server.owner.api_key).connect()
    connection.wire = replace(connection.wire, pauses_s=(0.05, 0.05, 0.05), patience_s=patience)
    return connection


def codes(server: Any, where: str) -> list[str]:
    dataset = where.split("/dataset/")[1].split("/")[0]
    return [r["external_id"] for r in server.made("GET", f"datasets/{dataset}/records?limit=1000")["items"]]


@pytest.mark.parametrize("faults", [["busy", "busy"], ["lost"], ["slow"], ["lost", "busy", "lost"]])
def test_a_push_over_a_line_that_fails_puts_everything_up_once(
    server: Any, monkeypatch: pytest.MonkeyPatch, faults: list[str]
) -> None:
    monkeypatch.setattr(argilla, "_PUSHED_AT_ONCE", 4)
    name = "line-" + "-".join(faults)
    with line(server, *faults) as (url, heard):
        connection = connected(url, server, patience=1.0 if "slow" in faults else 60.0)
        _, where = look(asked(10), connection, Log(), Terms("g", 1), name, "")
    assert len(codes(server, where)) == len(set(codes(server, where))) == 10
    assert heard["POST bulk"] == 3 + len(faults)


def test_a_server_that_stays_busy_is_said_so_and_the_next_run_goes_on(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argilla, "_PUSHED_AT_ONCE", 4)
    log = Log()
    with line(server, "", *["busy"] * 4) as (url, _):
        with pytest.raises(UserError, match=r"too busy \(503\), 4 times") as caught:
            look(asked(10), connected(url, server), log, Terms("g", 1), "stays-busy", "")
        assert "run again" in caught.value.hint
        _, where = look(asked(10), connected(url, server), log, Terms("g", 1), "stays-busy", "")
    assert len(codes(server, where)) == len(set(codes(server, where))) == 10


def test_a_slow_server_is_said_so(server: Any) -> None:
    with line(server, *["slow"] * 4) as (url, _):
        connection = connected(url, server, patience=0.3)
        with pytest.raises(UserError, match=r"did not answer in 0 s, 4 times") as caught:
            look(asked(1), connection, Log(), Terms("g", 1), "slow", "")
    assert "nothing is lost" in caught.value.hint


def test_another_version_is_refused_before_anything_is_put_up(server: Any) -> None:
    with (
        line(server, version="1.29.1") as (url, heard),
        pytest.raises(UserError, match=r"is version 1\.29\.1") as caught,
    ):
        connected(url, server)
    assert "2.8" in caught.value.hint
    assert set(heard) == {"GET version"}


def test_a_page_that_is_no_argilla_is_said_so(server: Any) -> None:
    wire = Wire(server.url + "/datasets", server.owner.api_key, "ARGILLA_API_KEY")
    with pytest.raises(UserError, match="no Argilla server"):
        wire.ask("GET", "version")


def test_an_annotator_s_key_can_put_nothing_up_and_the_message_says_whose_can(server: Any) -> None:
    wire = Wire(server.url, server.person("wire-annotator"), "ARGILLA_API_KEY")
    with pytest.raises(Refused, match="may not POST datasets") as caught:
        wire.ask(
            "POST", "datasets", {"name": "x", "workspace_id": server.made("GET", "me/workspaces")["items"][0]["id"]}
        )
    assert "owner" in caught.value.hint
    assert caught.value.tries == 1


def test_what_is_gone_and_what_broke_is_said_with_what_to_do(server: Any) -> None:
    wire = Wire(server.url, server.owner.api_key, "ARGILLA_API_KEY")
    with pytest.raises(Refused, match=r"refuses DELETE datasets/\S+ \(404\)") as caught:
        wire.ask("DELETE", f"datasets/{'0' * 8}-0000-4000-8000-{'0' * 12}")
    assert "run again" in caught.value.hint
    with line(server, "broken") as (url, _):
        wire = Wire(url, server.owner.api_key, "ARGILLA_API_KEY")
        with pytest.raises(Refused, match=r"\(500\)") as caught:
            wire.ask("POST", "records/bulk", {"items": []})
    assert "server.log" in caught.value.hint


def test_texts_that_no_server_has_seen(server: Any) -> None:
    """Ten megabytes in a message, other directions, nothing but white space, a zero."""
    texts = ["x" * 10_000_000, "مرحبا \u202eabc\u202c", " ", "\x00 zero"]
    prompt = (Message("user", "long"),)
    items = Compared.about([Candidates(prompt=prompt, answers=(Answer(t, "a"), Answer("b", "b"))) for t in texts])
    _, where = look(items, connected(server.url, server), Log(), Terms("g", 1), "texts", "")
    assert len(set(codes(server, where))) == len(texts)


def test_records_that_change_places_between_two_pages_are_all_read(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may list records of the same moment in another order each time: here, the first page comes twice."""
    monkeypatch.setattr(argilla, "_PULLED_AT_ONCE", 4)
    connection = connected(server.url, server)
    question, log = asked(10), Log()
    _, where = look(question, connection, log, Terms("g", 1), "places", "")
    (board,) = connection.boards(boards_of("places"))
    ask, pages = connection.ask, []

    def moved(method: str, place: str, body: Any = None, params: Any = None) -> Any:
        if place.endswith("/records") and len(pages) < 2:
            pages.append(params)
            params = {**params, "offset": 0}
        return ask(method, place, body, params)

    monkeypatch.setattr(connection, "ask", moved)
    read = [code for page in board.pages(Book(log).known, {}) for code in page.codes]
    assert sorted(read) == sorted(codes(server, where))


def test_a_private_space_gets_its_token_and_argilla_its_key(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with line(server) as (url, heard):
        connected(url, server)
        assert not any(what.startswith("Bearer") for what in heard)
        monkeypatch.setenv("ARGILLA_SPACE_TOKEN", "hf_token")
        connection = connected(url, server)
        assert connection.me["username"] == "owner", "the key still says who asks"
    assert heard["Bearer hf_token"] == 3
    assert "hf_token" not in repr(connection.wire)
