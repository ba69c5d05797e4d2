"""The one error that people read: what is wrong, where, and what to do next.

Everything a user can cause ends in a `UserError` (or a subclass with another exit code). The command line prints it
without a traceback; any other exception is a bug of ours and is printed with one.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Mapping
from typing import Any


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

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args, self.__dict__)  # errors travel between processes

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.hint}" if self.hint else head


class RecipeError(UserError):
    """The recipe, the profile or a flag is wrong; nothing ran."""

    exit_code = 2


def _again(cls: type[UserError], args: tuple[Any, ...], state: dict[str, Any]) -> UserError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


def disk_is_full(error: BaseException) -> bool:
    """Whether something failed because there was no room to write to: on the disk, or within a quota or a limit on the
    size of files. Not every library says so by `errno`.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    said = str(error)
    return isinstance(error, Exception) and any(sign in said for sign in _FULL)


_FULL = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "database or disk is full",
    "] . unexpected pos ",  # torch.save, when less was written than it gave
)


def first_line(error: BaseException) -> str:
    """What another library's error says, in one line; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def keys_in_words(record: Mapping[str, Any]) -> str:
    """What a record holds: its first keys, for a message about one that is not what it should be."""
    return ", ".join(f"`{key}`" for key in list(record)[:6]) or "nothing"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the closest of `known`, or lists them all when none is close and they are few."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    if 0 < len(names) <= 40:
        return "known here: " + ", ".join(names)
    return ""
