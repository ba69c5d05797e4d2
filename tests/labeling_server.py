"""The real Argilla server for tests, on our search engine, in an environment that is made the first time."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.labeling.server import environment, serve
from curation.labeling.server.home import WORKSPACE, Home, Owner

PASSWORD = "a long password"
"""Of everyone whom `person` lets in."""


@dataclass(frozen=True)
class Server:
    """A running one, asked as its owner or as anyone else."""

    url: str
    home: Home
    owner: Owner

    def ask(self, method: str, place: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
        """(status, answer)."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Argilla-Api-Key": key or self.owner.api_key, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v1/{place}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def made(self, method: str, place: str, body: Any = None, key: str | None = None) -> Any:
        """The answer; anything but success fails the test."""
        status, answer = self.ask(method, place, body, key)
        assert status < 300, (place, status, answer)
        return answer

    def person(self, name: str) -> str:
        """The API key of someone new who answers."""
        given = {"username": name, "first_name": name, "password": PASSWORD, "role": "annotator"}
        user = self.made("POST", "users", given)
        workspace = next(w["id"] for w in self.made("GET", "me/workspaces")["items"] if w["name"] == WORKSPACE)
        self.made("POST", f"workspaces/{workspace}/users", {"user_id": user["id"]})
        key: str = user["api_key"]
        return key


def free_port() -> int:
    """One that nobody listens at just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """A server whose home is the folder, until the block ends."""
    python = environment.make()
    home = Home(folder)
    owner, _ = serve.prepared(python, home, None)
    port = free_port()
    url = serve.url_of("127.0.0.1", port)
    process = serve.start(python, home, "127.0.0.1", port)
    try:
        serve.wait(process, home, url)
        yield Server(url, home, owner)
    finally:
        serve.stop(process)
