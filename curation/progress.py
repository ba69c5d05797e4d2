"""How long work tells that it goes on. Code reports; whoever runs it decides how that looks.

`Progress` does nothing by itself. The command line shows it as bars with rates and time left; a child process sends it
to its parent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Bar:
    """One piece of work under way."""

    def advance(self, n: int = 1, **figures: float) -> None:
        """`n` more units are done; `figures` (loss, kept, tokens per second) are the latest values."""

    def total(self, n: int) -> None:
        """The length became known."""


class Progress:
    """A listener that ignores what it hears."""

    @contextmanager
    def bar(self, what: str, total: int | None = None, unit: str = "rows") -> Iterator[Bar]:
        """A piece of work of `total` units (None: unknown)."""
        yield Bar()

    def say(self, text: str) -> None:
        """A line worth keeping on the screen."""


SILENT = Progress()
