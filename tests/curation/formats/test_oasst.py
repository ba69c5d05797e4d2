"""OpenAssistant trees: exactly their threads, exactly k(k-1)/2 pairs, and a reason for every message in neither."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.conversation import Conversation, Preference
from curation.formats.format import Makes, Outcome
from curation.formats.oasst import OASST

Record = dict[str, Any]
EVERYTHING = OASST(deleted=True, unreviewed=True, max_spam=None)


def message(id: str, parent: str | None, role: str, **more: Any) -> Record:
    return {
        "message_id": id,
        "parent_id": parent,
        "message_tree_id": "t",
        "text": f"text of {id}",
        "role": role,
        "lang": "vi",
        "deleted": False,
        "review_result": True,
        "rank": None,
        "labels": None,
        **more,
    }


def labels(**values: float) -> Record:
    return {"name": list(values), "value": list(values.values()), "count": [3] * len(values)}


def tree(**changes: Record) -> list[Record]:
    r"""
    p - a0 - u0 - b0
      |    \ u1
      - a1
      - a2 - u2
    """
    ranks = {"a0": 1, "a1": 0, "a2": 2, "b0": 0}
    shape = [("p", None), ("a0", "p"), ("a1", "p"), ("a2", "p"), ("u0", "a0"), ("u1", "a0"), ("u2", "a2"), ("b0", "u0")]
    return [
        message(
            id,
            parent,
            "assistant" if id[0] in "ab" else "prompter",
            **{"rank": ranks.get(id), **changes.get(id, {})},
        )
        for id, parent in shape
    ]


def nested(flat: list[Record]) -> Record:
    def node(record: Record) -> Record:
        replies = [node(r) for r in flat if r["parent_id"] == record["message_id"]]
        return {**record, "replies": replies}

    return {"message_tree_id": "t", "tree_state": "ready_for_export", "prompt": node(flat[0])}


def read(records: list[Record], makes: Makes = "conversations", format: OASST | None = None) -> list[Outcome]:
    return list((format or OASST()).outcomes(enumerate(records), makes))


def threads(outcomes: list[Outcome]) -> set[str]:
    found = [row for o in outcomes for _, row in o.rows]
    assert all(isinstance(row, Conversation) for row in found)
    return {" ".join(m.content.removeprefix("text of ") for m in row.messages) for row in found}


def pairs(outcomes: list[Outcome]) -> set[str]:
    found: set[str] = set()
    for row in (row for o in outcomes for _, row in o.rows):
        assert isinstance(row, Preference)
        prompt, chosen, rejected = (
            " ".join(m.content.removeprefix("text of ") for m in part)
            for part in (row.prompt, row.chosen, row.rejected)
        )
        found.add(f"{prompt}: {chosen} {'=' if row.verdict == 'tie' else '>'} {rejected}")
    return found


def lost(outcomes: list[Outcome], records: list[Record]) -> dict[str, str]:
    assert sum(o.used + len(o.lost) for o in outcomes) == len(records)
    return {records[one.index]["message_id"]: one.reason for o in outcomes for one in o.lost}


@pytest.mark.parametrize("shape", ["flat", "nested"])
def test_a_tree_gives_exactly_its_threads_and_pairs(shape: str) -> None:
    records = tree() if shape == "flat" else [nested(tree())]
    assert threads(read(records)) == {"p a0 u0 b0", "p a0 u1", "p a1", "p a2 u2"}
    assert pairs(read(records, "preferences")) == {"p: a1 > a0", "p: a1 > a2", "p: a0 > a2"}


def test_every_row_carries_the_tree_and_its_language_and_people_decided() -> None:
    outcomes = read(tree()) + read(tree(), "preferences") + read([nested(tree())], "preferences")
    rows = [row for o in outcomes for _, row in o.rows]
    assert len(rows) == 4 + 3 + 3
    assert all(row.meta == {"tree": "t", "lang": "vi"} for row in rows)
    assert all(row.decided_by == "people" for row in rows if isinstance(row, Preference))


def test_roles_are_user_and_assistant() -> None:
    ((_, row), *_) = read(tree())[0].rows
    assert isinstance(row, Conversation)
    assert [m.role for m in row.messages] == ["user", "assistant", "user", "assistant"]


def test_the_index_of_a_row_is_that_of_its_last_message() -> None:
    (outcome,) = read(tree())
    assert [index for index, _ in outcome.rows] == [7, 5, 2, 6]


@pytest.mark.parametrize(
    ("change", "setting", "reason"),
    [
        ({"deleted": True}, {"deleted": True}, "deleted"),
        ({"review_result": False}, {"unreviewed": True}, "rejected"),
        ({"review_result": None}, {"unreviewed": True}, "unreviewed"),
        ({"labels": labels(spam=0.6, quality=0.2)}, {"max_spam": None}, "spam"),
        ({"labels": {"spam": {"value": 0.6}}}, {"max_spam": 0.6}, "spam"),
    ],
)
def test_what_is_left_out_takes_its_branch_along_unless_a_setting_keeps_it(
    change: Record, setting: Record, reason: str
) -> None:
    records = tree(a0=change)
    outcomes = read(records)
    assert threads(outcomes) == {"p a1", "p a2 u2"}
    below = dict.fromkeys(("u0", "u1", "b0"), "below_left_out")
    assert lost(outcomes, records) == {"a0": reason, **below}
    assert pairs(read(records, "preferences")) == {"p: a1 > a2"}
    assert threads(read(records, format=OASST(**setting))) == threads(read(tree()))


def test_quality_and_synthetic_are_bounds_for_who_wants_them() -> None:
    records = tree(a0={"labels": labels(quality=0.4)}, a1={"synthetic": True})
    assert threads(read(records)) == threads(read(tree()))
    outcomes = read(records, format=OASST(min_quality=0.5, synthetic=False))
    assert lost(outcomes, records)["a0"] == "low_quality"
    assert lost(outcomes, records)["a1"] == "synthetic"


def test_threads_may_be_asked_to_end_on_an_answer_and_to_go_through_the_best_only() -> None:
    records = tree()
    outcomes = read(records, format=OASST(last="assistant"))
    assert threads(outcomes) == {"p a0 u0 b0", "p a1", "p a2"}
    assert lost(outcomes, records) == {"u1": "no_reply", "u2": "no_reply"}
    outcomes = read(records, format=OASST(top_k=1))
    assert threads(outcomes) == {"p a1"}
    assert lost(outcomes, records)["a0"] == "not_top_k"
    assert threads(read(records, format=OASST(top_k=2))) == {"p a0 u0 b0", "p a0 u1", "p a1"}
    assert len(pairs(read(records, "preferences", OASST(top_k=1)))) == 3


def test_the_same_rank_is_a_tie() -> None:
    assert "p: a0 = a2" in pairs(read(tree(a2={"rank": 1}), "preferences"))


def test_messages_that_hang_in_the_air_are_refused() -> None:
    records = [
        *tree(),
        message("o", "nowhere", "assistant"),
        message("below o", "o", "prompter"),
        message("x", "y", "assistant"),
        message("y", "x", "prompter"),
        message("a0", "p", "assistant"),
        message("q", None, "narrator"),
        message("r", None, "prompter", text=None),
        {"text": "no id"},
    ]
    outcomes = read(records, format=EVERYTHING)
    assert threads(outcomes) == threads(read(tree()))
    reasons = Counter(one.reason for o in outcomes for one in o.lost)
    assert reasons == {
        "orphan": 2,
        "cycle": 2,
        "duplicate_id": 1,
        "unknown_role": 1,
        "no_text": 1,
        "no_message_id": 1,
    }
    assert sum(o.used + len(o.lost) for o in outcomes) == len(records)


def test_a_nested_tree_is_one_record_and_says_what_it_left_out() -> None:
    (outcome,) = read([nested(tree(a0={"deleted": True}))])
    assert (outcome.used, len(outcome.rows)) == (1, 2)
    assert outcome.left_out == {"deleted": 1, "below_left_out": 3}
    (outcome,) = read([nested(tree(p={"deleted": True}))])
    assert [one.reason for one in outcome.lost] == ["deleted"]


def test_a_very_deep_tree_needs_no_recursion() -> None:
    chain = [message(str(i), str(i - 1) if i else None, "assistant" if i % 2 else "prompter") for i in range(5000)]
    assert len(read(chain)[0].rows[0][1].messages) == 5000  # type: ignore[union-attr]
    record: Record = {"message_tree_id": "t", "prompt": {**chain[0], "replies": []}}
    node = record["prompt"]
    for one in chain[1:]:
        node["replies"] = [{**one, "replies": []}]
        node = node["replies"][0]
    assert len(read([record])[0].rows) == 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 100), max_size=25), st.data())
def test_any_tree_gives_one_thread_a_leaf_and_every_pair_of_ranked_answers(parents: list[int], data: Any) -> None:
    records = [message("0", None, "prompter")]
    depth = [0]
    for number, chosen in enumerate(parents, 1):
        parent = chosen % number
        depth.append(depth[parent] + 1)
        rank = data.draw(st.one_of(st.none(), st.integers(0, 30))) if depth[number] % 2 else None
        records.append(message(str(number), str(parent), "assistant" if depth[number] % 2 else "prompter", rank=rank))
    children = {r["message_id"]: [c for c in records if c["parent_id"] == r["message_id"]] for r in records}
    outcomes = read(records)
    assert sum(len(o.rows) for o in outcomes) == sum(not c for c in children.values())
    assert sum(o.used for o in outcomes) == len(records)
    ranked = [[c for c in found if c["rank"] is not None] for found in children.values()]
    expected = sum(len(list(combinations(k, 2))) for k in ranked)
    assert sum(len(o.rows) for o in read(records, "preferences")) == expected
    assert sum(len(o.rows) for o in read([nested(records)], "preferences")) == expected


def test_the_real_flat_trees(real_data: Path) -> None:
    path = real_data / "oasst1_en_validation" / "en-validation.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert (len(records), len({r["message_tree_id"] for r in records})) == (2022, 191)
    assert sum(len(o.rows) for o in read(records, "preferences", EVERYTHING)) == 1026
    ids = {r["message_id"] for r in records}
    orphans = {r["message_id"] for r in records if r["parent_id"] and r["parent_id"] not in ids}
    leaves = ids - {r["parent_id"] for r in records} - orphans
    assert sum(len(o.rows) for o in read(records, format=EVERYTHING)) == len(leaves) == 1002
    for makes in ("conversations", "preferences"):
        assert sum(o.used + len(o.lost) for o in read(records, makes)) == 2022  # type: ignore[arg-type]
    # Left out unless asked for: what was deleted, with 4 of the pairs.
    assert sum(len(o.rows) for o in read(records, "preferences", OASST(deleted=True))) == 1026
    assert sum(len(o.rows) for o in read(records, "preferences")) == 1022


def test_the_real_nested_trees(real_data: Path) -> None:
    lines = (real_data / "open_assistant" / "en_100_tree.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    flat: list[Record] = []
    stack = [r["prompt"] for r in records]
    while stack:
        flat.append(stack.pop())
        stack += flat[-1]["replies"]
    assert (len(records), len(flat)) == (100, 1167)
    outcomes = read(records)
    assert sum(len(o.rows) for o in outcomes) == sum(not m["replies"] for m in flat)
    assert sum(o.used for o in outcomes) == 100
    ranked = [sum(r.get("rank") is not None for r in m["replies"]) for m in flat]
    assert sum(len(o.rows) for o in read(records, "preferences")) == sum(k * (k - 1) // 2 for k in ranked) > 0
    same = [{k: v for k, v in m.items() if k != "replies"} for m in flat]
    assert sum(len(o.rows) for o in read(same)) == sum(len(o.rows) for o in outcomes)
