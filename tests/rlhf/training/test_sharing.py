"""Rows as a tree: the hidden states and the gradients of the rows, with less to compute."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import Make, Run, chat, model_ref, pair
from transformers import AutoConfig, AutoModel

from rlhf.steps.dpo import Dpo
from rlhf.steps.reward import Reward
from rlhf.steps.sft import Sft
from rlhf.training import sharing
from rlhf.training.sharing import KNOWN, can_share, hidden_at, tree_of


def batch(seed: int = 0, pairs: int = 4, prompt: int = 20, common: int = 15) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows as DPO has them: all begin alike, two and two share a prompt; one row is another's beginning."""
    rng = random.Random(seed)

    def some(n: int) -> list[int]:
        return [rng.randrange(3, 60) for _ in range(n)]

    start = some(common)
    asks = [start + some(prompt) for _ in range(pairs)]
    rows = [ask + some(rng.randrange(1, 12)) for _ in range(2) for ask in asks]
    rows[-1] = rows[pairs - 1][: len(asks[-1]) + 1]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask


def tiny(model_type: str) -> Any:
    config = AutoConfig.for_model(
        model_type,
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    return AutoModel.from_config(config, attn_implementation="sdpa")


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees are cheap here: a wide model, as far as the estimate knows."""
    built = tree_of

    def wide(ids: torch.Tensor, mask: torch.Tensor, config: Any) -> Any:
        class Wide:
            hidden_size = 10**6
            model_type = config.model_type
            sliding_window = getattr(config, "sliding_window", None)
            _attn_implementation = config._attn_implementation

        return built(ids, mask, Wide)

    monkeypatch.setattr(sharing, "tree_of", wide)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("model_type", sorted(KNOWN))
def test_hidden_states_and_gradients_are_those_of_the_rows(model_type: str) -> None:
    model = tiny(model_type)
    ids, mask = batch()
    rows, columns = mask.nonzero(as_tuple=True)
    torch.manual_seed(1)
    upstream = torch.randn(len(rows), 32)
    found = []
    for shared in (True, False):
        model.zero_grad()
        if shared:
            assert sharing.tree_of(ids, mask, model.config) is not None
            hidden = hidden_at(model, model.config, rows, columns, input_ids=ids, attention_mask=mask)
        else:
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state[rows, columns]
        (hidden * upstream).sum().backward()
        found.append((hidden.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-5, rtol=1e-4)
    assert found[0][1].keys() == found[1][1].keys()
    for name, grad in found[1][1].items():
        torch.testing.assert_close(found[0][1][name], grad, atol=1e-4, rtol=1e-3)


class Config:
    hidden_size, model_type, _attn_implementation = 576, "llama", "sdpa"


@pytest.mark.parametrize("size", [60, 120, 10_000])
def test_a_tree_holds_every_row_and_each_token_once(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "SIZES", (size,))
    ids, mask = batch()
    tree = tree_of(ids, mask, Config)
    assert tree is not None
    seen: dict[tuple[int, ...], set[tuple[int, int]]] = {}
    for i, row in enumerate(ids.tolist()):
        n, g = int(mask[i].sum()), int(tree.group[i])
        path = tree.place[i, :n]
        assert tree.ids[g, path].tolist() == row[:n]
        assert tree.positions[g, path].tolist() == list(range(n))
        for t in range(n):  # a token looks at its own beginning and at nothing else
            assert tree.mask[g, 0, path[t]].nonzero()[:, 0].tolist() == sorted(path[: t + 1].tolist())
            seen.setdefault(tuple(row[: t + 1]), set()).add((g, int(path[t])))
    if size == 10_000:
        assert len(tree.ids) == 1
        assert all(len(places) == 1 for places in seen.values())
        assert tree.ids.numel() == len(seen)  # nothing is there twice


def test_half_of_a_batch_of_short_pairs_is_saved() -> None:
    """8 pairs of 15 + 40 tokens on prompts of 15 under a system prompt of 27."""
    rng = random.Random(0)
    start = [rng.randrange(100) for _ in range(27)]
    asks = [start + [rng.randrange(100) for _ in range(15)] for _ in range(8)]
    rows = [a + [rng.randrange(100) for _ in range(n)] for n in (15, 40) for a in asks]
    longest = max(map(len, rows))
    ids = torch.tensor([r + [0] * (longest - len(r)) for r in rows])
    mask = torch.tensor([[1] * len(r) + [0] * (longest - len(r)) for r in rows])
    tree = tree_of(ids, mask, Config)
    assert tree is not None
    assert tree.ids.numel() < 0.55 * ids.numel()


def test_rows_that_share_nothing_stay_as_they_are() -> None:
    ids = torch.arange(4 * 50).reshape(4, 50)
    assert tree_of(ids, torch.ones_like(ids), Config) is None


def test_batches_that_are_padded_on_the_left_stay_as_they_are() -> None:
    ids, mask = batch()
    assert tree_of(ids.flip(1), mask.flip(1), Config) is None


@pytest.mark.parametrize(
    ("change", "can"),
    [
        ({}, True),
        ({"model_type": "bloom"}, False),  # places tokens by distance in the batch
        ({"_attn_implementation": "eager"}, False),
        ({"sliding_window": 40}, False),
        ({"sliding_window": 50}, True),
        ({"sliding_window": 40, "use_sliding_window": False}, True),
    ],
)
def test_who_can_share(change: dict[str, Any], can: bool) -> None:
    assert can_share(type("C", (Config,), change), 50) is can


@pytest.mark.parametrize("method", ["sft", "dpo", "reward"])
def test_every_trainer_reads_its_rows_as_trees(
    micro_copy: Path, rows_ref: Make, run_step: Run, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """What passes through the trainers and PEFT on its way to the model is a plain batch still."""
    built: list[bool] = []

    def spy(*batch: Any) -> Any:
        tree = tree_of(*batch)
        built.append(tree is not None)
        return tree

    monkeypatch.setattr(sharing, "tree_of", spy)
    monkeypatch.setattr(sharing, "SIZES", (10_000,))
    cls, row = {"sft": (Sft, chat), "dpo": (Dpo, pair), "reward": (Reward, pair)}[method]
    step = cls(data=rows_ref([row(i) for i in range(8)]), policy=model_ref(micro_copy), lora_r=2, global_batch_size=8)
    done, _, _ = run_step(step, beside=micro_copy)
    assert done.metrics["steps"] == 1
    assert built
