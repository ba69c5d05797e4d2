"""Whether a model was trained on what it is tested on: the same prompt, wherever the row came from.

A model has seen a prompt when a training row holds it and goes on after it: each assistant turn of a chat counts, and
the prompt of each pair. Two texts are the same when their ids are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.conversation import Candidates, Conversation, Message, Preference, digest, framed

_ROWS_AT_ONCE = 10_000


def prompt_id(prompt: Sequence[Message]) -> str:
    """What a prompt is known by, whichever kind of row holds it."""
    return digest(framed(prompt))


def prompts_of(row: Conversation | Candidates | Preference) -> list[str]:
    """The ids of all prompts that training on the row teaches an answer to."""
    if isinstance(row, Conversation):
        return [prompt_id(row.messages[:i]) for i, m in enumerate(row.messages) if m.role == "assistant"]
    return [prompt_id(prompt) for prompt in _asked(row)]


def _asked(row: Any) -> Sequence[Sequence[Message]]:
    """The prompt of a row; those of both sides where a pair shares none."""
    return row.prompts if isinstance(row, Preference) else (row.prompt,)


def group_of(pair: Preference) -> str:
    """What a pair is drawn with when prompts are drawn anew: its prompt, or both of its prompts."""
    return " ".join(sorted(map(prompt_id, pair.prompts)))


@dataclass(frozen=True)
class Seen:
    """What some models were trained on."""

    prompts: frozenset[str] = frozenset()

    @classmethod
    def in_sets(cls, sets: Iterable[tuple[Path, str | None]]) -> Seen:
        """What the training parts of these data sets hold. A part of None: `train`, or all of a set without parts."""
        from curation import table
        from curation.frame import to_rows

        found: set[str] = set()
        for folder, part in sets:
            taken = part or ("train" if "train" in table.parts(folder) else None)
            for place in table.slices(folder, _ROWS_AT_ONCE):
                for row in to_rows(table.read_slice(*place)):
                    if taken is None or row.split == taken:
                        found.update(prompts_of(row))
        return cls(frozenset(found))

    def unseen(self, rows: Sequence[Any]) -> list[Any]:
        """The rows that no model was trained on the prompt of. Of a chat, the last answer's prompt counts."""
        return [row for row in rows if not any(prompt_id(prompt) in self.prompts for prompt in _asked(row))]
