"""A Hub of our own on loopback: the few routes by which a data set is found, listed and fetched."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hub:
    """One data set, `acme/chats`, with commits; `requests` lists the paths that were asked for."""

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, bytes]] = {}
        self.branches: dict[str, str] = {}
        self.card: dict[str, Any] = {}
        self.requests: list[str] = []
        self.status = 200
        self.url = ""

    def push(self, branch: str, files: dict[str, bytes]) -> str:
        """A new commit at the head of a branch."""
        sha = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[sha], self.branches[branch] = files, sha
        return sha


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_GET(self) -> None:
            hub.requests.append(self.path)
            path = self.path.partition("?")[0]
            if hub.status != 200:
                return self.answer(hub.status)
            if path.startswith("/api/datasets/acme/chats"):
                revision = path.removeprefix("/api/datasets/acme/chats").removeprefix("/revision/") or "main"
                sha = hub.branches.get(revision, revision)
                if sha not in hub.commits:
                    return self.answer(404, X_Error_Code="RevisionNotFound")
                siblings = [{"rfilename": name} for name in hub.commits[sha]]
                info = {"id": "acme/chats", "sha": sha, "siblings": siblings, "cardData": hub.card}
                return self.answer(200, json.dumps(info).encode(), Content_Type="application/json")
            if path.startswith("/datasets/acme/chats/resolve/"):
                sha, _, name = path.removeprefix("/datasets/acme/chats/resolve/").partition("/")
                body = hub.commits[sha][name]
                etag = f'"{hashlib.sha256(body).hexdigest()}"'
                return self.answer(200, body, ETag=etag, X_Repo_Commit=sha)
            return self.answer(404, X_Error_Code="RepoNotFound")

        do_HEAD = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
