"""Which runs of words tell of which item of a benchmark.

A **probe** is one text of an item: a turn of what is asked. How it is looked for depends on how many words it has:

- `n` or more: any `n` of its words in a row, anywhere in a message;
- fewer, down to `short`: three quarters of its runs of `short` words, in one message, so that of two questions that
  begin alike one does not give away the other;
- fewer than that: all of them in a row; of four or fewer, a message that says nothing else. Further turns that short
  ("Explain your answer.") are everybody's and not looked for.

Runs that more than two items of one benchmark share are how it words its tasks and tell of no item. Where a message
holds most of a probe's own runs of five words it is nearly found, whatever was edited between them; probes with fewer
than eight such runs are too short for that.

Where words are not set apart, letters are counted: two of Chinese or Japanese for a word, four of Thai, Lao, Khmer or
Burmese.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from curation.operators.leaks import How, Index, Table, different
from curation.operators.shingles import tokens
from curation.operators.windows import Windows, plain

if TYPE_CHECKING:
    import polars as pl

    from curation.operators.benchmarks import Item
    from curation.operators.shingles import U64, Ints

NEAR_WORDS = 5
"""Words of the runs that near matches are counted in."""
NEAR_RUNS = 8
"""A probe with fewer such runs of its own is not looked for by them: too little would decide."""
WHOLE_WORDS = 4
"""A probe of so many words or fewer is found as a whole message only."""
SHARED_BY = 2
"""Runs in more items of a benchmark than this belong to none of them."""
_ITEMS_AT_ONCE = 4096
_NEVER = 1 << 62


def index(sets: Iterable[tuple[str, Iterable[Item]]], n: int, short: int, near: float | None) -> Index:
    """What to look for.

    Args:
        sets: (name, items) of each benchmark.
        n: Words of a run.
        short: Words of a run of short probes.
        near: Share of a probe's runs that makes a near match; None: near matches are not looked for.
    """
    import numpy as np

    parts: dict[tuple[How, int], list[tuple[U64, Ints]]] = {}
    needs: dict[How, list[Ints]] = {"most": [], "near": []}
    owners, names = [np.zeros(0, dtype=np.int64)], list[tuple[str, str]]()
    first = 0
    for name, items in sets:
        one = _Set(n, short, near)
        indices = one.take(items)
        for key, numbers, probes in one.runs():
            parts.setdefault(key, []).append((numbers, probes + first))
        for how in needs:
            needs[how].append(one.needs[how])
        owners.append(one.owners + len(names))
        names += [(name, index) for index in indices]
        first += len(one.owners)
    tables = {}
    for key in sorted(parts):
        pairs = parts.pop(key)
        tables[key] = Table(np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs]))
    return Index(tables, {how: np.concatenate(parts) for how, parts in needs.items()}, np.concatenate(owners), names)


class _Set:
    """One benchmark's probes.

    Attributes:
        owners: For each probe, the number of its item.
        needs: For `most` and `near`: for each probe, how many of its runs are enough; complete after `runs`.
    """

    def __init__(self, n: int, short: int, near: float | None) -> None:
        import numpy as np

        self.n, self.short, self.near = n, short, near
        self.owners = np.zeros(0, dtype=np.int64)
        self.needs: dict[How, Ints] = {}
        self._found: dict[tuple[How, int], list[tuple[U64, Ints]]] = {}
        self._said: set[tuple[int, int]] = set()

    def take(self, items: Iterable[Item]) -> list[str]:
        """Takes all items; returns their indices."""
        import numpy as np

        stream, indices = iter(items), list[str]()
        while some := list(islice(stream, _ITEMS_AT_ONCE)):
            counts = [len(item.texts) for item in some]
            numbers = np.arange(len(indices), len(indices) + len(some))
            turns = np.concatenate([np.arange(count) for count in counts])
            self._take([text for item in some for text in item.texts], np.repeat(numbers, counts), turns)
            indices += [item.index for item in some]
        return indices

    def _take(self, texts: list[str], owners: Ints, turns: Ints) -> None:
        import numpy as np
        import polars as pl

        pieces = plain(pl.Series(texts, dtype=pl.String))
        at = 0
        for some in tokens(pieces):
            count = len(some.edges) - 1
            sizes, first = np.diff(some.edges), len(self.owners)
            letters = _letters_a_word(pieces[at : at + count], sizes)
            windows = Windows(some)
            new = self._new(sizes, windows.whole())
            opens = turns[at : at + count] == 0
            for key, chosen in self._ways(sizes, letters, opens):
                numbers, inside = windows.of(key[1])
                piece = np.searchsorted(some.edges, np.arange(len(numbers)), side="right") - 1
                own = inside & (chosen & new)[piece]
                if own.any():
                    self._found.setdefault(key, []).append(different(numbers[own], first + piece[own]))
            self.owners = np.concatenate([self.owners, owners[at : at + count]])
            at += count

    def _ways(self, sizes: Ints, letters: Ints, opens: Any) -> Iterator[tuple[tuple[How, int], Any]]:
        """(how, length of the runs), and which probes are looked for by them."""
        import numpy as np

        n, short, whole = self.n * letters, self.short * letters, np.minimum(WHOLE_WORDS, self.short - 1) * letters
        ways: list[tuple[How, Any]] = [
            ("run", np.select([sizes >= n, (sizes < short) & (sizes > whole) & opens], [n, sizes], 0)),
            ("most", np.where((sizes < n) & (sizes >= short), short, 0)),
            ("whole", np.where((sizes <= whole) & opens, sizes, 0)),
        ]
        if self.near is not None:
            ways.append(("near", np.where(sizes >= short, NEAR_WORDS * letters, 0)))
        for how, wanted in ways:
            for size in np.unique(wanted[wanted > 0]).tolist():
                yield (how, size), wanted == size

    def _new(self, sizes: Ints, numbers: U64) -> Any:
        """Which texts say what none before them does; equal items are one."""
        import numpy as np

        new = np.zeros(len(sizes), dtype=bool)
        for i, said in enumerate(zip(sizes.tolist(), numbers.tolist(), strict=True)):
            new[i] = said not in self._said
            self._said.add(said)
        return new

    def runs(self) -> Iterator[tuple[tuple[How, int], U64, Ints]]:
        """(how, length), and the runs that tell of an item, each with its probe."""
        import numpy as np

        probes_ = len(self.owners)
        self.needs = {"most": np.full(probes_, _NEVER), "near": np.full(probes_, _NEVER)}
        for key, pairs in self._found.items():
            numbers, probes = (np.concatenate(column) for column in zip(*pairs, strict=True))
            own = self._tells(numbers, probes)
            counts = np.bincount(probes[own], minlength=probes_)
            if key[0] == "near":
                enough = counts * NEAR_WORDS >= NEAR_RUNS * key[1]
                own &= enough[probes]
                self.needs["near"][enough] = np.ceil((self.near or 1) * counts[enough] - 1e-9).astype(np.int64)
            else:  # where a probe shares all of its runs, all count
                own |= (counts == 0)[probes]
            if key[0] == "most":
                counts = np.bincount(probes[own], minlength=probes_)
                self.needs["most"][counts > 0] = np.ceil(0.75 * counts[counts > 0]).astype(np.int64)
            yield key, numbers[own], probes[own]

    def _tells(self, numbers: U64, probes: Ints) -> Any:
        """Which runs are in few items."""
        import numpy as np

        _, run = np.unique(numbers, return_inverse=True)
        runs, _ = different(run, self.owners[probes])
        return np.bincount(runs, minlength=1)[run] <= SHARED_BY


def _letters_a_word(texts: pl.Series, sizes: Ints) -> Ints:
    """For each text, how many of its tokens stand for a word."""
    import numpy as np

    east = texts.str.count_matches(r"[\p{Han}\p{Hiragana}\p{Katakana}]").to_numpy()
    south = texts.str.count_matches(r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]").to_numpy()
    return np.select([2 * south > sizes, 2 * east > sizes], [4, 2], 1).astype(np.int64)
