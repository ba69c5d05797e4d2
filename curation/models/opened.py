"""The model that scorers look at, kept open from one chunk of rows to the next. One at a time, as models are large; who
asks several in turn says how many.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

M = TypeVar("M")

_open: dict[tuple[Any, ...], Any] = {}
_most = [1]


def opened(key: tuple[Any, ...], load: Callable[[], M]) -> M:
    """What `load` gave for this key, if it is open still; else the one that was opened first is closed and this
    opened.
    """
    if key not in _open:
        while len(_open) >= _most[0]:
            del _open[next(iter(_open))]
        _open[key] = load()
    found: M = _open[key]
    return found


def keep_open(most: int) -> None:
    """From now on, and until `close`, this many models stay open."""
    _most[0] = most


def close() -> None:
    """Forgets what is open."""
    _open.clear()
    _most[0] = 1
