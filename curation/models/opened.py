"""The model that scorers look at, kept open from one chunk of rows to the next. One at a time: models are large."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

M = TypeVar("M")

_open: dict[tuple[Any, ...], Any] = {}


def opened(key: tuple[Any, ...], load: Callable[[], M]) -> M:
    """What `load` gave for this key, if that was the last one asked for; else the last one is closed and this
    opened.
    """
    if key not in _open:
        _open.clear()
        _open[key] = load()
    found: M = _open[key]
    return found


def close() -> None:
    """Forgets the open model."""
    _open.clear()
