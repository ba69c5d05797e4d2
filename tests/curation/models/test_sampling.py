"""Drawing tokens: the right distribution, by counts and by transformers' own filters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers.generation.logits_process import TopKLogitsWarper, TopPLogitsWarper

from curation.models.sampling import Sampling, choose, draw, uniforms


def frequencies(logits: torch.Tensor, how: Sampling, points: int = 20_000) -> torch.Tensor:
    """How often each token comes out when the random numbers run evenly through [0, 1)."""
    even = (torch.arange(points, dtype=torch.float64) + 0.5) / points
    chosen = choose(logits.expand(points, -1), how, even)
    return torch.bincount(chosen, minlength=logits.shape[-1]) / points


LOGITS = torch.tensor([1.0, 3.0, -2.0, 0.5, 2.5, 2.4999, -9.0, 1.7])


@pytest.mark.parametrize("how", [(0.7, 1.0, 0), (1.0, 0.8, 0), (1.3, 0.9, 5), (1.0, 1.0, 3), (1.0, 0.05, 0)])
def test_tokens_come_out_as_often_as_transformers_filters_say(how: tuple[float, float, int]) -> None:
    temperature, top_p, top_k = how
    scores = LOGITS[None] / temperature
    if top_k:
        scores = TopKLogitsWarper(top_k)(None, scores)
    if top_p < 1:
        scores = TopPLogitsWarper(top_p)(None, scores)
    found = frequencies(LOGITS[None], Sampling(temperature=temperature, top_p=top_p, top_k=top_k))
    torch.testing.assert_close(found, scores.softmax(-1)[0], atol=2e-4, rtol=0)


def test_a_nucleus_wider_than_the_first_look_is_found_whole() -> None:
    """2,000 tokens of equal probability, of which 90% are 1,800."""
    flat = torch.zeros(1, 2000)
    found = frequencies(flat, Sampling(top_p=0.9), points=18_000)
    assert 1800 <= int((found > 0).sum()) <= 1801


def test_the_inverse_of_the_cumulative_sum_by_hand() -> None:
    probs = torch.tensor([[0.25, 0.0, 0.5, 0.25]]).expand(6, -1)
    at = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, 0.9999999999999999], dtype=torch.float64)
    assert draw(probs, at).tolist() == [0, 0, 2, 2, 3, 3]


def test_nothing_without_probability_is_drawn_at_the_very_end() -> None:
    probs = torch.tensor([[0.3, 0.7, 0.0, 0.0]], dtype=torch.float32)
    assert draw(probs, torch.tensor([1 - 2**-53], dtype=torch.float64)).tolist() == [1]


def test_temperature_zero_takes_the_likeliest() -> None:
    assert choose(LOGITS[None], Sampling(temperature=0), torch.tensor([0.99])).tolist() == [1]


def test_random_numbers_depend_on_seed_key_and_sample_alone() -> None:
    one = uniforms(1, "a", 0, 50)
    assert np.array_equal(uniforms(1, "a", 0, 10), one[:10])
    for other in (uniforms(2, "a", 0, 50), uniforms(1, "b", 0, 50), uniforms(1, "a", 1, 50)):
        assert not np.isin(other, one).any()
    many = np.concatenate([uniforms(1, str(i), 0, 100) for i in range(200)])
    assert abs(many.mean() - 0.5) < 4 / np.sqrt(12 * many.size)
