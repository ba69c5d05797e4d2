"""The servers of the profile, made reachable for what a step calls, with the run's cache and budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from curation.chat import Connections, Endpoint, Usage, connected
from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.training import trained

S = TypeVar("S", bound=Step)


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


def rewarded(train: Callable[[S, Room], dict[str, Any]], step: S, room: Room) -> Done:
    """Trains with rewards that may come from a server, and says what they cost.

    Args:
        train: Gives the fields of `Done`.
    """
    with reachable(room) as connections:
        done = trained(train, step, room)
    done.metrics.update(judged(connections))
    done.usd = connections.usage.usd
    return done
