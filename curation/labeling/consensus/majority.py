"""The verdict with more votes than any other, else a tie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from curation.labeling.consensus.ranks import Ranks, check, dense


def majority(answers: Mapping[str, Ranks]) -> Ranks:
    """What most people say of two answers; a tie is a verdict of its own.

    Raises:
        ValueError: these are rankings of more than two. Of those hardly two are ever the same, and majorities over
            pairs may go in circles: `ranked_pairs` is made for that.
    """
    if (size := check(answers)) > 2:
        raise ValueError(f"a majority is for two answers, and these are {size}")
    votes = Counter(map(dense, answers.values())).most_common(2)
    alone = len(votes) == 1 or votes[0][1] > votes[1][1]
    return votes[0][0] if alone else (1,) * size
