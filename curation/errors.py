"""The one error that people read: what is wrong, where, and what to do next.

Everything a user can cause ends in a `UserError` (or a subclass with another exit code). The command line prints it
without a traceback; any other exception is a bug of ours and is printed with one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can put right.

    Args:
        what: One sentence that says what is wrong.
        where: The place: `file.yaml:12`, `step 'sft'`, `data.jsonl, record 4711`. Empty when the sentence holds it.
        hint: The next thing to do. Empty only when `what` already says it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(what, where, hint)

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.hint}" if self.hint else head


class RecipeError(UserError):
    """The recipe, the profile or a flag is wrong; nothing ran."""

    exit_code = 2


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the closest of `known`, or lists them all when none is close and they are few."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    if 0 < len(names) <= 40:
        return "known here: " + ", ".join(names)
    return ""
