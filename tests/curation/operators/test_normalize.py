"""What `normalize` adds to plain Unicode and white space: mojibake, Vietnamese tones, joiners, escape codes."""

from __future__ import annotations

import unicodedata
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.conversation import Conversation, Message
from curation.engines.batch import Batch, through
from curation.frame import to_frame, to_rows
from curation.operators.normalize import Normalize, tidy


def answer(text: str, **settings: Any) -> str:
    row = Conversation(messages=(Message("user", "q"), Message("assistant", text)))
    return Normalize(**settings).map(row)[0].reply  # type: ignore[no-any-return]


ENGLAND = "🏴" + "".join(chr(0xE0000 + ord(c)) for c in "gbeng\x7f")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Tiáº¿ng Viá»‡t", "Tiếng Việt"),
        ("\ufeffTiáº¿ng\u00a0Viá»‡t\r\n", "Tiếng Việt"),  # what is around mojibake is tidied too
        ("Ho\u0061\u0300 bi\u0300nh là điều", "Hòa bình là điều"),  # decomposed letters first, then the tone's place
        ("\x1b[31mred\x1b[0m alert", "red alert"),
        ("a\u200cb", "ab"),  # Latin letters do not join
        ("می\u200c\u200cخواهم", "می\u200cخواهم"),  # one is enough
        ("क्\u200dष", "क्\u200dष"),  # Hindi: the half letter
        (ENGLAND, ENGLAND),
        ("plain\U000e0068\U000e0069 text", "plain text"),  # tags outside of a flag are hidden text
        ("if x:\n\treturn  1", "if x:\n\treturn  1"),
        ("สวัสดี  ชาวโลก", "สวัสดี  ชาวโลก"),
        ("مرحبا\u202cبك", "مرحبابك"),
        ("一\u3000二", "一 二"),
    ],
)
def test_texts_in_normal_form(before: str, after: str) -> None:
    assert answer(before) == after == answer(after)


def test_settings_leave_mojibake_and_tones_alone() -> None:
    assert answer("Tiáº¿ng Viá»‡t", mojibake=False) == "Tiáº¿ng Viá»‡t"
    both = "hòa hoà được"
    assert answer(both) == "hòa hòa được"
    assert answer(both, vietnamese_tones="new") == "hoà hoà được"
    assert answer(both, vietnamese_tones="keep") == both


PIECES = st.sampled_from(
    "a b \t \r\n \x0b \x1b[1m \x1b [ 1m \u200b \u200c \u200d \u0301 e \u00ad Ã © Ã© â€™ Tiáº¿ng hoà hòa o à ế ượ".split(
        " "
    )
    + "👩 🏴 \U000e0067 م ก क् 日 \u202e \xc2 Ð Ÿ Ñ €".split(" ")
    + [" ", "\n", "\r", "\x85", "\xa0", "\u2028", "\u3000"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=10).map("".join), min_size=1, max_size=5))
def test_twice_is_once_and_each_text_is_read_alone(texts: list[str]) -> None:
    once = tidy(pl.Series(texts))
    assert tidy(once).to_list() == once.to_list()
    assert [tidy(pl.Series([text]))[0] for text in texts] == once.to_list()
    for text in once:
        assert text == unicodedata.normalize("NFC", text).strip()


def test_an_edit_is_counted_and_an_untouched_row_is_not() -> None:
    rows = [Conversation(messages=(Message("user", text),)) for text in ("clean", "cafÃ©", "a\u200bb", "hòa được")]
    batch = through(Batch(to_frame(rows, Conversation)), [Normalize()])
    assert [row.messages[0].content for row in to_rows(batch.frame)] == ["clean", "café", "ab", "hòa được"]
    entry = batch.entries[0]
    assert (entry.made, entry.kept, entry.edited, entry.children, entry.dropped) == (4, 4, 2, 0, {})
