"""Which endpoints can be reached by name, for code that knows no servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from curation.chat.client import Client
from curation.chat.purse import Purse, Usage
from curation.chat.request import AnswerCache, Endpoint
from curation.errors import UserError, did_you_mean
from curation.progress import SILENT, Progress


@dataclass
class Connections:
    """The endpoints that a step may ask, with one cache, one purse and one count of what was used."""

    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    cache: AnswerCache | None = None
    usd_left: float | None = None
    progress: Progress = SILENT
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        self._purse = Purse(self.usd_left, self.usage.usd)
        self._clients: dict[str, Client] = {}

    def client(self, name: str) -> Client:
        """The client of an endpoint.

        Raises:
            UserError: there is no endpoint of this name.
        """
        if name not in self._clients:
            if name not in self.endpoints:
                near = did_you_mean(name, self.endpoints)
                line = f"endpoints: {{{name}: {{base_url: ...}}}}"
                raise UserError(f"no endpoint is called {name!r}", hint=near or f"say where it is in a profile: {line}")
            self._clients[name] = Client(
                self.endpoints[name],
                cache=self.cache,
                purse=self._purse,
                usage=self.usage,
                progress=self.progress,
            )
        return self._clients[name]


_current: list[Connections] = []
"""Of this process, not of a thread: engines work on threads of their own."""


@contextmanager
def connected(connections: Connections) -> Iterator[Connections]:
    """Makes endpoints reachable by name for all code inside."""
    _current.append(connections)
    try:
        yield connections
    finally:
        _current.remove(connections)


def client(name: str) -> Client:
    """The client of an endpoint that is reachable here.

    Raises:
        UserError: there is none of this name.
    """
    return (_current[-1] if _current else Connections()).client(name)


def note(what: str, count: int = 1) -> None:
    """Counts something that whoever made the connections reports: how a judge's points were read, say."""
    if _current:
        _current[-1].usage.note(what, count)
