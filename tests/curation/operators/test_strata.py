"""`top`, `balance` and `stratified`: exactly so many rows, the same ones in any order."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.conversation import Conversation, Message, Preference, Source
from curation.engines.local import Local
from curation.operators.balance import Balance
from curation.operators.stratified import Stratified, apportioned
from curation.operators.top import Top
from curation.operators.words import Words
from curation.pipeline import check_operators, curate


def chat(n: int, dataset: str = "a", score: float | None = None, **shared: Any) -> Conversation:
    return Conversation(
        messages=(Message("user", "q"), Message("assistant", f"answer {n}")),
        source=Source(dataset=dataset, digest="d", index=n, license=shared.pop("license", None)),
        scores={} if score is None else {"s": score},
        **shared,
    )


def curated(rows: list[Any], operator: Any) -> tuple[list[int], dict[str, int]]:
    """(numbers of the rows that stay, reason -> rows that go); the same for rows in reverse and in small batches."""
    found = []
    for order, size in ((rows, 1000), (rows[::-1], 3)):
        made = curate(order, [operator], engine=Local(batch_rows=size))
        gone = made.dropped.frame()["reason"].to_list() if len(made.dropped) else []
        found.append((sorted(r.source.index or 0 for r in made.kept.rows()), dict(Counter(gone))))
    assert found[0] == found[1]
    return found[0]


# top


def test_the_highest_stay_and_a_row_without_a_score_is_said_to_lack_it() -> None:
    rows = [chat(n, score=float(n % 5)) for n in range(10)] + [chat(10)]
    assert curated(rows, Top(by="s", n=4)) == ([3, 4, 8, 9], {"not_top": 6, "no_score": 1})
    assert curated(rows, Top(by="-s", n=2)) == ([0, 5], {"not_top": 8, "no_score": 1})
    assert curated(rows, Top(by="s", n=99)) == (list(range(10)), {"no_score": 1})


def test_a_share_is_of_all_rows_and_ties_go_by_id() -> None:
    rows = [chat(n, score=1.0) for n in range(10)]
    first = sorted(rows, key=lambda r: r.id)[:3]
    assert curated(rows, Top(by="s", fraction=0.25))[0] == sorted(r.source.index or 0 for r in first)  # 2.5 -> 3


def test_top_takes_one_measure_and_knows_its_scores() -> None:
    for settings in ({"by": "s"}, {"by": "s", "n": 1, "fraction": 0.5}):
        with pytest.raises(ValidationError, match="either n or fraction"):
            Top.model_validate(settings)
    (found,) = check_operators([Words(), Top(by="wrds", n=1)], "conversations", set())
    assert "needs the score 'wrds', which nothing makes" in found.what and "'words'" in found.hint


# balance


def test_no_source_has_more_than_the_cap() -> None:
    rows = [chat(n, "big" if n < 7 else "small", score=float(n)) for n in range(10)]
    assert curated(rows, Balance(by=["source"], max=4, prefer="s")) == ([3, 4, 5, 6, 7, 8, 9], {"over_cap": 3})
    made = curate(rows, [Balance.model_validate({"by": "source", "max": 4})])
    assert set(made.dropped.frame()["evidence"]) == {"source=big"} and len(made.dropped) == 3
    smallest = curated(rows, Balance(by=["source"], max="smallest", prefer="s"))
    assert smallest == ([4, 5, 6, 7, 8, 9], {"over_cap": 4})


def test_other_seeds_draw_other_rows() -> None:
    rows = [chat(n) for n in range(40)]
    drawn = [curated(rows, Balance(by=["source"], max=10, seed=seed))[0] for seed in (0, 1)]
    assert drawn[0] != drawn[1] and len(drawn[0]) == len(drawn[1]) == 10


def test_kinds_are_made_of_columns_meta_and_bins_of_scores() -> None:
    """Bins of 16 and 64: 15.9 is below, 16 in between, 64 on top. Rows that lack something are a kind of their own."""
    rows = [
        chat(0, score=15.9, meta={"language": "vi"}),
        chat(1, score=16.0, meta={"language": "vi"}),
        chat(2, score=63.9, meta={"language": "vi"}),
        chat(3, score=64.0, meta={"language": "en"}, label=True),
        chat(4, meta={"it's": "odd", "language": "en"}),
        chat(5, license="mit", label=True),
    ]

    def kinds(**settings: Any) -> set[str]:
        made = curate(rows, [Balance.model_validate({"max": 1, "seed": 3, **settings})])
        return set(made.dropped.frame()["evidence"]) if len(made.dropped) else set()

    assert kinds(by="s", bins={"s": [16, 64]}) == {"s=16..64", "s=none"}
    assert kinds(by="s", bins={"s": [16]}) == {"s=16..", "s=none"}
    assert kinds(by=["meta.language"]) == {"meta.language=vi", "meta.language=en"}
    assert kinds(by=["label"]) == {"label=none", "label=true"}
    assert kinds(by=["license"]) == {"license=none"}
    assert kinds(by=["meta.it's"]) == {"meta.it's=none"}
    assert kinds(by=["source", "meta.language"]) == {"source=a, meta.language=vi", "source=a, meta.language=en"}
    assert kinds(by=["source", "s"], bins={"s": [16, 64]}) == {"source=a, s=16..64", "source=a, s=none"}


def said(text: str, n: int) -> Conversation:
    return Conversation(
        messages=(Message("user", text), Message("assistant", text)), source=Source(digest="d", index=n)
    )


def test_languages_are_balanced_and_what_cannot_be_told_is_a_kind_of_its_own() -> None:
    texts = [
        "How do I bake bread with yeast and salt?",
        "Which planet is the largest one of them all?",
        "What is the fastest way to clean a window?",
        "Làm sao để nướng bánh mì với men và muối?",
        "Hành tinh nào lớn nhất trong hệ mặt trời?",
        "面包怎么用酵母和盐来烤？请告诉我。",
        "x = 1",
        "y = 2",
    ]
    rows = [said(text, n) for n, text in enumerate(texts)]
    made = curate(rows, [Balance(by=["language"], max=1)])
    gone = sorted(made.dropped.frame()["evidence"])
    assert gone == ["language=en", "language=en", "language=none", "language=vi"]
    pairs = [
        Preference(prompt=(Message("user", text),), chosen=(), rejected=(), source=Source(digest="d", index=n))
        for n, text in enumerate(texts)
    ]
    made = curate(pairs, [Balance(by=["language"], max=1)])
    assert sorted(made.dropped.frame()["evidence"]) == gone


def test_pairs_are_balanced_too() -> None:
    rows = [
        Preference(
            prompt=(Message("user", f"{n}"),),
            chosen=(Message("assistant", "a"),),
            rejected=(Message("assistant", "b"),),
            source=Source(dataset="x", digest="d", index=n),
        )
        for n in range(5)
    ]
    assert len(curated(rows, Balance(by=["source", "label"], max=2))[0]) == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"by": "sorce"}, "'sorce' is neither one of source, file"),
        ({"by": "s"}, "nor a score with its `bins`"),
        ({"by": "source", "bins": {"s": [1]}}, "which `by` does not name"),
        ({"by": "s", "bins": {"s": [2, 1]}}, "must rise"),
        ({"by": "s", "bins": {"s": []}}, "must rise"),
        ({"by": ["source", "source"]}, "names the same thing twice"),
        ({"by": []}, "at least 1 item"),
        ({"by": "meta."}, "neither"),
    ],
)
def test_what_makes_a_kind_is_checked(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Balance.model_validate({"max": 1, **settings})


def test_bins_and_preferences_are_scores_that_must_exist() -> None:
    operator = Balance(by=["wrds"], bins={"wrds": [1.0]}, max=1, prefer="qualty")
    found = check_operators([Words(), operator], "conversations", set())
    assert [m.what.split("'")[1] for m in found] == ["qualty", "wrds"]


# stratified


def test_seats_by_the_largest_remainder() -> None:
    """The textbook example of Hamilton's method: 100,000 votes and 10 seats give 5, 2, 2, 1 with these remainders."""
    votes = {"yellows": 47_000, "whites": 16_000, "reds": 15_900, "greens": 12_000, "blues": 6_000, "pinks": 3_100}
    assert apportioned(votes, 10) == {"yellows": 5, "whites": 2, "reds": 1, "greens": 1, "blues": 1, "pinks": 0}
    assert apportioned({"b": 1, "a": 1, "c": 1}, 2) == {"a": 1, "b": 1, "c": 0}  # equal remainders go by name
    assert apportioned({}, 3) == {}


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 50), min_size=1, max_size=6), st.floats(0, 1))
def test_seats_add_up_and_none_is_off_by_one(sizes: dict[str, int], share: float) -> None:
    total = sum(sizes.values())
    seats = int(share * total)
    made = apportioned(sizes, seats)
    assert sum(made.values()) == seats
    assert all(abs(made[k] - sizes[k] * seats / total) < 1 and made[k] <= sizes[k] for k in sizes)


def test_each_kind_keeps_its_share() -> None:
    rows = [chat(n, "abc"[min(n // 6, 2)]) for n in range(30)]  # 6, 6 and 18
    for settings, wanted in (({"n": 10}, [2, 2, 6]), ({"fraction": 0.5}, [3, 3, 9]), ({"n": 99}, [6, 6, 18])):
        stay, gone = curated(rows, Stratified.model_validate({"by": "source", **settings}))
        assert [len([n for n in stay if rows[n].source.dataset == s]) for s in "abc"] == wanted
        assert gone == ({"not_drawn": 30 - sum(wanted)} if sum(wanted) < 30 else {})


def test_a_seed_draws_within_kinds() -> None:
    rows = [chat(n, "ab"[n % 2]) for n in range(40)]
    drawn = [curated(rows, Stratified(by=["source"], n=10, seed=seed))[0] for seed in (0, 1)]
    assert drawn[0] != drawn[1] and [n % 2 for n in drawn[0]].count(0) == 5
    with pytest.raises(ValidationError, match="either n or fraction"):
        Stratified(by=["source"])
