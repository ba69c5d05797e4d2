"""muP: activations stay of one size however wide the model is, and the usual parametrization shows why it is needed."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest
import torch

from rlhf.training import mup, pretrain

WIDTHS = (64, 128, 256, 512)
BASE = 128
SHAPE = {"num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64}


class Tokenizer:
    """As much of one as a new model needs: 128 tokens."""

    pad_token_id, eos_token_id = 0, 1

    def __len__(self) -> int:
        return 128


def model(width: int, *, muped: bool, sigma: float = 0.08) -> Any:
    multipliers = (width / BASE, 10.0) if muped else None
    tokenizer: Any = Tokenizer()
    return pretrain.new_llama(
        tokenizer, hidden_size=width, initializer_range=sigma, seed=1, mup_multipliers=multipliers, **SHAPE
    )


@cache
def sizes(*, muped: bool, steps: int = 4, rate: float = 6e-3) -> dict[str, list[float]]:
    """Layer -> mean size of its activations at each width, after a few steps of Adam on the same rows."""
    rng = random.Random(0)
    ids = torch.tensor([[rng.randrange(2, 128) for _ in range(32)] for _ in range(4)])
    found: dict[str, list[float]] = {}
    for width in WIDTHS:
        made = model(width, muped=muped)
        optimizer = torch.optim.Adam(mup.rates(made, rate, width / BASE) if muped else made.parameters(), lr=rate)
        with mup.Coordinates(made) as check:
            for _ in range(steps):
                made(input_ids=ids, labels=ids).loss.backward()
                optimizer.step()
                optimizer.zero_grad()
        for layer, size in check.sizes.items():
            found.setdefault(layer, []).append(size)
    return found


def test_the_coordinate_check_is_flat() -> None:
    """Widths 64 to 512, eight times: nothing grows, and no layer dies out. The logits of the beginning, which
    are chance, fall with the root of the width, as they should.
    """
    found = sizes(muped=True)
    assert set(found) == {"attention 0", "mlp 0", "attention 1", "mlp 1", "logits"}
    grown = {layer: mup.growth(WIDTHS, of) for layer, of in found.items()}
    assert -0.6 < grown.pop("logits") < 0.1
    assert all(abs(exponent) < 0.15 for exponent in grown.values()), grown


def test_without_mup_the_same_check_drifts() -> None:
    grown = {layer: mup.growth(WIDTHS, of) for layer, of in sizes(muped=False).items()}
    assert grown.pop("logits") > 0.3
    assert all(exponent > 0.8 for exponent in grown.values()), grown


def test_growth_is_the_exponent() -> None:
    assert mup.growth((10, 100, 1000), (3.0, 3.0, 3.0)) == pytest.approx(0)
    assert mup.growth((16, 64, 256), (2.0, 4.0, 8.0)) == pytest.approx(0.5)


def test_the_table_of_cerebras_gpt() -> None:
    """At four times the base: weights half as large, a quarter of the rate, logits a quarter, attention q k / d."""
    wide = model(4 * BASE, muped=True)
    layer = wide.model.layers[0]
    for matrix in (layer.self_attn.q_proj, layer.self_attn.o_proj, layer.mlp.up_proj, layer.mlp.down_proj):
        assert float(matrix.weight.detach().std()) == pytest.approx(0.08 / 4**0.5, rel=0.02)
    assert float(wide.model.embed_tokens.weight.detach().std()) == pytest.approx(0.08, rel=0.02)
    assert layer.self_attn.scaling == 1 / (4 * BASE / 4)
    others, hidden = mup.rates(wide, 6e-3, 4)
    assert (others["lr"], hidden["lr"]) == (6e-3, 1.5e-3)
    assert len(hidden["params"]) == 2 * 7
    assert len(others["params"]) == 1 + 2 * 2 + 1  # the embedding, and the gains of the norms
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        embedded = wide.model.embed_tokens(ids)
        hidden_states = wide.model(inputs_embeds=embedded).last_hidden_state
        expected = hidden_states @ wide.model.embed_tokens.weight.T / 4
        assert torch.allclose(wide(input_ids=ids).logits, expected, atol=1e-6)


def test_at_the_base_width_only_the_multipliers_are_left() -> None:
    """m = 1: the rates are one rate."""
    assert {group["lr"] for group in mup.rates(model(BASE, muped=True), 6e-3, 1)} == {6e-3}
