"""Dropped rows to look at: the first ten of each reason by id, in the order of the operators."""

from __future__ import annotations

from pathlib import Path

from curation import table
from curation.conversation import Conversation, Message
from curation.operators.keep import Keep
from curation.operators.turns import Turns
from curation.operators.words import Words
from curation.pipeline import curate
from rlhf.report.samples import dropped_samples


def test_ten_of_each_reason_by_id_and_no_more(tmp_path: Path) -> None:
    short = [Conversation(messages=(Message("user", "q"), Message("assistant", f"one{i}"))) for i in range(15)]
    alone = [Conversation(messages=(Message("user", f"nobody answered {i}"),)) for i in range(3)]
    kept = Conversation(messages=(Message("user", "q"), Message("assistant", "these are words enough")))
    curated = curate([*short, *alone, kept], [Turns(min=2), Words(), Keep(condition="words >= 2")])
    curated.dropped.write(tmp_path / "dropped")
    found = dropped_samples(tmp_path / "dropped", curated.ledger.entries)
    assert [s["reason"] for s in found] == ["too_few_turns"] * 3 + ["low_words"] * 10
    first = sorted(short, key=lambda row: row.id)[:10]
    assert [s["text"] for s in found[3:]] == [f"user: q\nassistant: {row.reply}" for row in first]
    assert dropped_samples(None, curated.ledger.entries) == []
    assert table.count(tmp_path / "dropped") == 18
