"""Operators that look at the whole table: what they choose depends on what rows say, not on where they stand."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation import table
from curation.artifact import Ref, Rows
from curation.conversation import Answer, AnyRow, Candidates, Conversation, Message, Preference, Source
from curation.errors import UserError
from curation.frame import to_frame
from curation.operator import Selector
from curation.operators.draw import draw
from curation.operators.exact_dedup import ExactDedup
from curation.operators.random import Random
from curation.operators.split import Split
from curation.pipeline import Curated, curate


def chat(question: str, answer: str = "a", index: int = 0, **shared: Any) -> Conversation:
    shared.setdefault("source", Source(digest="d", index=index))
    return Conversation(messages=(Message("user", question), Message("assistant", answer)), **shared)


def pair(question: str, chosen: str = "a", rejected: str = "b", index: int = 0, **shared: Any) -> Preference:
    return Preference(
        prompt=(Message("user", question),),
        chosen=(Message("assistant", chosen),),
        rejected=(Message("assistant", rejected),),
        source=Source(digest="d", index=index),
        **shared,
    )


def run(rows: list[Any], *operators: Selector) -> Curated:
    return curate(rows, list(operators))


# exact_dedup


def test_of_equal_rows_the_smallest_origin_stays() -> None:
    rows = [chat("q", index=i) for i in (12, 3, 200)]
    curated = run(rows, ExactDedup())
    assert [r.source.index for r in curated.kept.rows()] == [3]
    assert curated.ledger.dropped() == {"exact_dedup: duplicate": 2}


def test_of_rows_that_say_the_same_the_smallest_id_stays() -> None:
    rows = [chat("A  question\nhere", index=0), chat("A question here", index=1), chat(" A question here ", index=2)]
    kept = run(rows, ExactDedup()).kept.rows()
    assert [r.id for r in kept] == [min(r.id for r in rows)]


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (chat("q", "cafe\u0301"), chat("q", "café"), True),
        (chat("q", "yes"), chat("q", "Yes"), False),
        (chat("q", "yes"), chat("qy", "es"), False),
        (chat("q", label=True), chat("q", label=False), False),  # they contradict each other: both stay
        (chat("q"), chat("q", tools="[]"), False),
        (pair("q", "a", "b"), pair("q", "b", "a"), False),
        (pair("q"), pair("q", verdict="tie"), False),
        (pair("q", "a "), pair("q", " a"), True),
    ],
)
def test_what_is_equal(one: Any, other: Any, equal: bool) -> None:
    assert len(run([one, other], ExactDedup()).kept) == (1 if equal else 2)


def test_case_is_ignored_where_it_is_asked_for() -> None:
    rows = [chat("q", "yes"), chat("q", "Yes")]
    assert len(run(rows, ExactDedup(ignore_case=True)).kept) == 1


def test_candidates_are_equal_with_their_answers() -> None:
    def row(*answers: str) -> Candidates:
        return Candidates(prompt=(Message("user", "q"),), answers=tuple(map(Answer, answers)))

    assert len(run([row("a", "b"), row("a", "b "), row("b", "a")], ExactDedup()).kept) == 2


def test_prompts_can_be_compared_alone() -> None:
    rows = [pair("q", "a"), pair("q ", "c"), pair("other")]
    kept = run(rows, ExactDedup(on="prompt")).kept.rows()
    assert sorted(r.prompt[0].content.strip() for r in kept) == ["other", "q"]


def test_keys_are_published_xxh3_hashes() -> None:
    # XXH3_64bits of "" and of "abc" with the default secret, from the reference implementation.
    import polars_hash  # noqa: F401

    found = pl.Series(["", "abc"]).to_frame("t").select(pl.col("t").nchash.xxh3_64())["t"]  # type: ignore[attr-defined]
    assert [hex(x) for x in found] == ["0x2d06800538d394c2", "0x78af5f94892f3950"]


# random


def test_a_number_of_rows_is_drawn_and_another_seed_draws_others() -> None:
    rows = [chat(f"q{i}") for i in range(200)]
    drawn = {r.id for r in run(rows, Random(n=20)).kept.rows()}
    assert len(drawn) == 20
    assert drawn == {r.id for r in run(rows[::-1], Random(n=20)).kept.rows()}
    assert drawn != {r.id for r in run(rows, Random(n=20, seed=1)).kept.rows()}
    assert len(run(rows[:5], Random(n=20)).kept) == 5


def test_a_row_that_is_added_changes_nothing_for_the_others() -> None:
    rows = [chat(f"q{i}") for i in range(300)]
    before = {r.id for r in run(rows[:-1], Random(fraction=0.3)).kept.rows()}
    after = {r.id for r in run(rows, Random(fraction=0.3)).kept.rows()}
    assert after - {rows[-1].id} == before
    assert 60 < len(before) < 120  # 90 expected, standard deviation 8
    with pytest.raises(ValidationError, match="either n or fraction"):
        Random()
    with pytest.raises(ValidationError, match="either n or fraction"):
        Random(n=1, fraction=0.5)


def test_draws_are_uniform_and_apart_for_different_purposes() -> None:
    ids = pl.DataFrame({"id": [f"row {i}" for i in range(20_000)]})
    numbers = ids.select(draw("split", 0, "id").alias("a"), draw("random", 0, "id").alias("b"))
    counts = numbers.group_by((pl.col("a") * 10).floor()).len()["len"]
    chi_squared = sum((n - 2000) ** 2 / 2000 for n in counts)
    assert len(counts) == 10 and chi_squared < 27.9  # 9 degrees of freedom, p = 0.001
    assert abs(numbers.select(pl.corr("a", "b")).item()) < 0.03  # four standard errors


# split


def splits(rows: list[Any], **settings: Any) -> dict[str, str | None]:
    return {r.id: r.split for r in run(rows, Split(**settings)).kept.rows()}


def test_shares_come_out_about_as_asked_and_the_rest_is_train() -> None:
    found = list(splits([chat(f"q{i}") for i in range(2000)], test=0.3, judge=0.25).values())
    counts = {name: found.count(name) for name in set(found)}
    assert set(counts) == {"train", "test", "judge"}
    assert abs(counts["test"] - 600) < 82 and abs(counts["judge"] - 500) < 78  # four standard deviations


def test_parts_may_be_written_out_and_train_among_them() -> None:
    assert Split(test=0.25) == Split(parts={"test": 0.25})
    assert Split.model_validate({"train": 0.75, "test": 0.25, "by": "prompt"}).parts == {"train": 0.75, "test": 0.25}
    rows = [chat(f"q{i}") for i in range(100)]
    assert splits(rows, test=0.25) == splits(rows, train=0.75, test=0.25)


def test_a_row_that_is_added_moves_no_other() -> None:
    rows = [chat(f"q{i}") for i in range(400)]
    before, after = splits(rows[:-50], test=0.2), splits(rows, test=0.2)
    assert all(after[i] == split for i, split in before.items())
    assert splits(rows, test=0.2, seed=1) != after


@pytest.mark.parametrize("by", ["conversation", "tree", "prompt", "source"])
def test_rows_of_one_tree_or_one_parent_never_land_in_two_parts(by: str) -> None:
    rng = random.Random(0)
    rows = [
        chat(
            f"q{rng.randrange(60)}",
            f"a{i}",
            meta={"tree": f"t{rng.randrange(80)}"},
            parent=f"p{rng.randrange(400)}" if rng.random() < 0.2 else None,
            source=Source(digest=f"d{i}", index=i),
        )
        for i in range(150)
    ]
    try:
        kept = run(rows, Split(test=0.5, by=by)).kept.rows()  # type: ignore[arg-type]
    except UserError as error:
        assert by == "prompt" and "1 groups" in str(error)  # noqa: PT017  # prompts tie all trees together here
        return
    for shared in ("tree", "parent"):
        parts: dict[Any, set[Any]] = {}
        for row in kept:
            key = row.meta["tree"] if shared == "tree" else row.parent
            if key is not None:
                parts.setdefault(key, set()).add(row.split)
        assert all(len(found) == 1 for found in parts.values())


def test_a_parent_and_its_children_stay_together_and_adding_one_moves_nobody() -> None:
    for i in range(30):
        top = chat(f"top {i}")
        child = chat(f"child {i}", parent=top.id)
        grandchild = chat(f"grandchild {i}", parent=child.id)
        others = [chat(f"other {i} {j}") for j in range(40)]
        alone = splits([top, *others], test=0.5)
        family = splits([top, child, grandchild, *others], test=0.5)
        assert family[top.id] == family[child.id] == family[grandchild.id] == alone[top.id]
        orphans = splits([child, grandchild, *others], test=0.5)
        assert orphans[child.id] == orphans[grandchild.id] == alone[top.id]


def test_by_prompt_one_question_has_one_part_whatever_its_spelling() -> None:
    rows = [
        chat(q, f"answer {i}") for i, q in enumerate(["What  is a fjord?", "what is a FJORD?", " What is a fjord? "])
    ]
    rows += [chat(f"q{i}") for i in range(50)]
    found = splits(rows, test=0.5, by="prompt")
    assert len({found[r.id] for r in rows[:3]}) == 1


def test_by_source_a_file_has_one_part() -> None:
    rows = [chat(f"q{i}", source=Source(digest=f"file {i % 7}", index=i)) for i in range(70)]
    kept = run(rows, Split(test=0.5, by="source")).kept.rows()
    assert all(len({r.split for r in kept if r.source.digest == f"file {n}"}) == 1 for n in range(7))


def test_by_tree_every_row_needs_a_tree() -> None:
    with pytest.raises(UserError, match="has no tree"):
        run([chat("q", meta={"tree": 1}), chat("r")], Split(test=0.5, by="tree"))


def test_a_part_that_gets_nothing_is_an_error() -> None:
    with pytest.raises(UserError, match="none of 3 groups of rows fell into") as caught:
        run([chat(f"q{i}") for i in range(3)], Split(test=0.001))
    assert "seed" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "needs parts"),
        ({"test": 0}, "between 0 and 1"),
        ({"test": 0.6, "judge": 0.6}, "add up"),
        ({"test": 0.6, "train": 0.5}, "add up"),
        ({"Test!": 0.5}, "no name of a part"),
        ({"test": "a lot"}, "Extra inputs"),
        ({"test": 0.1, "same_as": "other"}, "needs parts"),
    ],
)
def test_shares_that_make_no_sense_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Split(**settings)


# split: same_as


def like(tmp_path: Path, rows: list[AnyRow], kind: type) -> Split:
    table.write(tmp_path / "other", to_frame(rows, kind))
    same_as: Ref[Rows] = Ref("other", tmp_path / "other", "digest")
    return Split(same_as=same_as)


def test_rows_go_where_their_tree_their_parent_or_their_prompt_is(tmp_path: Path) -> None:
    asked = chat("Old?", split="judge")
    known = [
        chat("a", meta={"tree": "t1"}, split="test"),
        chat("b", meta={"tree": "t2"}, split="train"),
        asked,
        chat("Why is the sky blue?", split="test"),
    ]
    rows = [
        pair("x", meta={"tree": "t1"}, index=1),
        pair("y", meta={"tree": "t2"}, index=2),
        pair("z", parent=asked.id, index=3),
        pair("why is the  sky blue?", index=4),
        pair("new", meta={"tree": "t9"}, index=5),
    ]
    curated = run(rows, like(tmp_path, known, Conversation))
    assert {r.source.index: r.split for r in curated.kept.rows()} == {1: "test", 2: "train", 3: "judge", 4: "test"}
    assert curated.ledger.dropped() == {"split: unassigned": 1}


def test_a_row_tied_to_two_parts_belongs_to_neither(tmp_path: Path) -> None:
    known = [chat("a", "1", split="test"), chat("a", "2", split="train")]
    curated = run([pair("a"), pair("b", index=1)], like(tmp_path, known, Conversation))
    assert curated.ledger.dropped() == {"split: split_conflict": 1, "split: unassigned": 1}


def test_rows_that_belong_together_follow_the_one_that_is_known(tmp_path: Path) -> None:
    known = [chat("a", split="test")]
    rows = [pair("a", parent="p", index=1), pair("elsewhere", parent="p", index=2)]
    kept = run(rows, like(tmp_path, known, Conversation)).kept.rows()
    assert [r.split for r in kept] == ["test", "test"]


def test_a_set_that_is_not_split_cannot_be_followed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="that data set is not split"):
        run([pair("a")], like(tmp_path, [chat("a")], Conversation))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 12), min_size=3, max_size=3), min_size=1, max_size=25))
def test_groups_are_the_connected_components(drawn: list[list[int]]) -> None:
    from curation.operators.groups import group_names

    table_ = pl.DataFrame(
        {
            "id": [f"i{i}" for i, _, _ in drawn],
            "parent": [f"i{p}" if p < 6 else None for _, p, _ in drawn],
            "tree": [f"t{t}" if t < 6 else None for _, _, t in drawn],
            "source": [""] * len(drawn),
            "prompt": [""] * len(drawn),
        },
        schema=dict.fromkeys(["id", "parent", "tree", "source", "prompt"], pl.String),
    )
    found = group_names(table_, "conversation").to_list()
    groups = [{n} for n in range(len(drawn))]  # by hand: merge whatever shares a key until nothing does
    keys = [{f"i{i}", *({f"i{p}"} if p < 6 else ()), *({f"t{t}"} if t < 6 else ())} for i, p, t in drawn]
    merged = True
    while merged:
        merged = False
        for a in groups:
            for b in groups:
                if a is not b and set.union(*(keys[n] for n in a)) & set.union(*(keys[n] for n in b)):
                    a |= b
                    groups.remove(b)
                    merged = True
                    break
            if merged:
                break
    for group in groups:
        assert len({found[n] for n in group}) == 1
    assert len(set(found)) == len(groups)
