"""The roomy cache holds what transformers' own cache holds."""

from __future__ import annotations

import pytest
import torch
from transformers import MambaConfig, MambaForCausalLM
from transformers.cache_utils import DynamicLayer

from curation.errors import UserError
from curation.models.cache import RoomyLayer, fill_holes, new_cache


def test_rows_leave_and_tokens_come_as_in_a_cache_that_copies() -> None:
    torch.manual_seed(0)
    roomy, plain = RoomyLayer(12), DynamicLayer()
    rows = 5
    for new, alive in [(4, [1, 1, 1, 1, 1]), (1, [1, 0, 1, 0, 1]), (1, [1, 1, 1]), (2, [0, 1, 1]), (1, [0, 1])]:
        keys, values = torch.randn(rows, 2, new, 3), torch.randn(rows, 2, new, 3)
        found, wanted = roomy.update(keys, values), plain.update(keys, values)
        assert torch.equal(found[0], wanted[0]) and torch.equal(found[1], wanted[1])
        keep = fill_holes(torch.tensor(alive, dtype=torch.bool))
        roomy.batch_select_indices(keep)
        plain.batch_select_indices(keep)
        rows = len(keep)
        assert torch.equal(roomy.keys, plain.keys) and torch.equal(roomy.values, plain.values)
        assert roomy.get_seq_length() == plain.get_seq_length()


def test_the_last_rows_fill_the_holes() -> None:
    alive = torch.tensor([1, 0, 1, 0, 0, 1, 1], dtype=torch.bool)
    assert fill_holes(alive).tolist() == [0, 5, 2, 6]


def test_spreading_repeats_rows() -> None:
    layer = RoomyLayer(3)
    layer.update(torch.randn(2, 1, 3, 4), torch.randn(2, 1, 3, 4))
    wide = layer.spread(torch.tensor([1, 1, 0]), 8)
    assert torch.equal(wide.keys, layer.keys[[1, 1, 0]])
    assert wide.capacity == 8


def test_a_model_that_keeps_a_running_state_is_refused() -> None:
    config = MambaConfig(vocab_size=16, hidden_size=8, num_hidden_layers=1, state_size=2)
    with pytest.raises(UserError, match="mamba"):
        new_cache(MambaForCausalLM(config), 8)
