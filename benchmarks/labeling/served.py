"""A labeling server of one's own for a measurement: in a new folder, at a free port, with people in it."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from select import select
from typing import Any
from urllib.parse import urlsplit

from curation.labeling.server import environment, serve
from curation.labeling.server.home import WORKSPACE, Home, Owner


class Session:
    """One person's connection, kept open as a browser keeps it."""

    def __init__(self, url: str, key: str) -> None:
        self.address = urlsplit(url)
        self.key = key
        self.connection: HTTPConnection | None = None

    def ask(self, method: str, place: str, body: Any = None) -> tuple[int, Any]:
        """(status, answer); raises OSError where the server goes away."""
        if self.connection is None:
            self.connection = HTTPConnection(self.address.hostname or "", self.address.port, timeout=120)
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Argilla-Api-Key": self.key, "Content-Type": "application/json"}
        try:
            if self.connection.sock is not None and select([self.connection.sock], [], [], 0)[0]:
                self.connection.close()  # the server ended one that lay idle
            self.connection.request(method, f"/api/v1/{place}", data, headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except Exception:
            self.close()
            raise
        return answer.status, json.loads(text) if text else None

    def close(self) -> None:
        """Lets the connection go; the next question opens another."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def made(self, method: str, place: str, body: Any = None) -> Any:
        """The answer; anything but success ends the measurement."""
        status, answer = self.ask(method, place, body)
        if status >= 300:
            raise RuntimeError(f"{method} {place}: {status} {answer}")
        return answer


@dataclass
class Served:
    """A server that runs."""

    url: str
    home: Home
    owner: Owner
    process: subprocess.Popen[bytes]
    ready_s: float
    """From nothing but the environment to the first answer."""

    def session(self, key: str | None = None) -> Session:
        return Session(self.url, key or self.owner.api_key)

    def people(self, count: int, name: str = "person") -> list[Session]:
        """New annotators."""
        owner = self.session()
        workspace = next(w["id"] for w in owner.made("GET", "me/workspaces")["items"] if w["name"] == WORKSPACE)
        found = []
        for n in range(count):
            person = {"username": f"{name}-{n}", "first_name": name, "password": "a long password", "role": "annotator"}
            user = owner.made("POST", "users", person)
            owner.made("POST", f"workspaces/{workspace}/users", {"user_id": user["id"]})
            found.append(self.session(user["api_key"]))
        owner.close()
        return found

    def again(self) -> None:
        """Starts it anew from its folder."""
        python = environment.make()
        address = urlsplit(self.url)
        started = time.monotonic()
        serve.prepared(python, self.home, None)
        self.process = serve.start(python, self.home, address.hostname or "", address.port or 0)
        serve.wait(self.process, self.home, self.url)
        self.ready_s = time.monotonic() - started


def free_port() -> int:
    """One that nobody listens at just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """A server in a folder; it ends with the block."""
    home = Home(folder)
    python = environment.make()
    started = time.monotonic()
    owner, _ = serve.prepared(python, home, None)
    port = free_port()
    url = serve.url_of("127.0.0.1", port)
    process = serve.start(python, home, "127.0.0.1", port)
    found = Served(url, home, owner, process, 0.0)
    try:
        serve.wait(process, home, url)
        found.ready_s = time.monotonic() - started
        yield found
    finally:
        if found.process.poll() is None:
            serve.stop(found.process)
