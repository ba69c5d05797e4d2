r"""Whether the answer to a sum is right: 1 or 0, by mathematics and not by its spelling.

What is compared are expressions (`math-verify`): `1/2`, `0.5` and `\frac{1}{2}` are one number, and of a text the last
boxed expression or the last number counts. So it is a reward that cannot be talked round, for RLOO, GRPO and PPO, and a
metric; with `keep` it selects the right ones of sampled answers.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any, Literal

from curation.errors import UserError
from curation.operator import Scorer

if TYPE_CHECKING:
    from curation.conversation import Conversation

_MARKED = re.compile(r"####\s*(.+?)\s*$", re.DOTALL)
"""GSM8K writes the result behind this mark, after its derivation."""
_MOST = 4000
"""Characters of an answer that are looked at, the last ones: that is where the result stands."""


class MathAnswer(Scorer):
    """1 where the answer's result equals the reference, else 0. Needs the extra `math`.

    The reference travels with the prompt in `meta`: `columns: [prompt, answer]` of a data set keeps it there. Of a
    GSM8K solution what stands behind `####` is taken.
    """

    op: Literal["math_answer"] = "math_answer"
    reference: str = "answer"
    """Name of the reference answer in `meta`."""

    def score(self, conversations: list[Conversation]) -> list[float]:
        return [float(self._right(row)) for row in conversations]

    def _right(self, row: Conversation) -> bool:
        expected = row.meta.get(self.reference)
        if expected is None:
            raise UserError(
                f"`math_answer` finds no reference answer {self.reference!r} in the `meta` of row {row.id}",
                hint="keep the column when the data are read: `columns: {prompt: question, answer: answer}`",
            )
        gold = _parsed(_result(str(expected)))
        if not gold:
            raise UserError(
                f"`math_answer` finds no expression in the reference answer {str(expected)[:80]!r} of row {row.id}",
                hint="a reference is a number or an expression; drop rows with other ones, or name another `reference`",
            )
        said = _parsed(_result(row.reply[-_MOST:]))
        return bool(said) and bool(_library().verify(gold, said, **_limits("timeout_seconds")))


def _result(text: str) -> str:
    found = _MARKED.search(text)
    return found.group(1) if found else text


def _parsed(text: str) -> list[Any]:
    found: list[Any] = _library().parse(text, **_limits("parsing_timeout"))
    return found


def _limits(name: str) -> dict[str, Any]:
    """The library's own time limits work by a signal, which only the main thread may have."""
    return {} if threading.current_thread() is threading.main_thread() else {name: None}


def _library() -> Any:
    try:
        import math_verify
    except ImportError as error:
        raise UserError(
            "`math_answer` needs the package math-verify", hint="pip install 'rlhf-curation[math]'"
        ) from error
    return math_verify
