"""Sums that must hold, and what is said when they do not."""

from __future__ import annotations

from curation.ledger import Entry, Ledger, Reading


def test_records_are_used_or_malformed() -> None:
    assert Reading(source="a", records=5, used=3, malformed={"no_messages": 2}).problem() is None
    assert "5 records, but 3 used + 1 malformed" in str(
        Reading(source="a", records=5, used=3, malformed={"x": 1}).problem()
    )


def test_rows_and_children_are_kept_dropped_or_replaced() -> None:
    assert Entry(operator="split_long", made=10, children=6, kept=13, replaced=3).problem() is None
    assert Entry(operator="turns", made=10, kept=7, dropped={"too_few_turns": 3}, edited=5).problem() is None
    lost = Entry(operator="turns", made=10, kept=7, dropped={"too_few_turns": 2}).problem()
    assert lost == "turns: 10 made + 0 children, but 7 kept + 2 dropped + 0 replaced"


def test_what_one_operator_kept_the_next_one_is_given() -> None:
    ledger = Ledger(entries=[Entry(operator="a", made=5, kept=5), Entry(operator="b", made=4, kept=4)])
    assert ledger.problems() == ["a kept 5 rows, but b was given 4"]


def test_the_waterfall_tells_the_way_of_the_rows() -> None:
    ledger = Ledger(
        entries=[
            Entry(operator="normalize", made=1200, kept=1200, edited=7),
            Entry(operator="turns", made=1200, kept=1195, dropped={"too_few_turns": 4, "too_many_turns": 1}),
            Entry(operator="cut", made=1195, children=4, kept=1197, replaced=2),
        ]
    )
    assert ledger.waterfall() == [
        "1,200 rows",
        "1,200 after normalize",
        "1,195 after turns: dropped 4 too_few_turns, 1 too_many_turns",
        "1,197 after cut: 4 split off from 2",
    ]
    assert ledger.dropped() == {"turns: too_few_turns": 4, "turns: too_many_turns": 1}
    assert Ledger().waterfall() == []
