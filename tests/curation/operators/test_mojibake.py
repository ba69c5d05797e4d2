"""Mojibake is repaired where it is beyond doubt, as ftfy repairs it, and honest text stays."""

from __future__ import annotations

import ftfy
import ftfy.bad_codecs  # registers sloppy-windows-1252
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.operators.mojibake import SUSPECT, is_sure, repaired
from curation.operators.normalize import tidy

SENTENCES = {
    "ar": "مرحبا بالعالم",
    "de": "Größe und Übermut",
    "emoji": "what a nice 😀 day",
    "es": "¿Qué tal, señor?",
    "fr": "Où est le garçon ? Déjà là-bas.",
    "hi": "नमस्ते दुनिया",
    "ja": "こんにちは",
    "ko": "안녕하세요",
    "pl": "Zażółć gęślą jaźń",
    "quotes": "It’s “fine” – really…",
    "ru": "Привет, мир",
    "th": "สวัสดีชาวโลก",
    "tr": "Işık, ağaç, çiçek, şöyle",
    "vi": "Tiếng Việt rất đẹp, và tôi thích phở.",
    "zh": "你好，世界",
}


def repair(text: str) -> str:
    return repaired(pl.Series([text]))[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("encoding", ["latin-1", "sloppy-windows-1252"])
@pytest.mark.parametrize("language", SENTENCES)
def test_a_text_in_any_language_that_was_read_wrongly_comes_back(language: str, encoding: str) -> None:
    text = SENTENCES[language]
    wrong = text.encode().decode(encoding)
    assert repair(wrong) == ftfy.fix_encoding(wrong) == text
    assert repair(text) == text


def test_a_text_that_was_read_wrongly_three_times_comes_back() -> None:
    wrong = text = "Đường Nguyễn Huệ"
    for _ in range(3):
        wrong = wrong.encode().decode("sloppy-windows-1252")
    assert repair(wrong) == text


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("âœ” No problems", "✔ No problems"),
        ("The Mona Lisa doesnÃƒÂ¢Ã¢â€šÂ¬Ã¢â€žÂ¢t have eyebrows.", "The Mona Lisa doesn’t have eyebrows."),
        ("l’humanitÃ©", "l’humanité"),
        ("(à¸‡'âŒ£')à¸‡", "(ง'⌣')ง"),
        ("IL Y MARQUÉ…", "IL Y MARQUÉ…"),
    ],
)
def test_the_worked_examples_of_ftfy(wrong: str, right: str) -> None:
    """From the documentation of ftfy, https://ftfy.readthedocs.io."""
    assert repair(wrong) == ftfy.fix_encoding(wrong) == right


@pytest.mark.parametrize(
    "text",
    [
        "NÃO» disse ela",  # letters and quotation marks that happen to be UTF-8 when read as bytes
        "il dit «À» puis «É…»",
        "ĐÃ” nói",
        "an area of 112 Å²",
        "Write é, and if you see Ã© instead of é, the encoding is wrong.",
        "schÃ¶n, nicht schön",  # half of it was read rightly: nobody knows which half is meant
        "Ça coûte 5 € – déjà",
        "naïve café",
        "plain ASCII",
        "",
    ],
)
def test_honest_text_and_text_about_mojibake_stay(text: str) -> None:
    assert repair(text) == text


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("aé’“”…—–Ãâ€™Â©ðŸº ñ̈ế日я😀\x80\x9d"), max_size=12), st.integers(0, 2))
@example("Ã©", 1)
@example("â€™", 2)
def test_repairing_twice_repairs_no_more(text: str, times: int) -> None:
    for _ in range(times):
        text = text.encode().decode("sloppy-windows-1252")
    once = tidy(pl.Series([text]))
    assert tidy(once).to_list() == once.to_list()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20))
def test_what_is_left_alone_is_left_as_it_was(text: str) -> None:
    """Nothing is repaired that has no suspect sequence, and nothing that is in doubt."""
    if not pl.Series([text]).str.contains(SUSPECT)[0] or not is_sure(text):
        assert repair(text) == text


def test_a_missing_text_stays_missing() -> None:
    assert repaired(pl.Series(["cafÃ©", None, "x"])).to_list() == ["café", None, "x"]
