"""A run as people watch it: one screen for the whole recipe, each step a line with its state, bar, rate and time left.

On a terminal the lines move; in a file or a pipe each event is a line of text. Both are listeners of
`rlhf.recipe.run.run` and draw what they hear, nothing more.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from curation.progress import Bar, Progress
from rlhf.recipe.headline import duration, figure, headline
from rlhf.recipe.run import Listener, Outcome

if TYPE_CHECKING:
    from rlhf.recipe.load import LoadedRecipe

_RATE_OVER = 20.0
"""Seconds that a rate looks back: long enough to be calm, short enough to forget a resumed run's first jump."""
_LINE_EVERY = 15.0
"""Seconds between two progress lines of a step where no screen moves."""


class Gauge(Bar):
    """One piece of work under way, with what is needed to tell how fast it goes."""

    def __init__(self, what: str, total: int | None, unit: str) -> None:
        self.what, self.of, self.unit, self.n = what, total, unit, 0
        self.figures: dict[str, float] = {}
        self.seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=400)

    def advance(self, n: int = 1, **figures: float) -> None:
        self.n += n
        self.figures = {**self.figures, **figures}
        now = time.monotonic()
        if now - self.seen[-1][0] >= _RATE_OVER / 400:
            self.seen.append((now, self.n))

    def total(self, n: int) -> None:
        self.of = n

    def rate(self) -> float | None:
        """Units a second of late; None while that is not known."""
        now, oldest = time.monotonic(), self.seen[0]
        for moment in list(self.seen):
            if now - moment[0] <= _RATE_OVER:
                break
            oldest = moment
        spent = now - oldest[0]
        return (self.n - oldest[1]) / spent if spent > 0.5 and self.n > oldest[1] else None

    def words(self) -> list[str]:
        """`34/120 steps`, `1.2/s`, `0:42 left`, `loss 2.31`: the most important first."""
        many = _megabytes if self.unit == "bytes" else _whole
        count = f"{many(self.n)}/{many(self.of)}" if self.of else many(self.n)
        found = [f"{count} {'MB' if self.unit == 'bytes' else self.unit}"]
        figures = [f"{name} {figure(value)}" for name, value in list(self.figures.items())]
        rate = self.rate()
        if rate and self.of and self.of > self.n:
            found.append(f"{duration(max(round((self.of - self.n) / rate), 1))} left")
        speed = f"{_megabytes(rate)} MB/s" if rate and self.unit == "bytes" else f"{figure(rate)}/s" if rate else ""
        return [*found, *figures[:1], *([speed] if speed else []), *figures[1:]]


def _whole(n: float) -> str:
    return f"{n:,}"


def _megabytes(n: float) -> str:
    return f"{n / 1e6:,.1f}"


class Line:
    """What is known of one step."""

    def __init__(self, name: str) -> None:
        self.name, self.started, self.note = name, 0.0, ""
        self.gauges: list[Gauge] = []
        self.outcome: Outcome | None = None


class _StepProgress(Progress):
    """Passes what a step reports to its line."""

    def __init__(self, view: View, line: Line) -> None:
        self._view, self._line = view, line

    @contextmanager
    def bar(self, what: str, total: int | None = None, unit: str = "rows") -> Iterator[Bar]:
        gauge = Gauge(what, total, unit)
        self._line.gauges.append(gauge)
        self._view.opened(self._line, gauge)
        try:
            yield gauge
        finally:
            self._line.gauges.remove(gauge)
            self._line.note = what  # what comes between two pieces of work belongs to the one before

    def say(self, text: str) -> None:
        self._view.said(self._line, text)


class View(Listener):
    """What both views share: the state of every step."""

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the screen readable, however the run ended."""

    def begin(self, order: list[str], loaded: LoadedRecipe) -> None:
        self.lines = {name: Line(name) for name in order}

    def started(self, name: str) -> None:
        self.lines[name].started = time.monotonic()
        self.lines[name].note = ""

    def progress(self, name: str) -> Progress:
        return _StepProgress(self, self.lines[name])

    def held(self, name: str, holder: str) -> None:
        self.lines[name].note = f"waits for {holder}, which works on it too"

    def ended(self, name: str, outcome: Outcome) -> None:
        self.lines[name].outcome = outcome
        self.lines[name].gauges.clear()

    def opened(self, line: Line, gauge: Gauge) -> None:
        """A piece of work begins."""

    def said(self, line: Line, text: str) -> None:
        """A step has something to say that should stay."""


def told(outcome: Outcome) -> str:
    """How a step ended, in words."""
    if outcome.state in ("done", "cached") and outcome.manifest:
        return headline(outcome.manifest)
    if outcome.state == "waiting" and outcome.hint:
        return f"{outcome.message}: {outcome.hint}"
    return outcome.message


class Log(View):
    """For files and pipes: a line when something happens, and now and then while it goes on."""

    def __init__(self, out: IO[str]) -> None:
        super().__init__()
        self._out, self._stop, self._busy = out, threading.Event(), threading.Lock()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._running: Line | None = None

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def begin(self, order: list[str], loaded: LoadedRecipe) -> None:
        super().begin(order, loaded)
        self._ticker.start()

    def started(self, name: str) -> None:
        super().started(name)
        self._running = self.lines[name]
        self._print(f"{name}: started")

    def held(self, name: str, holder: str) -> None:
        super().held(name, holder)
        self._print(f"{name}: {self.lines[name].note}")

    def ended(self, name: str, outcome: Outcome) -> None:
        super().ended(name, outcome)
        self._running = None
        words = told(outcome)
        took = f" in {duration(outcome.seconds)}" if outcome.seconds else ""
        self._print(f"{name}: {outcome.state}{took}" + (f", {words}" if words else ""))

    def said(self, line: Line, text: str) -> None:
        self._print(f"{line.name}: {text}")

    def _tick(self) -> None:
        while not self._stop.wait(_LINE_EVERY):
            line = self._running
            gauges = line.gauges[-1:] if line else []
            for gauge in gauges:
                self._print(f"{line.name if line else ''}: {gauge.what}, " + ", ".join(gauge.words()))

    def _print(self, text: str) -> None:
        with self._busy:
            self._out.write(text + "\n")
            self._out.flush()


def view(out: IO[str] | None = None) -> View:
    """The view that fits where the output goes (default: standard output). Use as a context manager."""
    from rich.console import Console

    from rlhf.recipe.screen import Screen

    out = out or sys.stdout
    console = Console(file=out)
    return Screen(console) if console.is_terminal and not console.is_dumb_terminal else Log(out)
