"""A ledger becomes stairs whose bars add up."""

from __future__ import annotations

import random

import pytest

from curation.ledger import Entry, Ledger, Reading
from rlhf.report.waterfall import waterfalls


def test_a_reading_goes_from_records_to_used():
    ledger = Ledger(
        readings=[
            Reading(source="a.jsonl", records=10, used=7, malformed={"not_json": 1, "no_role": 2}, rows=9, bytes_lost=5)
        ]
    )
    (fall,) = waterfalls(ledger.model_dump(mode="json"))
    found = [(s.label, s.reason, s.start, s.length, s.kind) for s in fall.stairs]
    assert found == [
        ("records read", "", 0, 10, "all"),
        ("malformed", "no_role", 8, 2, "lost"),
        ("malformed", "not_json", 7, 1, "lost"),
        ("used", "", 0, 7, "kept"),
    ]
    assert fall.title == "a.jsonl"
    assert "9 rows" in fall.stairs[-1].note
    assert "5 bytes" in fall.note


def test_children_rise_and_their_parents_fall():
    entries = [
        Entry(operator="split_long", made=10, children=4, kept=12, replaced=2),
        Entry(operator="length", made=12, kept=9, dropped={"too_few_words": 3}),
        Entry(operator="words", made=9, kept=9, edited=0),
    ]
    (fall,) = waterfalls(Ledger(entries=entries).model_dump(mode="json"))
    found = [(s.label, s.reason, s.start, s.length, s.kind, s.change) for s in fall.stairs]
    assert found == [
        ("given", "", 0, 10, "all", "10"),
        ("split_long", "children", 10, 4, "new", "+4"),
        ("split_long", "replaced", 12, 2, "lost", "−2"),
        ("length", "too_few_words", 9, 3, "lost", "−3"),
        ("words", "", 9, 0, "none", "0"),
        ("kept", "", 0, 9, "kept", "9"),
    ]
    assert fall.of == 14


@pytest.mark.parametrize("seed", range(8))
def test_the_level_after_the_last_stair_is_what_was_kept(seed):
    rng = random.Random(seed)
    rows, entries = rng.randint(50, 500), []
    for i in range(rng.randint(1, 9)):
        children = rng.choice([0, 0, rng.randint(1, 20)])
        replaced = rng.randint(0, min(5, rows)) if children else 0
        dropped = {f"r{j}": rng.randint(0, rows // 9) for j in range(rng.randint(0, 3))}
        kept = rows + children - replaced - sum(dropped.values())
        entries.append(
            Entry(operator=f"o{i}", made=rows, children=children, kept=kept, dropped=dropped, replaced=replaced)
        )
        rows = kept
    ledger = Ledger(entries=entries)
    assert not ledger.problems()
    (fall,) = waterfalls(ledger.model_dump(mode="json"))
    level = fall.stairs[0].length
    for stair in fall.stairs[1:-1]:
        level += {"lost": -1, "new": 1, "none": 0}[stair.kind] * stair.length
        top = stair.start + (stair.length if stair.kind == "new" else 0)
        assert top == level
    assert level == rows == fall.stairs[-1].length


def test_no_ledger_is_no_waterfall():
    assert waterfalls(None) == []
    assert waterfalls(Ledger().model_dump(mode="json")) == []
