"""Numbers, times and names as people read them on the page."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any, TypeGuard

_DASH = "\N{EN DASH}"

_DECIDERS = {
    "people": "people",
    "human": "people",
    "llm_judge": "a language model",
    "reward_model": "a reward model",
    "data set": "the data set, which does not say who",
}
"""What is known not to be a rule, by the name of the scorer."""


def number(value: Any) -> str:
    """Three digits that matter, whole numbers whole, a dash for what is not known: `0.0125`, `1,204`."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return _DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if 1e-3 <= abs(value) < 1000:
        return f"{float(f'{value:.3g}'):g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2g}"


def share(value: Any) -> str:
    """A part of a whole in percent: `58%`."""
    return f"{value:.0%}" if is_number(value) else _DASH


def interval(found: Any) -> str:
    """`0.77 [0.70, 0.83]`; without bounds, the mean alone."""
    if not isinstance(found, Mapping):
        return f"{found:.2f}" if is_number(found) else _DASH
    mean, low, high = (found.get(key) for key in ("mean", "low", "high"))
    if not is_number(mean):
        return _DASH
    return f"{_two(mean)} [{_two(low)}, {_two(high)}]" if is_number(low) and is_number(high) else _two(mean)


def _two(value: float) -> str:
    """Two decimals, and no minus before a zero."""
    return f"{round(value, 2) + 0.0:.2f}"


def is_number(value: Any) -> TypeGuard[float]:
    """A finite number (True and False are none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_interval(value: Any) -> bool:
    """A mapping with at least a finite `mean`."""
    return isinstance(value, Mapping) and is_number(value.get("mean"))


def duration(seconds: Any) -> str:
    """`0.8 s`, `42 s`, `5:07`, `2:03:11`."""
    if not is_number(seconds):
        return _DASH
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def megabytes(mb: Any) -> str:
    """`12 kB`, `812 MB`, `2.1 GB`; a dash for nothing measured."""
    if not is_number(mb) or mb <= 0:
        return _DASH
    if mb < 0.9995:
        return f"{max(mb * 1000, 1):.0f} kB"
    return f"{mb:.0f} MB" if mb < 999.5 else f"{mb / 1000:.1f} GB"


def moment(seconds: Any) -> str:
    """`2024-03-01 14:05 UTC`."""
    if not is_number(seconds) or seconds <= 0:
        return _DASH
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def count(n: int, word: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"


def decider(name: str) -> str:
    """What kind of judge a name is: `people`, `a language model`, `a reward model`, the data set, or else `a rule`.

    A scorer that is none of ours is still a program, so it is called a rule rather than something better.
    """
    return _DECIDERS.get(name.partition("(")[0].strip().lower(), "a rule")
