"""Tone marks of oa, oe and uy in one place, in Vietnamese words alone."""

from __future__ import annotations

import unicodedata

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.operators.vietnamese import Tones, placed

# The open syllables on oa, oe and uy with each tone, as dictionaries of the two ways write them: old -> new.
BOTH_WAYS = dict(
    pair.split("/")
    for pair in (
        "hòa/hoà hóa/hoá hỏa/hoả họa/hoạ tòa/toà tỏa/toả tọa/toạ đọa/đoạ lòa/loà lóa/loá lõa/loã ngõa/ngoã xõa/xoã "
        "khóa/khoá thỏa/thoả chóa/choá òa/oà "
        "khỏe/khoẻ xòe/xoè lòe/loè lóe/loé hòe/hoè ọe/oẹ nhòe/nhoè chóe/choé tòe/toè "
        "thủy/thuỷ hủy/huỷ lũy/luỹ tùy/tuỳ tủy/tuỷ túy/tuý ủy/uỷ úy/uý lụy/luỵ thụy/thuỵ nhụy/nhuỵ chúy/chuý kỵ/kỵ"
    ).split()
)
ONE_WAY = (
    "hoàn ngoài toán hoạt khoảng xoắn loét khoẻn huýt khuỷu tuyết nguyễn quý quỳ quả quà quẻ quỵ giá hoa xoe huy mùa "
    "của mía bài cáo kéo"
).split()
MARKER = " được "
"""Holds a letter that only Vietnamese has."""


def place(text: str, tones: Tones) -> str:
    return placed(pl.Series([text]), tones)[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize(("old", "new"), BOTH_WAYS.items())
def test_a_syllable_is_written_either_way(old: str, new: str) -> None:
    for case in (str.lower, str.upper, str.title):
        a, b = case(old), case(new)
        assert (place(MARKER + a, "new"), place(MARKER + b, "old")) == (MARKER + b, MARKER + a)
        assert (place(MARKER + a, "old"), place(MARKER + b, "new")) == (MARKER + a, MARKER + b)
        assert (place(MARKER + a, "keep"), place(MARKER + b, "keep")) == (MARKER + a, MARKER + b)


@pytest.mark.parametrize("word", ONE_WAY)
def test_a_syllable_that_has_one_spelling_stays(word: str) -> None:
    for tones in ("old", "new"):
        assert place(MARKER + word, tones) == MARKER + word


@pytest.mark.parametrize(
    "text",
    [
        "Noè va costruire un'arca",  # Italian
        "Noè i l'arca",  # Catalan
        "Goás, coés i cuý",
        "L'île de Groà est là",
        "oà",  # no letter shows that this is Vietnamese
    ],
)
def test_other_languages_stay(text: str) -> None:
    assert place(text, "old") == text


def test_a_word_inside_another_language_or_a_name_stays() -> None:
    text = "Tiếng Việt: Noèl, oàx, Boà2, xhoà_y"
    assert place(text, "old") == text


def test_punctuation_and_hyphens_end_a_word() -> None:
    assert place("(Hoà-bình), “thuỷ”, khoẻ! Ở đó", "old") == "(Hòa-bình), “thủy”, khỏe! Ở đó"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*BOTH_WAYS, *BOTH_WAYS.values(), *ONE_WAY, "và", "ế", ",", "\n"]), max_size=8))
def test_the_ways_lead_back_to_each_other_and_lose_no_letter(words: list[str]) -> None:
    text = MARKER + " ".join(words)
    old, new = place(text, "old"), place(text, "new")
    assert place(old, "old") == old == place(new, "old")
    assert place(new, "new") == new == place(old, "new")

    def letters(text: str) -> list[str]:
        return sorted(unicodedata.normalize("NFD", text))

    assert letters(old) == letters(new) == letters(text)
