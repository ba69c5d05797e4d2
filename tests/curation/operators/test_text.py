"""What a word is, in any script; texts in normal form; and the scorers that count."""

from __future__ import annotations

import math
import unicodedata

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.conversation import Candidates, Conversation, Message, Preference
from curation.frame import to_frame
from curation.operators.brevity import Brevity
from curation.operators.normalize import Normalize, tidy
from curation.operators.text import composed, count_words, squeezed
from curation.operators.words import Words


def chat(*texts: str, **shared: object) -> Conversation:
    roles = ("user", "assistant") * len(texts)
    return Conversation(messages=tuple(Message(r, t) for r, t in zip(roles, texts, strict=False)), **shared)  # type: ignore[arg-type]


def test_words_are_those_of_the_example_in_unicode_annex_29() -> None:
    assert count_words(['The quick ("brown") fox can’t jump 32.3 feet, right?']) == [9]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("... -- !", 0),
        ("naïve cafe\u0301", 2),
        ("1,000,000 people", 2),
        ("well-known", 2),  # the annex breaks at hyphens
        ("你好，世界", 4),
        ("私はGPTです", 5),
        ("カタカナ", 1),
        ("안녕 하세요", 2),
        ("नमस्ते दुनिया", 2),
        ("Xin chào các bạn", 4),
        ("привет, мир", 2),
    ],
)
def test_words_in_other_scripts(text: str, words: int) -> None:
    assert count_words([text]) == [words]


def test_the_score_words_counts_the_answer_or_all_that_was_said() -> None:
    row = chat("How are you?", "Fine, thanks.")
    assert Words().score([row, chat("one two three")]) == [2.0, 3.0]
    assert Words(of="chat").score([row]) == [5.0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("plain text\n    indented, with  two spaces", "plain text\n    indented, with  two spaces"),
        ("a\r\nb\rc\u2028d\x0be", "a\nb\nc\nd\ne"),
        ("no\u00a0break\u3000wide\u2009thin", "no break wide thin"),
        ("ends  \nof lines\t\n", "ends\nof lines"),
        ("  around \n", "around"),
        ("one\n\n\n\n\ntwo", "one\n\ntwo"),
        ("zero\u200bwidth\ufeff, soft\u00adhyphen, bell\x07", "zerowidth, softhyphen, bell"),
        ("evil \u202etxt.exe", "evil txt.exe"),
        ("cafe\u0301", "café"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # Persian needs its joiners
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
        ("", ""),
    ],
)
def test_normal_form(before: str, after: str) -> None:
    assert Normalize().map(chat("q", before))[0].reply == after


NASTY = st.text(st.sampled_from("ab \t\n\r\x0b\x07\u00a0\u200b\u2028\u0301e\u00ad\u3000é가ᄀ\u1161"), max_size=20)


@settings(max_examples=100, deadline=None)
@given(st.lists(NASTY, min_size=1, max_size=20))
def test_normalizing_twice_changes_nothing_more(texts: list[str]) -> None:
    once = tidy(pl.Series(texts, dtype=pl.String))
    assert tidy(once).to_list() == once.to_list()
    for text in once:
        assert text == text.strip() == unicodedata.normalize("NFC", text)
        assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in text)
        assert "\n\n\n" not in text and " \n" not in text


def test_every_text_of_every_kind_of_row_is_normalized_and_nothing_else() -> None:
    from curation.conversation import Answer

    ask, said = Message("user", "q\u200b"), Message("assistant", " a", '{"name":"x"}')
    pair = Preference(prompt=(ask,), chosen=(said,), rejected=(ask,), weight=0.5)
    done = Normalize().map(pair)[0]
    clean = (Message("user", "q"),)
    assert done == pair.with_(prompt=clean, chosen=(Message("assistant", "a", '{"name":"x"}'),), rejected=clean)
    row = Candidates(prompt=(ask,), answers=(Answer(" a ", "p", False),))
    assert Normalize().map(row) == [row.with_(prompt=clean, answers=(Answer("a", "p", False),))]
    assert Normalize().map_frame(to_frame([], Conversation)).is_empty()


def formula(words: int, finished: bool) -> float:
    """Brevity as its module states it."""
    return 32 / (32 + words) - (0 if finished else 2) if words else -2.0


@pytest.mark.parametrize(
    ("reply", "meta", "score"),
    [
        ("Yes.", {}, formula(1, True)),
        ("Yes", {}, formula(1, False)),
        ("word " * 31 + "word.", {}, 0.5),
        ("He said “stop.”", {}, formula(3, True)),
        ("好的。", {}, formula(2, True)),
        ("```\nx = 1\n```", {}, formula(2, True)),
        ("Steps:\n1. Go\n2.", {}, formula(4, False)),
        ("It is 2.", {}, formula(3, True)),
        ("So that is it", {"finished": True}, formula(4, True)),  # it ended by itself
        ("So that is it.", {"finished": False, "tree": "x"}, formula(4, False)),  # it was cut
        ("", {}, -2.0),
        ("...", {"finished": True}, -2.0),
    ],
)
def test_brevity_follows_its_formula(reply: str, meta: dict[str, object], score: float) -> None:
    found = Brevity().score([chat("q", reply, meta=meta)])[0]
    assert math.isclose(found, score, abs_tol=1e-12)


@given(st.integers(1, 5000), st.integers(1, 5000))
@settings(max_examples=50, deadline=None)
def test_brevity_puts_finished_first_and_short_next(a: int, b: int) -> None:
    def score(words: int, finished: bool) -> float:
        return Brevity().score([chat("q", "x " * words, meta={"finished": finished})])[0]

    assert score(a, True) > score(b, False) + 1  # far below
    for finished in (True, False):
        assert (score(a, finished) > score(b, finished)) == (a < b)


def test_composing_skips_no_text_that_it_would_change() -> None:
    """By the Unicode database that Python carries: each character alone, after a letter, and every second half."""
    import sys

    points = [chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i < 0xE000]
    decomposed = {c: unicodedata.normalize("NFD", c) for c in points}
    texts = [d for c, d in decomposed.items() if d != c] + [c for c in points if unicodedata.combining(c)]
    texts += [c for c in points if unicodedata.normalize("NFC", c) != c]
    texts += [letter + c for letter in "aか" for c in points if unicodedata.combining(c)]
    texts += ["a" + a + b for a in "\u0323\u0345\u05b7\u0e48\u302a" for b in points if unicodedata.combining(b)]
    series = pl.Series(texts)
    assert composed(series).to_list() == [unicodedata.normalize("NFC", t) for t in texts]
    assert len(texts) > 10_000


@settings(max_examples=50, deadline=None)
@given(st.lists(NASTY, min_size=1, max_size=20))
def test_squeezed_texts_have_single_spaces_alone(texts: list[str]) -> None:
    found = pl.DataFrame({"t": texts}, schema={"t": pl.String}).select(squeezed(pl.col("t")))["t"]
    assert found.to_list() == [unicodedata.normalize("NFC", " ".join(t.split())) for t in texts]
