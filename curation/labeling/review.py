"""Is a chat good enough to learn from? It is accepted, dropped for a reason, or its last answer is put right.

A verdict is `{"action": "accept"}`, `{"action": "drop", "reason": WORD}` or `{"action": "edit", "text": TEXT}`. The
list of reasons is no part of what is asked: a drop stays a drop when the list grows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from curation.labeling.of_chat import OfChat
from curation.labeling.question import SKIP, Misread, Shown, Verdict, label
from curation.labeling.showing import restored

ACTIONS = ("accept", "edit", "drop")
REASONS: tuple[str, ...] = ("wrong", "unclear", "off_topic", "harmful", "bad_language")
NO_REASON = "no_reason"
"""Of a drop that names none."""
ACTION, REASON, EDITED = "action", "reason", "edited"
HOW = "write accept, edit, drop or skip under `verdict`"


@dataclass(frozen=True)
class Review(OfChat):
    """Accept, drop or edit the last answer of a chat."""

    reasons: tuple[str, ...] = REASONS

    name: ClassVar[str] = "review"
    letter: ClassVar[str] = "v"
    asked: ClassVar[str] = "review"

    @property
    def title(self) -> str:
        return "Is the last answer good enough to learn from?"

    def board(self) -> tuple[str, ...]:
        return self.reasons

    @property
    def filled(self) -> tuple[str, ...]:
        return ("verdict", REASON, EDITED)

    def parse(self, shown: Shown, cells: Mapping[str, str]) -> Verdict | None:
        action, reason, edited = (cells[name] for name in self.filled)
        if not action:
            if edited or reason:
                raise Misread(f"there is something under `{EDITED if edited else REASON}` and no verdict; {HOW}")
            return None
        if action.lower() == SKIP:
            return SKIP
        if action.lower() not in ACTIONS:
            raise Misread(f"{action[:40]!r} is no verdict; {HOW}")
        return self._verdict(shown, action.lower(), reason, restored(edited))

    @property
    def questions(self) -> tuple[Mapping[str, Any], ...]:
        actions = [("accept", "accept"), ("edit", "accept as edited below"), ("drop", "drop")]
        reasons = [(word, word.replace("_", " ")) for word in self.reasons]
        text = {"type": "text", "use_markdown": False}
        edited = {"name": EDITED, "title": "The answer, to put right", "required": False, "settings": text}
        why = (label(REASON, "Why drop it?", reasons, required=False),) if len(reasons) > 1 else ()
        return (label(ACTION, self.title, actions), *why, edited)

    def read(self, shown: Shown, values: Mapping[str, Any]) -> Verdict | None:
        action = values.get(ACTION)
        if action not in ACTIONS:
            return None
        return self._verdict(shown, action, str(values.get(REASON) or ""), str(values.get(EDITED) or ""))

    def prefilled(self, shown: Shown) -> Mapping[str, Any]:
        """The answer as it is, to be worked on; it says nothing about what to do with it."""
        content = shown.answers[0].content
        return {EDITED: content} if content.strip() else {}

    def suggestion(self, shown: Shown, verdict: Verdict) -> Mapping[str, Any]:
        return {ACTION: verdict["action"]} if isinstance(verdict, Mapping) else {}

    def _verdict(self, shown: Shown, action: str, reason: str, edited: str) -> Verdict:
        if action == "drop":
            only = self.reasons[0] if len(self.reasons) == 1 else NO_REASON
            return {"action": "drop", "reason": re.sub(r"[^a-z0-9]+", "_", reason.lower()).strip("_") or only}
        changed = bool(edited.strip()) and _bare(edited) != _bare(shown.answers[0].content)
        if changed:  # words that somebody wrote are not thrown away, whatever was ticked
            return {"action": "edit", "text": edited.strip()}
        if action == "edit" and not edited.strip():
            raise Misread(f"the verdict is edit, and there is no text under `{EDITED}`; write it, or drop the row")
        return {"action": "accept"}

    def line(self, shown: Shown) -> dict[str, Any]:
        return {**super().line(shown), "reasons": list(self.reasons)}

    @classmethod
    def of_line(cls, line: Mapping[str, Any]) -> Review:
        return cls(tuple(line["reasons"]))


def _bare(text: str) -> str:
    """Forms and editors change white space."""
    return " ".join(text.split())
