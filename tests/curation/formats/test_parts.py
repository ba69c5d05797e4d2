"""Chats that were cut before they were exported: told from sets that merely number their chats."""

from __future__ import annotations

from typing import Any

import pytest

from curation.formats.sharegpt import ShareGPT


def piece(own: str, turns: int, **more: Any) -> dict[str, Any]:
    """A record whose turns are numbered by where they stand in the whole chat."""
    first = int(own.rpartition("_")[2]) if own.rpartition("_")[2].isdigit() else 0
    said = [{"from": ("human", "gpt")[i % 2], "value": f"turn {i}"} for i in range(first, first + turns)]
    return {"id": own, "conversations": said, **more}


def read(records: list[Any], pieces: Any = "apart") -> list[tuple[Any, Any, list[str]]]:
    """(id, tree, texts) of the rows."""
    outcomes = list(ShareGPT(pieces=pieces).outcomes(enumerate(records), "conversations"))
    assert sum(o.used + len(o.lost) for o in outcomes) == len(records)
    rows = [row for o in outcomes for _, row in o.rows]
    return [(r.meta.get("id"), r.meta.get("tree"), [m.content for m in r.messages]) for r in rows]  # type: ignore[union-attr]


CUT = [piece("hRPPgZT_0", 11), piece("hRPPgZT_11", 6), piece("hRPPgZT_17", 4)]
WHOLE = [f"turn {i}" for i in range(21)]


def test_pieces_stay_rows_of_one_tree() -> None:
    rows = read([piece("a", 2), *CUT, piece("b_0", 4)])
    assert [(own, tree) for own, tree, _ in rows] == [
        ("a", None),
        ("hRPPgZT_0", "hRPPgZT"),
        ("hRPPgZT_11", "hRPPgZT"),
        ("hRPPgZT_17", "hRPPgZT"),
        ("b_0", None),
    ]
    assert [text for _, tree, texts in rows if tree for text in texts] == WHOLE


def test_pieces_become_one_chat_again() -> None:
    assert read([piece("a", 2), *CUT, piece("b_0", 4)], "joined") == [
        ("a", None, WHOLE[:2]),
        ("hRPPgZT", "hRPPgZT", WHOLE),
        ("b_0", None, WHOLE[:4]),
    ]
    (outcome,) = ShareGPT(pieces="joined").outcomes(enumerate(CUT), "conversations")
    ((index, row),) = outcome.rows
    assert (index, outcome.used) == (0, 3)
    assert row.meta["pieces"] == ["hRPPgZT_0", "hRPPgZT_11", "hRPPgZT_17"]


def test_where_a_piece_is_missing_the_chat_stays_in_two() -> None:
    cut = [piece("c_0", 4), piece("c_4", 4), piece("c_12", 2), piece("c_14", 2)]
    assert read(cut, "joined") == [("c_0", "c", WHOLE[:8]), ("c_12", "c", WHOLE[12:16])]
    broken = [cut[0], {"id": "c_4", "conversations": []}, *cut[2:]]
    rows = read([*broken, {"id": "d", "conversations": 3}], "joined")
    assert [(own, tree) for own, tree, _ in rows] == [("c_0", "c"), ("c_12", "c")]


def test_a_system_turn_that_comes_with_every_piece_comes_once() -> None:
    cut = [piece("c_0", 4, system="Be brief."), piece("c_4", 2, system="Be brief.")]
    assert read(cut, "joined") == [("c", "c", ["Be brief.", *WHOLE[:6]])]
    cut[1]["system"] = "Rhyme."
    assert read(cut, "joined") == [("c", "c", ["Be brief.", *WHOLE[:4], "Rhyme.", *WHOLE[4:6]])]


def test_pieces_that_may_call_other_tools_are_not_joined() -> None:
    cut = [piece("c_0", 4, tools=[{"name": "a"}]), piece("c_4", 2, tools=[{"name": "b"}])]
    assert [(own, tree) for own, tree, _ in read(cut, "joined")] == [("c_0", "c"), ("c_4", "c")]


@pytest.mark.parametrize("pieces", ["apart", "joined"])
@pytest.mark.parametrize(
    "records",
    [
        [piece(f"identity_{i}", 2 + 2 * (i % 2)) for i in range(20)],  # a numbered set
        [piece(f"q_{i}", 1) for i in range(20)],  # numbered prompts
        [piece(f"chat_{i}", 2) for i in (0, 2, 4, 5, 7, 9, 12)],  # a numbered set, some of it left out
        [piece(f"chat_{i}", 2) for i in range(0, 200, 10)],
        [piece("a_0", 4), piece("b_4", 4), piece("a_8", 4)],  # not consecutive
        [piece("a_4", 4), piece("a_0", 4)],
        [piece("a_0", 4), piece("a_4x", 4), {**piece("a_4", 4), "id": 4}],
        [piece("a_0", 4), piece("a_0", 4)],
    ],
)
def test_numbers_alone_prove_nothing(records: list[Any], pieces: Any) -> None:
    rows = read(records, pieces)
    assert len(rows) == len(records)
    assert {tree for _, tree, _ in rows} == {None}


def test_a_chat_after_a_numbered_set_of_the_same_file_is_still_found() -> None:
    rows = read([*[piece(f"identity_{i}", 4) for i in range(5)], *CUT, piece("z", 2)], "joined")
    assert [own for own, _, _ in rows] == [*(f"identity_{i}" for i in range(5)), "hRPPgZT", "z"]
