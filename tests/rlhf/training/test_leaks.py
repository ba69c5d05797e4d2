"""What is held out must not have been trained on, in any of the ways in which it may have been."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from small_runs import Make, Run, assistant, chat, model_ref, user

from curation.conversation import Conversation, Source
from curation.errors import UserError
from curation.frame import to_frame
from curation.operators.near_dedup import near
from rlhf.steps.sft import Sft
from rlhf.training.columns import held_out_rows, training_rows
from rlhf.training.leaks import alike, refuse_overlap


@pytest.mark.parametrize("how", ["same row", "child of it", "same parent", "same record", "same tree"])
def test_rows_of_one_lineage_on_both_sides_are_refused(rows_ref: Make, how: str) -> None:
    first = chat(0, split="train")
    other = chat(1, split="test")
    second = {
        "same row": first.with_(split="test", source=Source(digest="other", index=7)),
        "child of it": other.with_(parent=first.id),
        "same parent": other.with_(parent="p"),
        "same record": other.with_(source=first.source),
        "same tree": other.with_(meta={"tree": "t"}),
    }[how]
    if how == "same parent":
        first = first.with_(parent="p")
    if how == "same tree":
        first = first.with_(meta={"tree": "t"})
    ref = rows_ref([first, second, chat(2, split="train"), chat(3, split="test")])
    held = held_out_rows([ref])
    assert held is not None
    with pytest.raises(UserError, match="1 of 2 held-out rows") as caught:
        refuse_overlap(training_rows([ref]), held)
    assert second.id in caught.value.what
    assert "by: tree" in caught.value.hint


def test_rows_without_an_origin_share_none() -> None:
    from curation.conversation import Conversation
    from curation.frame import to_frame

    a, b = (to_frame([chat(i).with_(source=Source())], Conversation) for i in range(2))
    refuse_overlap(a, b)


def said(*texts: str) -> pl.DataFrame:
    """Chats with a question of its own each, and these answers."""
    rows = [Conversation(messages=(user(f"{text[-4:]} {len(text)}?"), assistant(text))) for text in texts]
    return to_frame(rows, Conversation)


WORDS = [f"word{i}" for i in range(60)]


def test_near_duplicates_are_told_by_the_share_of_their_runs_of_five_words() -> None:
    text = " ".join(WORDS)  # 56 runs of five words; without its last word it shares 55 of 56
    half = " ".join([*WORDS[:30], *(f"other{i}" for i in range(30))])  # shares 26 of 86
    train = said("quite another text, about nothing of that", text)
    test = said(" ".join(WORDS[:-1]), half, text.upper() + "!")
    found = near(test, train)
    assert set(found["id"]) == {test["id"][0], test["id"][2]}
    assert set(found["near"]) == {train["id"][1]}
    assert len(near(test, train.head(1))) == 0
    assert len(near(train, train, threshold=1.0)) == 2


def test_what_is_nearly_or_asks_the_same_is_said_with_an_example() -> None:
    text = " ".join(WORDS)
    train, test = said(text, "short"), said(text + " and more", "nothing of the kind, at all")
    (only,) = alike(train, test)
    assert "1 of 2 held-out rows say nearly what a row that is trained on says" in only
    assert test["id"][0][:12] in only
    assert train["id"][0][:12] in only
    assert "near_dedup" in only
    again = to_frame([Conversation(messages=(user(" HORT  5?"), assistant("an answer of its own")))], Conversation)
    (only,) = alike(train, again)
    assert "1 of 1 held-out rows ask what a row that is trained on asks" in only
    assert "by: prompt" in only


def test_a_run_keeps_the_leak_in_its_manifest(micro: Path, rows_ref: Make, run_step: Run) -> None:
    rows = [chat(i) for i in range(6)]
    copy = rows[0].with_(messages=(*rows[0].messages[:1], assistant(rows[0].reply.upper())), split="test")
    ref = rows_ref([*(row.with_(split="train") for row in rows), copy.with_(source=Source())])
    step = Sft(data=[ref], policy=model_ref(micro), lora_r=2, max_steps=1, global_batch_size=2)
    _, _, room = run_step(step, beside=micro)
    assert [w for w in room.warnings if "say nearly what a row" in w]
    assert [w for w in room.warnings if "ask what a row" in w]
