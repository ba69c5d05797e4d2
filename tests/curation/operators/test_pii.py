"""Rows with personal data: placeholders in its place, the same ones for the same data, or the row goes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.conversation import Answer, Candidates, Conversation, Message, Preference
from curation.engines.batch import Batch, through
from curation.frame import to_frame, to_rows
from curation.operators.pii import Pii

MAIL, OTHER, PHONE = "an.nguyen@congty.vn", "Bob@Acme-Works.org", "0912 345 678"


def chat(*texts: str, extra: str | None = None) -> Conversation:
    roles = ("user", "assistant") * len(texts)
    return Conversation(messages=tuple(Message(r, t, extra) for r, t in zip(roles, texts, strict=False)))


def run(rows: list[Any], **settings: Any) -> tuple[list[Any], Any, Batch]:
    batch = through(Batch(to_frame(rows, type(rows[0]))), [Pii(**settings)])
    assert batch.entries[0].problem() is None
    return to_rows(batch.frame), batch.entries[0], batch


def redacted(text: str, **settings: Any) -> str:
    return Pii(**settings).map(chat(text))[0].messages[0].content  # type: ignore[no-any-return]


def test_placeholders_take_the_place_of_data_and_the_rest_of_the_text_stays() -> None:
    before = f"Viết cho {MAIL}, hoặc gọi {PHONE}!\n\n  if x:  # {OTHER}"
    assert redacted(before) == "Viết cho [EMAIL], hoặc gọi [PHONE]!\n\n  if x:  # [EMAIL]"
    assert redacted(before, kinds=["email"], placeholder="<{kind}>").startswith(f"Viết cho <EMAIL>, hoặc gọi {PHONE}!")
    assert redacted(redacted(before)) == redacted(before)


def test_the_same_data_have_the_same_number_all_through_a_chat() -> None:
    row = chat(f"{MAIL} or {OTHER}?", f"{OTHER.lower()}, not {MAIL}.", "+84 912 345 678", PHONE)
    made = Pii(numbered=True).map(row)[0]
    assert [m.content for m in made.messages] == [
        "[EMAIL_1] or [EMAIL_2]?",
        "[EMAIL_2], not [EMAIL_1].",
        "[PHONE_1]",
        "[PHONE_1]",
    ]


def test_every_kind_of_row_is_redacted_and_nothing_else_of_it() -> None:
    ask, said = Message("user", MAIL), Message("assistant", f"a {MAIL}", '{"name":"n"}')
    clean = (Message("user", "[EMAIL_1]"),)
    pair = Preference(
        prompt=(ask,), chosen=(said,), rejected=(Message("assistant", OTHER),), weight=0.5, scores={"m": 1.0}
    )
    rows, entry, _ = run([pair, pair.with_(prompt=(), chosen=(), rejected=())], numbered=True)
    assert (
        pair.with_(
            prompt=clean,
            chosen=(Message("assistant", "a [EMAIL_1]", '{"name":"n"}'),),
            rejected=(Message("assistant", "[EMAIL_2]"),),
        )
        in rows
    )
    assert (entry.edited, entry.kept) == (1, 2)
    row = Candidates(prompt=(ask,), answers=(Answer(f"b {OTHER}", "p", False), Answer("c")))
    assert Pii(numbered=True).map(row) == [
        row.with_(prompt=clean, answers=(Answer("b [EMAIL_2]", "p", False), Answer("c")))
    ]
    assert Pii().map_frame(to_frame([], Conversation)).is_empty()


def test_arguments_of_tool_calls_are_texts_too() -> None:
    call = '{"tool_calls":[{"function":{"arguments":"{\\"to\\": \\"%s\\"}","name":"mail"},"id":"c1"}]}'
    row = Conversation(messages=(Message("assistant", "", call % MAIL),))
    assert Pii().map(row)[0].messages[0].extra == call % "[EMAIL]"
    assert Pii().map(Conversation(messages=(Message("assistant", "", call % "x"),)))[0].messages[0].extra == call % "x"


@pytest.mark.parametrize(
    ("text", "reason", "evidence"),
    [
        (f"{MAIL} and {OTHER}", "email", "2 email"),
        (f"{PHONE}, {MAIL}", "email", "1 email, 1 phone"),
        (f"Gọi {PHONE}", "phone", "1 phone"),
        ("from 45.83.12.201", "ip", "1 ip"),
        ("IBAN GB82 WEST 1234 5698 7654 32", "iban", "1 iban"),
        ("card 4539 1488 0343 6467", "card", "1 card"),
        ("SSN 536-90-4399", "national_id", "1 national_id"),
        ("use sk-proj-Zk3vQ9xT7bLm2NcR8yWd4HfJ", "key", "1 key"),
        ("Write to us.", None, None),
        ("mail me at jane@example.com", None, None),
    ],
)
def test_a_row_that_holds_some_goes_by_its_kind_and_the_evidence_repeats_none_of_it(
    text: str, reason: str | None, evidence: str | None
) -> None:
    rows, entry, batch = run([chat("q", text)], action="drop")
    if reason is None:
        assert rows == [chat("q", text)] and entry.edited == 0
    else:
        assert (rows, entry.dropped) == ([], {reason: 1})
        assert batch.dropped[0]["evidence"].to_list() == [evidence]
        assert to_rows(batch.dropped[0]) == [chat("q", text)]


def test_a_wallet_counts_only_where_it_is_asked_for() -> None:
    text = "Pay to 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2, please."
    assert redacted(text) == text
    assert redacted(text, kinds=["wallet"]) == "Pay to [WALLET], please."


def test_a_frame_and_its_rows_one_by_one_come_to_the_same() -> None:
    rows = [chat(f"{i} {MAIL if i % 3 else ''}", PHONE if i % 2 else "nothing") for i in range(12)]
    made = to_rows(Pii(numbered=True).map_frame(to_frame(rows, Conversation)))
    assert made == [Pii(numbered=True).map(row)[0] for row in rows]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([MAIL, OTHER, PHONE, "a", " ", "\n", "é", "你好", "12", "@", "+", "sk-"]), max_size=9))
def test_redacting_twice_redacts_no_more(pieces: list[str]) -> None:
    once = Pii(numbered=True).map(chat(" ".join(pieces)))[0]
    assert Pii(numbered=True).map(once) == [once]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kinds": []}, "nothing to look for"),
        ({"identities": ["VM"]}, "no identity numbers of 'VM'"),
        ({"regions": ["Vietnam"]}, "two capital letters"),
        ({"placeholder": "***"}, "holds {kind} once"),
        ({"placeholder": "{kind} {n}"}, "holds {kind} once"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Pii(**settings)
