"""What `of` lets exact_dedup compare: whole rows, openings of chats, or the ids that records had in their file."""

from __future__ import annotations

from typing import Any

from curation.conversation import Conversation, Message, Source
from curation.operators.exact_dedup import ExactDedup
from curation.pipeline import curate


def chat(*said: str, index: int = 0, **shared: Any) -> Conversation:
    turns = (Message("assistant" if i % 2 else "user", text) for i, text in enumerate(said))
    return Conversation(messages=tuple(turns), source=Source(digest="d", index=index), **shared)


def left(rows: list[Conversation], **settings: Any) -> set[int]:
    return {row.source.index for row in curate(rows, [ExactDedup(**settings)]).kept.rows()}


def test_one_chat_shared_at_two_lengths_has_one_opening() -> None:
    short, long = chat("Wie geht's?", "Gut."), chat("Wie geht's?", "Gut.", "Und sonst?", "Auch.", index=1)
    other = chat("Wie geht's?", "Schlecht.", index=2)
    assert left([short, long, other]) == {0, 1, 2}
    kept = left([short, long, other], of="opening")
    assert len(kept) == 2 and 2 in kept


def test_a_system_message_is_no_part_of_an_opening() -> None:
    plain = chat("q", "a")
    led = Conversation(messages=(Message("system", "Be brief."), *plain.messages), source=Source(digest="d", index=1))
    assert len(left([plain, led], of="opening")) == 1


def test_chats_without_an_answer_are_compared_whole() -> None:
    rows = [chat("one"), chat("two", index=1), chat("two", index=2), Conversation(messages=(), source=Source(index=3))]
    assert left(rows, of="opening") == {0, 1, 3}


def test_records_with_one_id_are_one_whatever_they_say() -> None:
    rows = [chat("q", f"version {i}", index=i, meta={"id": "QWJh_0"}) for i in range(2)]
    rows += [chat("q", "version 0", index=2, meta={"id": "QWJh_1"}), chat("q", "no id", index=3)]
    kept = left(rows, of="record")
    assert {2, 3} < kept and len(kept) == 3


def test_records_without_an_id_are_compared_whole() -> None:
    rows = [chat("q", "a"), chat("q", "a", index=1), chat("q", "b", index=2, meta={"id": None, "lang": "en"})]
    assert left(rows, of="record") == {0, 2}


def test_the_title_says_what_was_compared() -> None:
    assert [ExactDedup(of=of).title for of in ("row", "opening")] == ["exact_dedup", "exact_dedup(opening)"]
    assert ExactDedup(on="prompt", of="record").title == "exact_dedup(prompt, record)"
