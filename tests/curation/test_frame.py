"""Columns say what rows say: same rows, same ids, and a hash for all of a row that counts."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.conversation import Conversation, Message, Source
from curation.frame import in_order, row_hashes, row_type, to_frame, to_rows, with_ids

few = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@few
@given(data=st.data())
def test_rows_come_back_from_their_columns_with_their_ids(data: Any, any_rows: Any) -> None:
    kind, rows = data.draw(any_rows)
    frame = to_frame(rows, kind)
    assert row_type(frame) is kind
    assert to_rows(frame) == rows
    assert frame["id"].to_list() == [row.id for row in rows]
    stale = frame.with_columns(pl.lit("stale").alias("id"))
    assert with_ids(stale)["id"].to_list() == [row.id for row in rows]


BASE = Conversation(messages=(Message("user", "q"), Message("assistant", "a")), scores={"w": 1.0})


def hash_of(row: Conversation) -> str:
    return str(row_hashes(to_frame([row], Conversation))[0])


def test_a_row_hash_covers_all_that_counts_and_no_names() -> None:
    changes: list[dict[str, Any]] = [
        {"scores": {"w": 2.0}},
        {"scores": {"v": 1.0}},
        {"scores": {}},
        {"label": True},
        {"label": False},
        {"split": "test"},
        {"split": ""},
        {"parent": "p"},
        {"meta": {"tree": "t"}},
        {"source": Source(digest="d")},
        {"source": Source(index=1)},
        {"source": Source(license="mit")},
        {"tools": "[]"},
    ]
    hashes = [hash_of(BASE.with_(**change)) for change in changes]
    assert len({hash_of(BASE), *hashes}) == len(changes) + 1
    assert hash_of(BASE.with_(source=Source("other set", "other file"))) == hash_of(BASE)


def test_a_row_hash_does_not_depend_on_its_neighbours() -> None:
    unscored = BASE.with_(scores={})
    beside = row_hashes(to_frame([BASE, unscored], Conversation)).to_list()
    assert beside == [hash_of(BASE), hash_of(unscored)]


def test_why_a_row_was_dropped_is_part_of_what_the_dropped_rows_hold() -> None:
    frame = to_frame([BASE], Conversation)
    hashes = {
        row_hashes(frame.with_columns(pl.lit("turns").alias("dropped_by"), pl.lit(reason).alias("reason")))[0]
        for reason in ("too_few_turns", "too_many_turns")
    }
    assert len({hash_of(BASE), *hashes}) == 3


@few
@given(data=st.data())
def test_the_order_of_rows_does_not_depend_on_the_order_in_which_they_came(data: Any, any_rows: Any) -> None:
    kind, rows = data.draw(any_rows)
    shuffled = data.draw(st.permutations(rows))
    assert in_order(to_frame(rows, kind)).equals(in_order(to_frame(shuffled, kind)))
