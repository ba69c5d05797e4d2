"""What is wrong with a recipe, all of it at once: one `Problem` a finding, one `RecipeProblems` for the lot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from curation.errors import RecipeError


@dataclass(frozen=True)
class Place:
    """Where a value was written: a line of a file, or a flag."""

    file: Path | None = None
    """The file; None for a value given on the command line."""
    line: int = 0
    """Counted from 1; 0 when no single line is meant."""
    flag: str = ""
    """The flag as typed: `--set sft.beta=2`."""

    def __str__(self) -> str:
        if self.file is None:
            return self.flag
        return f"{shown(self.file)}:{self.line}" if self.line else shown(self.file)


@dataclass(frozen=True)
class Problem:
    """One finding."""

    what: str
    """What is wrong, in one sentence."""
    place: Place = Place()
    path: str = ""
    """Where in the recipe: `steps.sft.learning_rate`."""
    hint: str = ""
    """The next thing to do."""

    def __str__(self) -> str:
        head = ": ".join(filter(None, (str(self.place), self.path, self.what)))
        return f"{head}\n  {self.hint}" if self.hint else head

    def as_json(self) -> dict[str, str | int | None]:
        """The shape of one problem under `--json`."""
        file = str(self.place.file) if self.place.file else None
        return {
            "file": file,
            "line": self.place.line or None,
            "flag": self.place.flag or None,
            "path": self.path,
            "what": self.what,
            "hint": self.hint,
        }


class RecipeProblems(RecipeError):
    """Everything that is wrong with a recipe, found in one reading."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems), key=_order)
        super().__init__("\n".join(map(str, self.problems)))

    def __str__(self) -> str:
        return self.what


def _order(problem: Problem) -> tuple[str, int, str, str]:
    place = problem.place
    return (str(place.file or ""), place.line, problem.path, problem.what)


def shown(path: Path) -> str:
    """A path as short as it can be typed from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
