"""Models of annotators against the examples of those who made them, and on votes whose truth is known."""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from anaesthetists import PATIENTS

from curation.labeling.consensus import Ranks, Said, agreed
from curation.labeling.consensus.bradley_terry import Duel, bradley_terry
from curation.labeling.consensus.dawid_skene import dawid_skene


def test_dawid_and_skene_s_anaesthetists() -> None:
    """The marginal probabilities and the first observer's error rates of their table 2, and patients of table 4."""
    counts = np.zeros((45, 5, 4))
    for patient, row in enumerate(PATIENTS):
        for observer, looks in enumerate(row):
            for look in looks:
                counts[patient, observer, int(look) - 1] += 1
    model = dawid_skene(counts)
    assert model.prevalence.round(2).tolist() == [0.40, 0.42, 0.11, 0.07]
    assert model.said[0].round(2).tolist() == [
        [0.89, 0.11, 0, 0],
        [0.07, 0.88, 0.05, 0],
        [0, 0.34, 0.66, 0],
        [0, 0, 0.56, 0.44],
    ]
    # By count the second patient is a 3; the two who said 4 are those who would not say so of a 3.
    assert [int(truth.argmax()) + 1 for truth in model.truth[:4]] == [1, 4, 2, 2]


def test_an_item_without_votes_is_refused() -> None:
    with pytest.raises(ValueError, match="no likely value"):
        dawid_skene(np.zeros((1, 2, 3)))


BASEBALL = """
0 7 9 7 7 9 11
6 0 7 5 11 9 9
4 6 0 7 7 8 12
6 8 6 0 6 7 10
6 2 6 7 0 7 12
4 4 5 6 6 0 6
2 4 1 3 1 7 0
"""
"""Wins of the American League's east in 1987: Milwaukee, Detroit, Toronto, New York, Boston, Cleveland, Baltimore."""


def test_agresti_s_baseball() -> None:
    """Abilities in `Categorical Data Analysis`, table 10.11, Baltimore 0."""
    wins = [list(map(float, line.split())) for line in BASEBALL.strip().split("\n")]
    duels = [Duel(0, i, j, n) for i, row in enumerate(wins) for j, n in enumerate(row) if i != j]
    fit = bradley_terry(duels, 7, 1, opponent=0, prior=None)
    abilities = fit.strengths - fit.strengths[-1]
    assert abilities.round(2).tolist() == [1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0.0]
    assert fit.reliability.tolist() == [1.0]


def test_two_answers_and_one_word_by_hand() -> None:
    """By symmetry the strengths are s and -s; the best s of a fine grid, each duelling with the opponent both ways."""
    fit = bradley_terry([Duel(0, 0, 1)], 2, 1, prior=None)
    s = float(fit.strengths[0])
    grid = np.linspace(0, 2, 200_001)
    posterior = -np.log1p(np.exp(-2 * grid)) + 2 * 0.5 * (-np.log1p(np.exp(-grid)) - np.log1p(np.exp(grid)))
    assert s == pytest.approx(grid[posterior.argmax()], abs=1e-4)
    assert fit.strengths[1] == pytest.approx(-s, abs=1e-6)


RIGHT = {"careful": 0.9, "steady": 0.9, "contrary": 0.05, "coin": 0.5, "dime": 0.5}
"""How often each says what is true: two who are careful, one who took the scale for its opposite, and two coins."""


def votes(truth: dict[str, Ranks]) -> Said:
    rng = np.random.default_rng(7)
    return {
        item: {who: ranks if rng.random() < p else (ranks[1], ranks[0]) for who, p in RIGHT.items()}
        for item, ranks in truth.items()
    }


def share(found: dict[str, Ranks], truth: dict[str, Ranks]) -> float:
    return sum(found[item] == ranks for item, ranks in truth.items()) / len(truth)


def test_dawid_and_skene_s_model_finds_whom_to_believe() -> None:
    rng = np.random.default_rng(3)
    truth: dict[str, Ranks] = {f"item {i}": (1, 2) if rng.random() < 0.5 else (2, 1) for i in range(80)}
    said = votes(truth)
    found, reliability = agreed(said, "dawid_skene")
    by_count = share(agreed(said, "majority")[0], truth)
    assert share(found, truth) > max(0.93, by_count + 0.1)  # three who know: 0.9, 0.9, and 0.95 turned round
    for who, right in RIGHT.items():
        assert reliability[who] == pytest.approx(right, abs=0.15)


def test_strengths_find_whom_to_believe() -> None:
    """Twelve answers to one prompt, in a true order, every two of them shown to all five."""
    names = {f"{a} {b}": (str(a), str(b)) for a, b in combinations(range(12), 2)}
    truth: dict[str, Ranks] = dict.fromkeys(names, (1, 2))
    said = votes(truth)
    found, reliability = agreed(said, "bradley_terry", names)
    assert share(found, truth) > max(0.93, share(agreed(said, "majority")[0], truth) + 0.1)
    assert reliability["contrary"] < 0.25 < 0.35 < min(reliability["coin"], reliability["dime"])
    assert max(reliability["coin"], reliability["dime"]) < 0.7 < min(reliability["careful"], reliability["steady"])


@pytest.mark.parametrize("method", ["dawid_skene", "bradley_terry"])
def test_a_lone_voice_is_believed_and_a_draw_is_a_tie(method: str) -> None:
    said: Said = {"one": {"a": (2, 1)}, "two": {"a": (1, 2)}, "even": {"a": (1, 1)}}
    assert agreed(said, method)[0] == {"one": (2, 1), "two": (1, 2), "even": (1, 1)}  # type: ignore[arg-type]
    draw: Said = {"draw": {"a": (1, 2), "b": (2, 1)}}
    assert agreed(draw, method)[0] == {"draw": (1, 1)}  # type: ignore[arg-type]


def test_strengths_learn_across_items_that_share_answers() -> None:
    """A over B and B over C twice; one slip says C over A, which strengths know better than."""
    said: Said = {"ab": {"p": (1, 2), "q": (1, 2)}, "bc": {"p": (1, 2), "q": (1, 2)}, "ac": {"p": (2, 1)}}
    names = {"ab": ("A", "B"), "bc": ("B", "C"), "ac": ("A", "C")}
    assert agreed(said, "bradley_terry", names)[0]["ac"] == (1, 2)
    assert agreed(said, "bradley_terry")[0]["ac"] == (2, 1)


def test_rankings_come_out_as_rankings() -> None:
    said: Said = {"item": {"a": (1, 2, 3), "b": (1, 3, 2), "c": (1, 2, 3)}}
    assert agreed(said, "bradley_terry")[0] == {"item": (1, 2, 3)}
    with pytest.raises(ValueError, match="two answers"):
        agreed(said, "dawid_skene")
