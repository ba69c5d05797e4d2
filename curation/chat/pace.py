"""How fast a server is asked: no more often than it was said to allow, and not at all while it asks for a pause.

The `openai` client tries a refused request again by itself, each thread on its own. This stands before every request
that goes out, retries included, so that when one thread is told to wait all of them do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

MOST_WAIT_S = 120.0
"""Longest pause that is kept; the openai client gives a request up whose server asks for more."""


class Pace:
    """One for each server, shared by the threads that ask it."""

    def __init__(self, per_minute: int | None = None) -> None:
        self._gap = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Returns when the next request may go out."""
        while True:
            with self._lock:
                now = time.monotonic()
                if now >= self._next:
                    self._next = now + self._gap
                    return
                pause = self._next - now
            time.sleep(pause)

    def heard(self, status: int, headers: Mapping[str, str]) -> None:
        """Takes note of a server that asks for a pause (429 or 503 with Retry-After, in seconds)."""
        if status not in (429, 503):
            return
        for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
            try:
                pause = float(headers.get(name, "")) * unit
            except ValueError:
                continue
            if 0 < pause <= MOST_WAIT_S:
                with self._lock:
                    self._next = max(self._next, time.monotonic() + pause)
            return
