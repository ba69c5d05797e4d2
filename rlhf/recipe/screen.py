"""A run on a terminal: the whole recipe as one picture, redrawn in place, a line a step at any width."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.text import Text

from rlhf.recipe.headline import duration
from rlhf.recipe.view import Gauge, Line, View, told

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from rlhf.recipe.load import LoadedRecipe

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


class Screen(View):
    """For terminals: the whole recipe, redrawn in place."""

    def __init__(self, console: Console) -> None:
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

    def said(self, line: Line, text: str) -> None:
        self._console.print(f"{line.name}: {text}", markup=False, highlight=False, style="yellow")

    def _drawn(self) -> RenderableType:
        lines = list(self.lines.values())
        room = self._console.height - 3
        hidden: list[Line] = []
        if self._moving and len(lines) > room:
            over = [line for line in lines if line.outcome and line.outcome.state in ("done", "cached")]
            hidden = over[: len(lines) - room + 1]
        shown = [self._row(line) for line in lines if line not in hidden]
        if hidden:
            shown.insert(0, Text(f"  {len(hidden)} steps before this are done", style="dim"))
        return Group(*shown[: max(room, 1)] if self._moving else shown)

    def _row(self, line: Line) -> Text:
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

    def _add_running(self, row: Text, line: Line, room: int) -> None:
        """Name of the work, bar and figures, as far as there is room; the elapsed time at the end of the line."""
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
        halves = int(share * wide * 2)
        full, half = divmod(halves, 2)
        bar = Text(self._safe("━" * full + "╸" * half), style="cyan")
        bar.append(self._safe("─" * (wide - full - half)), style="dim")
        return bar

    def _safe(self, text: str) -> str:
        return text.translate(_ASCII) if self._plain else text
