"""What a judge may not see: whether answers end, how long they are, how much they repeat themselves.

A rule that likes short answers cannot tell a good one from a useless one; these figures stand beside every win rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curation.conversation import Answer

_GROUP = 4


def repetition(words: Sequence[str], n: int = _GROUP) -> float:
    """Share of word groups of length n that came before in the text (seq-rep-n of Welleck et al., arXiv 1908.04319).

    0 for a text that is too short to repeat a group.
    """
    groups = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return 1 - len(set(groups)) / len(groups) if groups else 0.0


def figures(answers: Sequence[Answer]) -> dict[str, Any]:
    """Means over the answers of one policy."""
    found = words_of([a.content for a in answers])
    n = len(answers)
    return {
        "finished": sum(a.finished for a in answers) / n,
        "words": sum(map(len, found)) / n,
        "repetition": sum(map(repetition, found)) / n,
        "empty": sum(not a.content.strip() for a in answers) / n,
    }


def words_of(texts: Sequence[str]) -> list[list[str]]:
    """The words of each text, in small letters, by the rules that all operators count words by."""
    import polars as pl

    from curation.operators.text import WORD

    series = pl.Series("text", texts, dtype=pl.String).str.to_lowercase().str.extract_all(WORD)
    return [list(words) for words in series]
