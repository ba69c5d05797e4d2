"""What the methods that learn from pairs read: a prompt's tokens, and those of its chosen and its rejected answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from curation.frame import to_rows
from rlhf.training.encoding import Encodings, for_dpo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from curation.artifact import Preferences, Ref
    from rlhf.training.running import Run


class LearnsFromPairs(Protocol):
    """A step with these settings."""

    @property
    def data(self) -> Sequence[Ref[Preferences]]: ...

    @property
    def max_length(self) -> int | None: ...


def encoded_pairs(step: LearnsFromPairs, run: Run) -> tuple[Encodings, Encodings | None]:
    """(pairs to train on, pairs held out or None), looked over by the preflight; raises as `Run.encode` does."""

    def encode(rows: Any, bar: Any) -> Encodings:
        return for_dpo(to_rows(rows), run.template, max_length=step.max_length, bar=bar)

    return run.encode(step.data, encode, max_length=step.max_length, what="pairs")
