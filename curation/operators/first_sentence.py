"""Beside each answer that runs on, the same answer cut to its first sentence.

A person who wants short, finished answers would rather have that; pairs of the two teach a model to stop.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from curation.conversation import Answer, Candidates
from curation.operator import Mapper

_END = re.compile(r"""[.!?…]+["'”’»)\]*_]*(?=\s|$)|[。！？｡]+[」』）】”’]*""")
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st sr jr vs e.g i.e etc no fig approx dept inc ltd co u.s u.k z.b bzw ca bspw d.h usw nr".split()
)


def first_sentence(text: str, min_chars: int = 1) -> str | None:
    """The text up to the end of its first finished sentence; None when no sentence ends.

    A sentence ends on `.`, `!`, `?` or `…` before white space, or on the full-width marks of Chinese and Japanese. A
    full stop after a number that opens a line, a single letter or a usual abbreviation ends none. Sentences are taken
    together until they have `min_chars` characters.
    """
    for found in _END.finditer(text):
        if found.end() < min_chars:
            continue
        before = text[: found.start()]
        word = re.split(r"[\s(\[\"'“‘«]", before)[-1]
        if found[0].startswith(".") and len(found[0]) == 1:
            opens_line = not before[: len(before) - len(word)].rpartition("\n")[2].strip()
            if word.lower() in _ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word.isupper() and word != "I"):
                continue
            if word.isdigit() and opens_line:
                continue
        return text[: found.end()]
    return None


class FirstSentence(Mapper):
    """Adds, for each answer that goes on after its first sentence, that sentence as a further, finished answer.

    The answers that were there stay as they are and in front. Nothing is added twice.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"candidates"})
    op: Literal["first_sentence"] = "first_sentence"
    min_chars: int = Field(15, ge=1)
    """Fewest characters of the cut answer: one-word openings (`Sure!`) are taken together with what follows."""

    def map(self, row: Candidates) -> Sequence[Candidates]:
        texts = [a.content for a in row.answers]
        added: list[Answer] = []
        for answer in row.answers:
            text = answer.content.strip()
            cut = first_sentence(text, self.min_chars)
            if cut and cut != text and cut not in texts:
                texts.append(cut)
                added.append(Answer(cut, answer.policy, finished=True))
        return [row.with_(answers=(*row.answers, *added))] if added else [row]
