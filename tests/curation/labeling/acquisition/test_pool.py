"""Points that answers become: the geometry of their differences, whatever the features' number and scale."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from curation.labeling.acquisition.pool import Record, Verdicts, points_of


def some(answers: int, states: int, each: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(answers, states)) * rng.uniform(0.1, 50, states), [str(k // each) for k in range(answers)]


def differences(points: np.ndarray, prompts: list[str]) -> np.ndarray:
    pairs = [(a, b) for a, b in combinations(range(len(prompts)), 2) if prompts[a] == prompts[b]]
    return np.array([points[a] - points[b] for a, b in pairs])


@pytest.mark.parametrize(("answers", "states", "each"), [(60, 10, 2), (60, 200, 3), (20, 64, 4)])
def test_a_difference_is_as_long_as_there_are_features(answers: int, states: int, each: int) -> None:
    states_, prompts = some(answers, states, each)
    points = points_of(states_, prompts, width=8)
    assert points.shape == (answers, 8)
    found = differences(points, prompts)
    assert (found**2).sum(axis=1).mean() == pytest.approx(8)


def test_with_room_for_all_directions_nothing_but_the_scale_of_the_states_is_lost() -> None:
    states, prompts = some(60, 10, 3)
    apart = states - np.repeat(states.reshape(20, 3, 10).mean(axis=1), 3, axis=0)
    wanted = differences(states / np.sqrt((apart**2).mean(axis=0)), prompts)
    found = differences(points_of(states, prompts, width=99), prompts)
    assert found @ found.T == pytest.approx(
        wanted @ wanted.T * np.mean((found**2).sum(1)) / np.mean((wanted**2).sum(1))
    )


def test_the_directions_are_those_of_the_singular_values() -> None:
    states, prompts = some(40, 100, 2)  # more states than answers
    points = points_of(states, prompts, width=5)
    apart = states - np.repeat(states.reshape(20, 2, 100).mean(axis=1), 2, axis=0)
    scaled = apart / np.sqrt((apart**2).mean(axis=0))
    values = np.linalg.svd(scaled, compute_uv=False)[:5]
    spread = np.linalg.svd(differences(points, prompts), compute_uv=False)
    assert spread / spread[0] == pytest.approx(values / values[0])


def test_what_is_the_same_in_all_answers_to_a_prompt_says_nothing() -> None:
    states, prompts = some(40, 10, 2)
    noise = np.repeat(np.random.default_rng(1).normal(size=(20, 1)) * 1e3, 2, axis=0)
    with_topic = np.hstack([states, noise])
    assert differences(points_of(with_topic, prompts), prompts) == pytest.approx(
        differences(points_of(states, prompts), prompts), abs=1e-6
    )
    assert not points_of(np.ones((4, 3)), ["a", "a", "b", "b"]).any()


def test_a_ranking_is_all_its_pairs_and_verdicts_are_differences() -> None:
    assert Record("r", "p", (4, 7, 9)).pairs == [(4, 7), (4, 9), (7, 9)]
    said = Verdicts()
    said.add(2, 0, 1.0, "p")
    said.add(1, 2, 0.5, "p")
    assert said.differences(np.diag([1.0, 2.0, 3.0])).tolist() == [[-1, 0, 3], [0, 2, -3]]
    assert said.results().tolist() == [1.0, 0.5] and len(said) == 2
    assert Verdicts().differences(np.eye(3)).shape == (0, 3)
