"""Scorers that run a model in this process: on the device and with the threads that the profile names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from curation.operator import Operator, Scorer
from rlhf.recipe.step import Room


@contextmanager
def on_its_device(operators: Sequence[Operator], room: Room) -> Iterator[dict[str, Any]]:
    """Gets this process ready for them, and closes the last one's model in the end; gives what a manifest notes.

    Nothing, and no torch, where no operator runs a model here: a judge behind an endpoint runs elsewhere, and the nodes
    of a cluster have devices of their own.
    """
    here = [o for o in operators if isinstance(o, Scorer) and o.chunked and getattr(o, "endpoint_model", None) is None]
    if not here or room.profile.engine.kind != "local":
        yield {}
        return
    from curation.models import numerics_class, release, set_threads, use_device

    set_threads(room.profile.training.threads)
    use_device(room.profile.training.device)
    dtypes = {str(getattr(o, "dtype", "float32")) for o in here}
    try:
        yield numerics_class(dtypes.pop() if len(dtypes) == 1 else "auto")
    finally:
        release()
