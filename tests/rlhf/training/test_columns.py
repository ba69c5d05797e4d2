"""Which rows are trained on and which are held out."""

from __future__ import annotations

import pytest
from small_runs import Make, chat, pair

from curation.errors import UserError
from rlhf.training.columns import held_out_rows, training_rows


def test_a_split_set_gives_train_and_test(rows_ref: Make) -> None:
    ref = rows_ref([chat(i, split="test" if i < 3 else "train") for i in range(10)])
    assert len(training_rows([ref])) == 7
    held = held_out_rows([ref])
    assert held is not None
    assert len(held) == 3


def test_a_set_without_parts_is_used_whole(rows_ref: Make) -> None:
    ref = rows_ref([chat(i) for i in range(10)])
    assert len(training_rows([ref])) == 10
    assert held_out_rows([ref]) is None


def test_a_part_that_is_named_is_the_one_that_is_used(rows_ref: Make) -> None:
    rows = [chat(i, split=("train", "judge", "test")[i % 3]) for i in range(9)]
    ref = rows_ref(rows, part="judge")
    assert training_rows([ref])["split"].unique().to_list() == ["judge"]
    assert held_out_rows([ref]) is None


def test_parts_without_train_must_be_named(rows_ref: Make) -> None:
    ref = rows_ref([chat(i, split=("a", "b")[i % 2]) for i in range(4)])
    with pytest.raises(UserError, match="no part 'train'") as caught:
        training_rows([ref])
    assert "data1.a (2 rows)" in caught.value.hint


def test_several_sets_are_one_in_the_order_of_ids(rows_ref: Make) -> None:
    whole = rows_ref([pair(i, scores={"gap": 1.0}) for i in range(4)])
    split = rows_ref([pair(i, split="test" if i < 6 else "train") for i in range(4, 10)])
    found = training_rows([whole, split])
    assert len(found) == 8
    assert found["id"].to_list() == sorted(found["id"].to_list())
