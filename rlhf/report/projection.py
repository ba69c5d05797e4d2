"""Texts as places in the plane, so that a page can show which rows are alike.

Each text becomes a vector: of a small embedding model that lies inside an installed package (wordllama, which knows
English best), or else of its character n-grams, which need no model and know every script. The plane is the one in
which the vectors differ most (principal components). Nothing is drawn by lot: the same texts give the same places, up
to the last bits of the linear algebra, which rounding takes off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curation.errors import UserError
from curation.models.embedding import OFFLINE

SIDE = 1000
"""Places are whole numbers from 0 to this, in both directions."""
READ = 1000
"""Characters of a text that count: what it is about shows early, and one long row must not cost as much as the rest."""
_BINS = 2048
_GRAMS = (3, 4)
_WIDE = 12
"""Directions that are followed at once; the first two are used. More of them settle sooner."""
_ROUNDS = 20


@dataclass(frozen=True)
class Plane:
    """Where each text lies."""

    places: list[tuple[int, int]]
    by: str
    """What the vectors are, for people."""


def place(texts: Sequence[str]) -> Plane:
    """A place for each text. Needs numpy alone; uses wordllama where it is installed."""
    short = [text[:READ] for text in texts]
    vectors = _wordllama(short)
    by = OFFLINE
    if vectors is None:
        vectors, by = ngrams(short), "character n-grams"
    return Plane(_scaled(principal(vectors)), by)


def _wordllama(texts: Sequence[str]) -> Any | None:
    """Embeddings by the model inside the package; None without it. Never downloads."""
    from curation.models.embedding import embedder

    try:
        return embedder()(texts)
    except (UserError, OSError, ValueError, ImportError):
        return None


def ngrams(texts: Sequence[str]) -> Any:
    """Hashed counts of character 3- and 4-grams, weighted by how rare they are, one unit vector a text (float32)."""
    import numpy as np

    counts = np.zeros((len(texts), _BINS), dtype=np.float32)
    for row, text in enumerate(texts):
        codes = np.frombuffer(f" {text.lower()} ".encode("utf-32-le", "replace"), dtype="<u4").astype(np.uint64)
        for n in _GRAMS:
            if len(codes) < n:
                continue
            key = np.full(len(codes) - n + 1, n, dtype=np.uint64)
            for i in range(n):
                key = key * np.uint64(0x9E3779B97F4A7C15) + codes[i : len(codes) - n + 1 + i]  # wraps around: a hash
            key ^= key >> np.uint64(29)
            bins = (key * np.uint64(0xBF58476D1CE4E5B9)) >> np.uint64(53)
            counts[row] += np.bincount(bins.astype(np.int64), minlength=_BINS)
    seen = (counts > 0).sum(axis=0)
    weighted = np.log1p(counts) * np.log((1 + len(texts)) / (1 + seen)).astype(np.float32)
    return weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-12)


def principal(vectors: Any) -> Any:
    """The two principal components of each row (n, 2), by subspace iteration; signs are fixed."""
    import numpy as np

    centred = np.asarray(vectors, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    n, dim = centred.shape
    start = np.cos(np.outer(np.arange(1, dim + 1), np.arange(1, min(_WIDE, dim) + 1)))  # any fixed full-rank start
    basis, _ = np.linalg.qr(start)
    for _ in range(_ROUNDS):
        basis, _ = np.linalg.qr(centred.T @ (centred @ basis))
    scores = centred @ basis
    _, _, turn = np.linalg.svd(scores, full_matrices=False)
    plane = (scores @ turn.T)[:, :2]
    if plane.shape[1] < 2:
        plane = np.hstack([plane, np.zeros((n, 2 - plane.shape[1]))])
    largest = np.abs(plane).argmax(axis=0)
    return plane * np.where(plane[largest, [0, 1]] < 0, -1.0, 1.0)


def _scaled(plane: Any) -> list[tuple[int, int]]:
    """Whole numbers from 0 to SIDE. The outermost hundredth may lie on the edge: one odd row squeezes nothing."""
    import numpy as np

    low, high = np.quantile(plane, 0.005, axis=0), np.quantile(plane, 0.995, axis=0)
    span = float((high - low).max())  # one scale for both directions: a distance is a distance
    part = 0.5 + (plane - (low + high) / 2) / (span if span > 1e-9 else 1.0)
    whole = np.rint(np.clip(part, 0.0, 1.0) * SIDE).astype(int)
    return [(int(x), int(y)) for x, y in whole]


def landmarks(places: Sequence[tuple[int, int]], most: int) -> list[int]:
    """Indices of at most so many points that stand for the regions of a map: the middle ones of k-means clusters.

    Starts from the point nearest to the middle, then always the one farthest from all before (Gonzalez 1985).
    """
    import numpy as np

    points = np.array(places, dtype=np.float64)
    if len(points) == 0 or most < 1:
        return []
    centres = [points[((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin()]]
    for _ in range(min(most, len(points)) - 1):
        gap = np.min([((points - c) ** 2).sum(axis=1) for c in centres], axis=0)
        if gap.max() == 0:
            break
        centres.append(points[gap.argmax()])
    middle = np.array(centres)
    for _ in range(20):
        of = ((points[:, None] - middle[None]) ** 2).sum(axis=2).argmin(axis=1)
        middle = np.array([points[of == k].mean(axis=0) if (of == k).any() else middle[k] for k in range(len(middle))])
    nearest = ((points[:, None] - middle[None]) ** 2).sum(axis=2)
    return sorted({int(i) for i in nearest.argmin(axis=0)})
