"""The log of answers in memory, as tests of labeling share it."""

from __future__ import annotations

import json
from typing import Any


class Log:
    """Drops a line that is there already and keeps only what JSON can say, as the one on the disk does."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def append(self, answers: list[dict[str, Any]]) -> int:
        plain = [json.loads(json.dumps(a)) for a in answers]
        new = [a for a in plain if a not in self.lines]
        self.lines += new
        return len(new)

    def read(self, question: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["question"] == question]
