"""The servers of the profile, made reachable for what a step calls, with the run's cache and budget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from curation.chat import Connections, Endpoint, Usage, connected
from rlhf.recipe.step import Room


@contextmanager
def reachable(room: Room) -> Iterator[Connections]:
    """Inside the block `curation.chat.client(NAME)` finds the profile's endpoints; `.usage` tells what was used."""
    endpoints = {name: Endpoint(name, **entry.model_dump()) for name, entry in room.profile.endpoints.items()}
    usage = Usage(journal=room.work / "spent.jsonl")  # a try that goes on counts what earlier ones spent
    with connected(Connections(endpoints, room.answers, room.usd_left, room.progress, usage)) as connections:
        yield connections


def judged(connections: Connections) -> dict[str, Any]:
    """For a step's metrics: how a judge's points were read, by probability or as the number that it wrote."""
    return {"judged": dict(connections.usage.notes)} if connections.usage.notes else {}
