"""Plain columns for the terminal; the last one takes what is left of the line and wraps."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TextIO

_COLORS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}
_NO_TERMINAL = 200
"""Width of lines that go into a file or a pipe."""


def width(out: TextIO | None = None) -> int:
    """Characters of a line of the output (default: standard output)."""
    return shutil.get_terminal_size().columns if (out or sys.stdout).isatty() else _NO_TERMINAL


def filled(text: str, out: TextIO | None = None) -> str:
    """The text in lines that fit, further ones indented."""
    return textwrap.fill(text, width(out), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def colored(text: str, color: str) -> str:
    """The text in a color, where standard output is a terminal that may show it."""
    import os

    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_COLORS[color]}m{text}\x1b[0m"


def columns(rows: Sequence[Sequence[str]], head: Sequence[str] = (), colors: dict[str, str] | None = None) -> str:
    """The rows as aligned columns.

    Args:
        colors: Cell text -> name of a color, for words like `cached`.
    """
    from rich.cells import cell_len

    everything = [list(head), *map(list, rows)] if head else [list(r) for r in rows]
    if not everything:
        return ""
    count = max(map(len, everything))
    everything = [r + [""] * (count - len(r)) for r in everything]
    widths = [max(cell_len(r[i]) for r in everything) for i in range(count - 1)]
    left = sum(widths) + 2 * len(widths)
    room = max(width() - left, 24)
    lines: list[str] = []
    for number, row in enumerate(everything):
        last = textwrap.wrap(row[-1], room) or [""]
        cells = [cell + " " * (w - cell_len(cell)) for cell, w in zip(row, widths, strict=False)]
        if head and number == 0:
            lines.append(colored("  ".join([*cells, last[0]]).rstrip(), "dim"))
            continue
        for text, color in (colors or {}).items():
            cells = [c.replace(text, colored(text, color), 1) if c.strip() == text else c for c in cells]
        lines.append("  ".join([*cells, last[0]]).rstrip())
        lines += [" " * left + more for more in last[1:]]
    return "\n".join(lines)
