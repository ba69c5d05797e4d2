"""ROUGE-L between short texts in any language, and the nearest of the many texts that are kept already.

ROUGE-L (Lin, 2004) looks at the longest common subsequence of two lists of words. With `l` its length, and `m` and `n`
the lengths of the lists, precision is l/n, recall l/m, and their harmonic mean is F = 2l / (m + n). The usual package
for it takes the ASCII letters and digits for all that words are made of, so that a Chinese text has no word at all and
`hòa` has two. Here words are those that the operators count, a character each in scripts that do not separate words;
the ASCII rule is there under the name of who used it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from curation.errors import UserError

Tokenize = Callable[[Sequence[str]], list[list[str]]]


def unicode_words(texts: Sequence[str]) -> list[list[str]]:
    """The words of each text by Unicode's rules, in lower case; equal words are equal however they were typed."""
    import polars as pl

    from curation.operators.text import WORD, composed
    from curation.operators.vietnamese import placed

    folded = placed(composed(pl.Series("text", texts, dtype=pl.String)), "old").str.to_lowercase()
    return folded.str.extract_all(WORD).to_list()


def ascii_words(texts: Sequence[str]) -> list[list[str]]:
    """Runs of the letters a to z and the digits, in lower case: every other character parts words, and is lost."""
    return [re.findall(r"[a-z0-9]+", text.lower()) for text in texts]


def rouge_l(a: Sequence[str], b: Sequence[str]) -> float:
    """F of two lists of words, between 0 and 1; 0 where one of them is empty."""
    from rapidfuzz.distance import LCSseq

    return 2 * LCSseq.similarity(a, b) / (len(a) + len(b)) if a and b else 0.0


class Pool:
    """Texts that are kept, as lists of words, and the one of them that is most like a new one."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._texts: list[str] = []

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, words: Sequence[str]) -> None:
        """Keeps one more."""
        self._texts.append(self._packed(words))

    def nearest(self, words: Sequence[str]) -> tuple[float, int]:
        """(F, place) of the text with the highest ROUGE-L, the first of several; (0, -1) where nothing is alike."""
        from rapidfuzz.distance import Indel, LCSseq
        from rapidfuzz.process import extractOne

        asked = self._packed(words)
        # 1 - (insertions and deletions) / (m + n) is 2l / (m + n): the F of ROUGE-L.
        found = extractOne(asked, self._texts, scorer=Indel.normalized_similarity, score_cutoff=1e-9) if asked else None
        if found is None:
            return 0.0, -1
        text, _, place = found
        return 2 * LCSseq.similarity(asked, text) / (len(asked) + len(text)), place

    def _packed(self, words: Sequence[str]) -> str:
        """One character a word: texts are what the kernel compares fastest."""
        numbers = [self._number.setdefault(word, len(self._number)) for word in words]
        if len(self._number) > _MOST_WORDS:
            raise UserError(
                f"the texts have more than {_MOST_WORDS:,} different words, and no more can be compared",
                hint="make fewer rows in one step, or in several with seeds of their own",
            )
        return "".join(map(chr, numbers))


_MOST_WORDS = 0x110000
"""As many as there are characters."""
