"""What a browser is told never to do with a page of this server, whatever stands in a text, and how many answers came.

Argilla's UI turns Markdown into HTML and cleans it, but lets `object`, `embed` and pictures of other sites through:
the first two can carry a page of their own, the last tell their owner who reads which record when. A content security
policy forbids all three, and any script that the UI did not come with: its own two lines of script in the page are
known by their digests.

A run that waits for people asks for the version now and then: with it goes the number of answers that this process has
taken, so that it wakes at once (`curation.labeling.bell`).
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from pathlib import Path
from typing import Any

_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def policy(page: str) -> str:
    """The policy for a UI whose first page is this one."""
    digests = (hashlib.sha256(said.encode()).digest() for said in _INLINE.findall(page))
    known = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    rules = {
        "default-src": "'self'",
        "script-src": f"'self' {known}".strip(),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "media-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "object-src": "'none'",
        "frame-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def first_page(app: Any) -> str:
    """The UI's, as this server gives it out."""
    for route in app.routes:
        if getattr(route, "name", None) == "static":
            return (Path(route.app.directory) / "index.html").read_text(encoding="utf-8")
    return ""


ANSWERS = b"x-rlhf-answers"
_ANSWERED = re.compile(r"/responses(/[^/]+)?$")
_TAKEN = ("POST", "PUT", "DELETE")


class Guarded:
    """An application whose every answer carries the policy, and its version how many answers it has taken."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.started = secrets.token_hex(4)  # so that a number after a restart is none from before it
        self.taken = 0
        self.headers = [
            (b"content-security-policy", policy(first_page(app)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
        ]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], *self.headers]
                if scope.get("path") == "/api/v1/version":
                    headers.append((ANSWERS, f"{self.started}-{self.taken}".encode()))
                message = {**message, "headers": headers}
                answered = scope.get("method") in _TAKEN and _ANSWERED.search(scope.get("path", ""))
                self.taken += bool(answered and message["status"] < 300)
            await send(message)

        await self.app(scope, receive, guarded)
