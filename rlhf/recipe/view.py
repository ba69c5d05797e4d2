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
    from rich.console import Console, RenderableType
    from rich.text import Text

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
        count = f"{self.n:,}/{self.of:,}" if self.of else f"{self.n:,}"
        found = [f"{count} {self.unit}"]
        figures = [f"{name} {figure(value)}" for name, value in list(self.figures.items())]
        rate = self.rate()
        if rate and self.of and self.of > self.n:
            found.append(f"{duration(max(round((self.of - self.n) / rate), 1))} left")
        return [*found, *figures[:1], *([f"{figure(rate)}/s"] if rate else []), *figures[1:]]


class _Line:
    """What is known of one step."""

    def __init__(self, name: str) -> None:
        self.name, self.started, self.note = name, 0.0, ""
        self.gauges: list[Gauge] = []
        self.outcome: Outcome | None = None


class _StepProgress(Progress):
    """Passes what a step reports to its line."""

    def __init__(self, view: _View, line: _Line) -> None:
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

    def say(self, text: str) -> None:
        self._view.said(self._line, text)


class _View(Listener):
    """What both views share: the state of every step."""

    def __init__(self) -> None:
        self.lines: dict[str, _Line] = {}

    def __enter__(self) -> _View:
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the screen readable, however the run ended."""

    def begin(self, order: list[str], loaded: LoadedRecipe) -> None:
        self.lines = {name: _Line(name) for name in order}

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

    def opened(self, line: _Line, gauge: Gauge) -> None:
        """A piece of work begins."""

    def said(self, line: _Line, text: str) -> None:
        """A step has something to say that should stay."""


def told(outcome: Outcome) -> str:
    """How a step ended, in words."""
    if outcome.state in ("done", "cached") and outcome.manifest:
        return headline(outcome.manifest)
    if outcome.state == "waiting" and outcome.hint:
        return f"{outcome.message}: {outcome.hint}"
    return outcome.message


class Log(_View):
    """For files and pipes: a line when something happens, and now and then while it goes on."""

    def __init__(self, out: IO[str]) -> None:
        super().__init__()
        self._out, self._stop, self._busy = out, threading.Event(), threading.Lock()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._running: _Line | None = None

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

    def said(self, line: _Line, text: str) -> None:
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


_SIGNS = {
    "done": ("✓", "green"),
    "cached": ("✓", "dim green"),
    "failed": ("✗", "bold red"),
    "waiting": ("…", "bold yellow"),
    "gated": ("!", "bold red"),
    "skipped": ("·", "dim"),
    "pending": ("·", "dim"),
    "running": ("▸", "bold cyan"),
}
_ASCII = str.maketrans("✓✗…·▸━╸─", "+x?.>==-")
_BAR = (8, 24)
"""Least and most characters of a bar."""


def _fitting(gauge: Gauge, room: int) -> list[str]:
    """The name of the work and as many of its figures as there is room for beside a short bar."""
    first, *more = gauge.words()
    what = gauge.what[:20]
    parts = [what, first] if len(what) + len(first) + 2 <= room else [first]
    for word in more:
        if len("  ".join([*parts, word])) + 2 + (_BAR[0] if gauge.of else 0) <= room:
            parts.append(word)
    return parts


class Screen(_View):
    """For terminals: the whole recipe, redrawn in place."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        super().__init__()
        self._console = console
        self._moving = False
        self._plain = not (console.encoding or "").lower().startswith("utf")
        self._live = Live(
            console=console,
            get_renderable=self._drawn,
            refresh_per_second=6,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __exit__(self, *_: object) -> None:
        if self._moving:
            for line in self.lines.values():
                line.note = "stopped" if not line.outcome else line.note
                line.gauges.clear()
            self._moving = False  # the last picture shows every step
            self._live.stop()

    def begin(self, order: list[str], loaded: LoadedRecipe) -> None:
        super().begin(order, loaded)
        self._moving = True
        self._live.start()

    def said(self, line: _Line, text: str) -> None:
        self._console.print(f"{line.name}: {text}", markup=False, highlight=False, style="yellow")

    def _drawn(self) -> RenderableType:
        from rich.console import Group

        lines = list(self.lines.values())
        room = self._console.height - 3
        hidden: list[_Line] = []
        if self._moving and len(lines) > room:
            over = [line for line in lines if line.outcome and line.outcome.state in ("done", "cached")]
            hidden = over[: len(lines) - room + 1]
        shown = [self._row(line) for line in lines if line not in hidden]
        if hidden:
            from rich.text import Text

            shown.insert(0, Text(f"  {len(hidden)} steps before this are done", style="dim"))
        return Group(*shown[: max(room, 1)] if self._moving else shown)

    def _row(self, line: _Line) -> Text:
        from rich.text import Text

        names = min(max((len(n) for n in self.lines), default=0), 18, self._console.width // 4)
        state = line.outcome.state if line.outcome else "running" if line.started else "pending"
        sign, style = _SIGNS[state]
        row = Text(no_wrap=True, overflow="ellipsis")
        row.append(self._safe(sign), style)
        name = line.name if len(line.name) <= names else line.name[: names - 1] + self._safe("…")
        row.append(
            f" {name:<{names}}  ", "dim" if state in ("pending", "skipped") else "bold" if state == "running" else ""
        )
        room = self._console.width - row.cell_len
        if state == "running":
            self._add_running(row, line, room)
        elif line.outcome:
            took = (
                "cached" if state == "cached" else duration(line.outcome.seconds) if line.outcome.seconds > 0.05 else ""
            )
            words = told(line.outcome).partition("\n")[0]
            left = max(room - len(took) - 2, 8)
            bad = state in ("failed", "gated", "waiting")
            text = Text(words, style=style if bad else "dim" if state in ("cached", "skipped") else "")
            text.truncate(left, overflow="ellipsis", pad=True)
            row.append_text(text)
            row.append(f"  {took}", "dim")
        return row

    def _add_running(self, row: Text, line: _Line, room: int) -> None:
        """Name of the work, bar and figures, as far as there is room; the elapsed time at the end of the line."""
        from rich.text import Text

        took = duration(time.monotonic() - line.started)
        room -= len(took) + 2
        gauge = line.gauges[-1] if line.gauges else None
        if gauge is None:
            text = Text(line.note or "starting", style="dim")
            text.truncate(room, overflow="ellipsis", pad=True)
            row.append_text(text)
        else:
            parts = _fitting(gauge, room)
            text = Text("  ".join(parts))
            wide = min(room - text.cell_len - 2, _BAR[1])
            if gauge.of and wide >= _BAR[0]:
                text = Text(f"{parts[0]}  ")
                text.append_text(self._bar(min(gauge.n / gauge.of, 1.0), wide))
                text.append("  " + "  ".join(parts[1:]))
            text.truncate(room, overflow="ellipsis", pad=True)
            row.append_text(text)
        row.append(f"  {took}", "dim")

    def _bar(self, share: float, wide: int) -> Text:
        from rich.text import Text

        halves = int(share * wide * 2)
        full, half = divmod(halves, 2)
        bar = Text(self._safe("━" * full + "╸" * half), style="cyan")
        bar.append(self._safe("─" * (wide - full - half)), style="dim")
        return bar

    def _safe(self, text: str) -> str:
        return text.translate(_ASCII) if self._plain else text


def view(out: IO[str] | None = None) -> _View:
    """The view that fits where the output goes (default: standard output). Use as a context manager."""
    from rich.console import Console

    out = out or sys.stdout
    console = Console(file=out)
    return Screen(console) if console.is_terminal and not console.is_dumb_terminal else Log(out)
