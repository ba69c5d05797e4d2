"""Removes near duplicates: rows whose texts share most of their short runs of words.

Likeness is the Jaccard similarity of the sets of shingles (`curation.operators.shingles`): of all runs of five words
that are in either text, the share that is in both. It is read from sketches of 104 bytes a row
(`curation.operators.minhash`), the only thing that is kept of a text; every candidate pair is compared by all of its
sketch before a row is dropped. Rows that are alike, directly or through others, are one group, and one row of it stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from curation.operator import Decision, Selector
from curation.operators.against import Others, chats

if TYPE_CHECKING:
    import polars as pl


class NearDedup(Selector):
    """Keeps one of several rows that say nearly the same. Reasons: `near_duplicate`, `near_duplicate_elsewhere`.

    White space, punctuation and case count for nothing; nor do roles. Rows with another good/bad label are not
    compared, nor is the chosen answer of a pair with the rejected one of another. The row that stays is named beside
    each row that goes.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"conversations", "candidates", "preferences"})
    op: Literal["near_dedup"] = "near_dedup"
    threshold: float = Field(0.7, ge=0.5, le=1)
    """How much of their shingles two rows must share (Jaccard similarity) to be near duplicates. Estimated, with a
    standard error of 0.03 at most; rows that share all are found without error."""
    shingle: int = Field(5, ge=1, le=20)
    """Words of one shingle; in scripts without spaces between words (Chinese, Japanese, Thai ...) letters. Fewer make
    texts of common words more alike."""
    prefer: str | None = None
    """Name of a score: of a group, the row with the highest stays; rows without it come last. None, and among equals:
    the row with the smallest id, then origin."""
    against: Others = Field(default_factory=list)
    """Steps whose rows count as seen already: a row that is near to one of theirs goes, whatever else is like it. Where
    `on` is set, it says what is compared there too."""

    def reads(self) -> frozenset[str]:
        return frozenset({self.prefer} if self.prefer else ())

    def prepare(self) -> None:
        import numpy as np

        # The allocator of Linux gives what is freed back at once, and the kernel clears each page anew when it is asked
        # for again, until something as large as this was freed. Never touched, it takes no memory.
        np.empty(1 << 23, dtype=np.uint8)

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        from curation.frame import SCORES
        from curation.operators.minhash import WORDS

        made = pl.Series("sketch", self._sketches(frame), dtype=pl.Array(pl.UInt64, WORDS)).to_frame()
        return made.with_columns(frame[SCORES + self.prefer]) if self.prefer else made

    def _sketches(self, frame: pl.DataFrame) -> Any:
        import numpy as np

        from curation.operators.minhash import WORDS, sketches

        # Some rows after the others: shingles of all take many times the memory of the text.
        parts = [sketches(*shingled(some, self.shingle)) for some in frame.iter_slices(_ROWS_AT_ONCE)]
        return np.concatenate([np.zeros((0, WORDS), dtype=np.uint64), *parts])

    def decide(self, table: pl.DataFrame) -> Decision:
        import numpy as np
        import polars as pl

        from curation.operators.minhash import Sketches, alike, stand_ins

        names, pieces = self._others()
        own = len(table)
        sets = Sketches([*(array(chunk) for chunk in table["sketch"].get_chunks()), *pieces])
        ones, place = stand_ins(sets)
        other = np.zeros(len(ones), dtype=bool)
        other[place[own:][place[own:] >= 0]] = True
        edges = alike(sets, ones, self.threshold, other if own < len(sets) else None)
        # For each different sketch, the first of the others that is near to it.
        there = np.full(len(ones), len(names), dtype=np.int64)
        if own < len(sets):
            some = np.flatnonzero(place[own:] >= 0)
            np.minimum.at(there, place[own:][some], some)
            direct = there.copy()
            for a, b in (edges.T, edges.T[::-1]):
                np.minimum.at(there, a, direct[b])
        left = there == len(names)
        label = _components(edges[left[edges].all(axis=1)], len(ones))
        place = place[:own]
        first, evidence = self._stay(table, np.where(place >= 0, label[place], -1), left[place] & (place >= 0))
        found = np.where(place >= 0, there[place], len(names))
        elsewhere = found < len(names)
        reason = pl.Series("reason", [None] * own, dtype=pl.String)
        reason = reason.scatter(first, ["near_duplicate"] * len(first))
        reason = reason.scatter(np.flatnonzero(elsewhere), ["near_duplicate_elsewhere"] * int(elsewhere.sum()))
        said = pl.Series("evidence", [None] * own, dtype=pl.String).scatter(first, evidence)
        if elsewhere.any():
            said = said.scatter(np.flatnonzero(elsewhere), names.gather(found[elsewhere]))
        return Decision(reason, evidence=said)

    def _stay(self, table: pl.DataFrame, label: Any, compared: Any) -> tuple[Any, pl.Series]:
        """(places of the rows that go, ids of the rows that stay in their stead)."""
        import numpy as np
        import polars as pl

        from curation.frame import SCORES

        sizes = np.bincount(label[compared], minlength=int(label.max(initial=0)) + 1)
        places = np.flatnonzero(compared & (sizes[label] > 1))
        columns = ["id", "origin", *([SCORES + self.prefer] if self.prefer else [])]
        groups = table.select(columns)[places].with_columns(place=places, group=label[places])
        if self.prefer:
            groups = groups.with_columns(pl.col(SCORES + self.prefer).neg().fill_null(float("inf")).alias("low"))
        order = ["group", *(["low"] if self.prefer else []), "id", "origin", "place"]
        groups = groups.sort(order).with_columns(
            pl.col("id").first().over("group").alias("stays"),
            (pl.col("place").cum_count().over("group") > 1).alias("goes"),
        )
        gone = groups.filter("goes")
        return gone["place"].to_numpy(), gone["stays"]

    def _others(self) -> tuple[pl.Series, list[Any]]:
        """(ids, sketches) of the rows of the other sets, sorted by id."""
        import numpy as np
        import polars as pl

        frames = [frame for ref in self.against for frame in chats(ref, self.on)]
        if not frames:
            return pl.Series("id", [], dtype=pl.String), []
        ids = pl.concat([frame["id"] for frame in frames])
        made = np.concatenate([self._sketches(frame) for frame in frames])
        order = ids.arg_sort()
        return ids.gather(order), [made[order.to_numpy()]]


def near(rows: pl.DataFrame, others: pl.DataFrame, *, threshold: float = 0.7, shingle: int = 5) -> pl.DataFrame:
    """Which rows are near duplicates of rows of another table of the same kind, by the measure of `near_dedup`.

    Returns:
        `id` of a row and `near`, the smallest id among the others that it is near to; each row once, in order of `id`.
    """
    import numpy as np
    import polars as pl

    from curation.operators.minhash import Sketches, alike, stand_ins

    compare = NearDedup(threshold=threshold, shingle=shingle)
    sets = Sketches([compare._sketches(rows), compare._sketches(others)])
    ones, place = stand_ins(sets)
    own, theirs = place[: len(rows)], place[len(rows) :]
    pairs = alike(sets, ones, threshold)
    places = np.arange(len(ones))
    edges = np.concatenate([pairs, pairs[:, ::-1], np.stack([places, places], axis=1)])
    left = pl.DataFrame({"id": rows["id"], "place": own}).filter(pl.col("place") >= 0)
    right = pl.DataFrame({"near": others["id"], "to": theirs}).filter(pl.col("to") >= 0)
    between = pl.DataFrame({"place": edges[:, 0].astype(np.int64), "to": edges[:, 1].astype(np.int64)})
    found = left.join(between, on="place").join(right, on="to")
    return found.group_by("id").agg(pl.col("near").min()).sort("id")


_ROWS_AT_ONCE = 512


def shingled(frame: pl.DataFrame, size: int) -> Any:
    """The shingles of each row of any kind: of all its messages, of each by itself."""
    import numpy as np
    import polars as pl

    from curation.operators.shingles import shingles

    columns = [c for c in ("messages", "prompt", "answers", "chosen", "rejected") if c in frame.columns]
    parts = []
    for column in columns:
        texts = frame.select(pl.col(column).list.eval(pl.element().struct.field("content")))[column]
        numbers, edges = shingles(texts, size)
        if column in _SALTS:
            numbers ^= np.uint64(_SALTS[column])
        parts.append((numbers, edges))
    if "label" in frame.columns and frame["label"].null_count() < len(frame):
        salts = frame.select(pl.col("label").replace_strict({True: 1, False: 2}, default=0, return_dtype=pl.UInt64))
        numbers, edges = parts[0]
        numbers ^= np.repeat(salts["label"].to_numpy() * np.uint64(_SALTS["chosen"]), np.diff(edges))
    return parts[0] if len(parts) == 1 else _beside(parts, len(frame))


_SALTS = {"chosen": 0x9FB21C651E98DF25, "rejected": 0xD6E8FEB86659FD93}
"""What is said in one place is not the same as what is said in the other."""


def _beside(parts: list[Any], rows: int) -> Any:
    """The shingles of several columns as those of one."""
    import numpy as np

    row = np.concatenate([np.repeat(np.arange(rows), np.diff(edges)) for _, edges in parts])
    order = np.argsort(row, kind="stable")
    counts = sum(np.diff(edges) for _, edges in parts)
    return np.concatenate([numbers for numbers, _ in parts])[order], np.concatenate([[0], np.cumsum(counts)])


def array(chunk: pl.Series) -> Any:
    """A piece of the column of sketches, where it lies."""
    from curation.operators.minhash import WORDS

    return chunk.reshape((-1,)).to_numpy().reshape(-1, WORDS)


def _components(edges: Any, size: int) -> Any:
    """The number of each node's connected component."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(edges), dtype=np.int8)
    graph = coo_array((ones, (edges[:, 0], edges[:, 1])), shape=(size, size))
    return connected_components(graph, directed=False)[1].astype(np.int64)
