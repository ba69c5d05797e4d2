"""A webhook whose listener is away is told later, also when the server was killed in between."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

pytestmark = pytest.mark.heavy


class Listener(BaseHTTPRequestHandler):
    heard: list[str]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.heard.append(body["type"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *what: Any) -> None:
        pass


@contextmanager
def listening(port: int) -> Iterator[list[str]]:
    handler = type("Handler", (Listener,), {"heard": []})
    server = HTTPServer(("127.0.0.1", port), handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield handler.heard
    server.shutdown()
    thread.join()
    server.server_close()


def test_notifications_outlive_a_kill(tmp_path: Path, measuring: Any) -> None:
    served, boards = measuring("served"), measuring("boards")
    port = served.free_port()
    with served.served(tmp_path / "home") as server:
        owner = server.session()
        owner.made("POST", "webhooks", {"url": f"http://127.0.0.1:{port}/", "events": ["response.created"]})
        dataset = boards.made(owner, "told", min_submitted=1)
        boards.pushed(owner, dataset, boards.records(1))
        (record,) = owner.made("GET", f"datasets/{dataset}/records")["items"]
        body = {"values": {"better": {"value": "a"}}, "status": "submitted"}
        owner.made("POST", f"records/{record['id']}/responses", body)
        owner.close()
        time.sleep(2)  # the first try finds nobody
        server.process.kill()
        server.process.wait()
        with listening(port) as heard:
            server.again()
            until = time.monotonic() + 60
            while not heard and time.monotonic() < until:
                time.sleep(0.1)
            time.sleep(1)
    assert heard == ["response.created"]
