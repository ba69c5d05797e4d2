"""Money and tokens: what was used, and what may still be spent.

The bound of a recipe is kept before the fact: nobody is asked while the worst case could pass it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from curation.errors import UserError


@dataclass
class Usage:
    """What was asked and what it cost."""

    answers: int = 0
    cached: int = 0
    """Of the answers, those that were known already."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    notes: dict[str, int] = field(default_factory=dict)
    """What else was counted, by name."""
    journal: Path | None = None
    """File to which all that is paid is added, one line an answer. What it holds already counts: a step that was cut
    off and goes on has spent what it had spent."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.journal is None or not self.journal.exists():
            return
        for line in self.journal.read_text(encoding="utf-8").split("\n"):
            with suppress(ValueError):  # a line torn by a kill
                prompt, completion, usd = json.loads(line)
                self.prompt_tokens += prompt
                self.completion_tokens += completion
                self.usd += usd

    def count(
        self, *, answers: int = 0, cached: int = 0, prompt: int = 0, completion: int = 0, usd: float = 0.0
    ) -> None:
        """Adds to the counts, from any thread."""
        with self._lock:
            self.answers += answers
            self.cached += cached
            self.prompt_tokens += prompt
            self.completion_tokens += completion
            self.usd += usd
            if self.journal is not None and (prompt or completion or usd):
                with self.journal.open("a", encoding="utf-8") as file:
                    file.write(f"\n{json.dumps([prompt, completion, usd])}")

    def note(self, what: str, count: int = 1) -> None:
        """Adds to the count of something by name, from any thread."""
        with self._lock:
            self.notes[what] = self.notes.get(what, 0) + count

    def tokens(self) -> dict[str, int]:
        """As a manifest counts them."""
        used = self.answers or self.prompt_tokens
        return {"prompt": self.prompt_tokens, "completion": self.completion_tokens} if used else {}


class BudgetReached(UserError):
    """The next request could cost more than is left."""


class Purse:
    """What may still be spent, shared by all clients of a step, from any thread.

    A request first reserves its worst case, then pays what it really cost, so the bound is never passed.

    Args:
        usd_left: The bound; None: none.
        spent: What was spent of it before, by a try that was cut off.
    """

    def __init__(self, usd_left: float | None = None, spent: float = 0.0) -> None:
        self.usd_left, self.spent = usd_left, spent
        self._reserved: list[float] = []
        self._change = threading.Condition()

    @contextmanager
    def paying(self, worst: float) -> Iterator[Callable[[float], None]]:
        """Waits until the worst case fits; the caller reports the real price.

        Raises:
            BudgetReached: it does not fit, and nothing is under way that could cost less than was reserved for it.
        """
        with self._change:
            while self.usd_left is not None and self.spent + sum(self._reserved) + worst > self.usd_left:
                if not self._reserved:
                    raise BudgetReached(
                        f"the budget for paid answers is used up: {self.spent:.4f} dollars spent in this step, "
                        f"{self.usd_left:.4f} allowed, and the next answer may cost {worst:.4f}",
                        hint="raise `budget.usd` and run again: every answer that was paid for is kept",
                    )
                self._change.wait()
            self._reserved.append(worst)
        cost = 0.0

        def pay(price: float) -> None:
            nonlocal cost
            cost += price

        try:
            yield pay
        finally:
            with self._change:
                self._reserved.remove(worst)
                self.spent += cost
                self._change.notify_all()
