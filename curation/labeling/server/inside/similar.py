"""The records whose vectors lie closest to one, all of them compared: tens of thousands take milliseconds."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np


def nearest(
    rows: Sequence[tuple[str, str]], vector: Sequence[float], count: int, threshold: float | None, least: bool
) -> list[tuple[str, float]]:
    """(record, score) of the best, as Elasticsearch scores: (1 + cosine) / 2.

    Args:
        rows: (record, its vector in JSON).
        least: The least similar instead; their score is that of the opposite vector.
    """
    if not rows:
        return []
    matrix = np.asarray([json.loads(text) for _, text in rows], dtype=np.float32)
    wanted = np.asarray(vector, dtype=np.float32) * (-1 if least else 1)
    lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(wanted)
    scores = (1 + matrix @ wanted / np.maximum(lengths, np.finfo(np.float32).tiny)) / 2
    best = np.argsort(-scores, kind="stable")[:count]
    return [(rows[i][0], float(scores[i])) for i in best if threshold is None or scores[i] >= threshold]
