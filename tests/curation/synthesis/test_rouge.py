"""ROUGE-L: its formula by hand and by another algorithm, in any language, and the nearest of many."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.synthesis.rouge import Pool, ascii_words, rouge_l, unicode_words


def f_by_tables(a: list[str], b: list[str]) -> float:
    """The published formula, with the longest common subsequence by the textbook's table."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    common = table[-1][-1]
    if not common:
        return 0.0
    precision, recall = common / len(b), common / len(a)
    return 2 * precision * recall / (precision + recall)


def test_the_worked_example_of_the_paper() -> None:
    # Lin (2004), section 3.1: "police killed the gunman" has 3 of 4 words in order in the first, 2 of 4 in the second.
    reference = unicode_words(["police killed the gunman"])[0]
    first, second = unicode_words(["police kill the gunman", "the gunman kill police"])
    assert rouge_l(reference, first) == pytest.approx(3 / 4)
    assert rouge_l(reference, second) == pytest.approx(2 / 4)


def test_precision_and_recall_differ_where_lengths_do() -> None:
    # 5 of 9 and 5 of 8 words (the quick brown jumps the): 2 * 5/9 * 5/8 / (5/9 + 5/8) = 10/17.
    a, b = ascii_words(["The quick brown fox jumps over the lazy dog", "The quick brown dog jumps on the log."])
    assert (len(a), len(b)) == (9, 8)
    assert rouge_l(a, b) == pytest.approx(10 / 17) == pytest.approx(f_by_tables(a, b))


@given(st.lists(st.sampled_from("abcdef"), max_size=12), st.lists(st.sampled_from("abcdef"), max_size=12))
def test_it_is_the_published_formula(a: list[str], b: list[str]) -> None:
    assert rouge_l(a, b) == pytest.approx(f_by_tables(a, b))
    assert rouge_l(a, b) == rouge_l(b, a)


WORDS = st.lists(st.sampled_from(["sort", "the", "list", "写", "字", "hòa", "नमस्ते"]), max_size=8)


@settings(max_examples=60)
@given(st.lists(WORDS, max_size=8), WORDS)
def test_the_nearest_is_the_one_with_the_highest_f(kept: list[list[str]], new: list[str]) -> None:
    pool = Pool()
    for words in kept:
        pool.add(words)
    similarity, place = pool.nearest(new)
    every = [f_by_tables(words, new) for words in kept]
    assert similarity == pytest.approx(max(every, default=0.0))
    if place >= 0:
        assert every[place] == pytest.approx(similarity)
    else:
        assert similarity == 0


def test_a_similarity_that_is_the_bound_is_exactly_the_bound() -> None:
    # 7 words in common of 10 and 10: 0.7, which is not above 0.7.
    pool = Pool()
    pool.add("a b c d e f g h i j".split())
    assert pool.nearest("a b c d e f g x y z".split()) == (0.7, 0)


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("请把下面的句子翻译成英文", "请把下面的句子翻译成法文", "写一首关于春天的短诗"),
        (
            "Hãy hoà giải hai người bạn đang giận nhau",
            "Hãy hòa giải hai người bạn đang giận nhau",
            "Kể tên ba loại quả",
        ),
        ("اكتب رسالة شكر إلى معلمتك", "اكتب رسالة شكر إلى جارتك", "كم يوما في السنة الكبيسة؟"),
        ("नीचे दिए गए वाक्य को सरल बनाइए", "नीचे दिए गए वाक्य को छोटा बनाइए", "वर्षा पर एक कविता लिखिए"),
        ("สรุปข้อความต่อไปนี้ให้สั้นลง", "สรุปข้อความต่อไปนี้ให้ยาวขึ้น", "บอกชื่อผลไม้สามชนิด"),
        ("次の文章を要約してください", "次の文章を翻訳してください", "三つの果物の名前を挙げて"),
    ],
)
def test_every_language_has_words(text: str, near: str, far: str) -> None:
    a, b, c = unicode_words([text, near, far])
    assert rouge_l(a, b) >= 0.7 > 0.4 > rouge_l(a, c)


def test_equal_words_are_equal_however_they_were_typed() -> None:
    composed, decomposed, new_way = unicode_words(["Cửa hòa", "Cửa hòa", "cửa hoà"])
    assert composed == decomposed == new_way == ["cửa", "hòa"]


def test_the_ascii_rule_tears_words_and_sees_no_other_script() -> None:
    assert ascii_words(["Can't stop: résumé_2!", "写一首诗"]) == [["can", "t", "stop", "r", "sum", "2"], []]
    assert rouge_l(*ascii_words(["写一首诗", "写一首诗"])) == 0.0  # so no copy would ever be found


def test_nothing_is_like_nothing() -> None:
    pool = Pool()
    assert pool.nearest(["a"]) == (0.0, -1)
    pool.add([])
    assert pool.nearest([]) == (0.0, -1) and pool.nearest(["a"]) == (0.0, -1)
