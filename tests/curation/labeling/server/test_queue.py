"""A webhook whose listener is away is told later, also when the server was killed in between, or at work on it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from curation.labeling.server import environment

pytestmark = pytest.mark.heavy


class Listener(BaseHTTPRequestHandler):
    heard: list[str]
    told: list[str]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.heard.append(body["type"])
        self.told.append(body["data"]["record"]["external_id"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *what: Any) -> None:
        pass


@contextmanager
def listening(port: int) -> Iterator[Any]:
    handler: Any = type("Handler", (Listener,), {"heard": [], "told": []})
    server = HTTPServer(("127.0.0.1", port), handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def answered(owner: Any, dataset: str) -> list[str]:
    """Answers every record; their external ids."""
    records = owner.made("GET", f"datasets/{dataset}/records")["items"]
    for record in records:
        body = {"values": {"better": {"value": "a"}}, "status": "submitted"}
        owner.made("POST", f"records/{record['id']}/responses", body)
    return [record["external_id"] for record in records]


def until(there: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not there() and time.monotonic() < end:
        time.sleep(0.1)


def test_notifications_outlive_a_kill(tmp_path: Path, measuring: Any) -> None:
    served, boards = measuring("served"), measuring("boards")
    port = served.free_port()
    with served.served(tmp_path / "home") as server:
        owner = server.session()
        owner.made("POST", "webhooks", {"url": f"http://127.0.0.1:{port}/", "events": ["response.created"]})
        dataset = boards.made(owner, "told", min_submitted=1)
        boards.pushed(owner, dataset, boards.records(1))
        answered(owner, dataset)
        time.sleep(2)  # the first try finds nobody
        server.process.kill()
        server.process.wait()
        with listening(port) as listener:
            server.again()
            until(lambda: listener.heard)
            time.sleep(1)
        assert listener.heard == ["response.created"]

        kill_it_at_work(server, owner, boards, port)
        with listening(port) as listener:
            server.again()
            until(lambda: len(listener.told) == 3)
            time.sleep(1)
        assert sorted(listener.told) == ["record-0-0", "record-0-1", "record-0-2"]


TAKE_ONE = """
import os
from pathlib import Path
from inside.queue import provide
provide(Path(os.environ["ARGILLA_HOME_PATH"]))
from argilla_server.jobs.queues import HIGH_QUEUE, REDIS_CONNECTION
assert HIGH_QUEUE.count == 2, HIGH_QUEUE.count
HIGH_QUEUE.lmove(REDIS_CONNECTION, HIGH_QUEUE.key, None)
print(HIGH_QUEUE.count, flush=True)
os._exit(9)
"""


def kill_it_at_work(server: Any, owner: Any, boards: Any, port: int) -> None:
    """Leaves three notifications: one under way when the server is killed, one just taken by a worker, one in line."""
    with socket.create_server(("127.0.0.1", port)) as mute:  # hears and says nothing
        dataset = boards.made(owner, "at-work", min_submitted=1)
        boards.pushed(owner, dataset, boards.records(3))
        answered(owner, dataset)
        mute.settimeout(30)
        under_way, _ = mute.accept()
        server.process.kill()
        server.process.wait()
        under_way.close()
    owner.close()
    given = {**os.environ, **server.home.environment()}
    done = subprocess.run([str(environment.make()), "-c", TAKE_ONE], env=given, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (9, "1"), done.stderr
