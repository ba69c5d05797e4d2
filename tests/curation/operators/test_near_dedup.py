"""`near_dedup`: likeness is the Jaccard similarity of shingles, worked out here by hand or by plain Python sets."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest

from curation.conversation import Conversation, Message, Source
from curation.operators.near_dedup import NearDedup
from curation.pipeline import Curated, curate

ALPHABETS = {
    "English": "river stone window garden letter morning bridge candle forest market silver paper".split(),
    "Vietnamese": "buổi sáng con đường ngôi nhà dòng sông mùa hè quyển sách bữa cơm".split(),
    "Arabic": "بيت نهر كتاب مدينة صباح شجرة باب سوق طريق بحر جبل قلم".split(),
    "Hindi": "नदी किताब सुबह शहर बाज़ार पेड़ घर पानी रास्ता पहाड़ दोस्त कहानी".split(),
    "Korean": "강물 책상 아침 도시 시장 나무 창문 바다 편지 친구 저녁 노래".split(),
}
LETTERS = {
    "Chinese": "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结为霜",
    "Japanese": "あいうえおかきくけこさしすせそたちつてと山川田中空海花鳥風月春夏秋冬",
    "Thai": "กขคงจฉชซญดตถทธนบปผฝพฟภมยรลวศสหอ",
}


def chat(text: str, index: int = 0, **shared: Any) -> Conversation:
    source = Source(digest="d", index=index)
    return Conversation(messages=(Message("user", "q"), Message("assistant", text)), source=source, **shared)


def text(language: str, drawn: random.Random, size: int) -> list[str]:
    """So many words, or letters where words have no spaces between them, drawn at random: no two texts share a run."""
    return drawn.choices(ALPHABETS.get(language) or list(LETTERS[language]), k=size)


def written(language: str, pieces: list[str]) -> str:
    return ("" if language in LETTERS else " ").join(pieces)


def run(rows: list[Conversation], **how: Any) -> Curated:
    return curate(rows, [NearDedup(**how)])


@pytest.mark.parametrize("language", [*ALPHABETS, *LETTERS])
def test_in_every_language_copies_with_few_changes_go_and_others_stay(language: str) -> None:
    """Of 300 pieces one is exchanged: at most 5 of 296 runs differ on each side, so J >= 291/301 = 0.97. In the distant
    copy every 10th is: at least half of the runs of five are new, so J <= 0.5 / 1.5 = 0.33.
    """
    drawn = random.Random(language)
    rows, near = [], set()
    for i in range(0, 60, 3):
        pieces = text(language, drawn, 300)
        close, distant = list(pieces), list(pieces)
        close[drawn.randrange(300)] = text(language, drawn, 1)[0]
        for at in range(0, 300, 8):
            distant[at] = text(language, drawn, 1)[0] + ("" if language in LETTERS else "x")
        if language in LETTERS:
            for at in range(0, 300, 8):
                distant[at] = "龘"
        trio = [chat(written(language, p), i + n) for n, p in enumerate((pieces, close, distant))]
        rows += trio
        near |= {trio[0].id, trio[1].id}
    curated = run(rows)
    gone = {row.id for row in curated.dropped.rows()}
    assert len(gone) == 20
    assert gone <= near, "of each original and its close copy, one; no distant copy"


def test_case_punctuation_and_white_space_count_for_nothing() -> None:
    words = text("English", random.Random(1), 60)
    curated = run([chat(" ".join(words)), chat(",\n".join(words).upper() + "!", 1)])
    assert curated.ledger.dropped() == {"near_dedup: near_duplicate": 1}


def test_the_row_that_stays_is_named_beside_the_one_that_goes() -> None:
    words = text("English", random.Random(2), 80)
    rows = [chat(" ".join(words[: 80 - n]), n) for n in range(3)]
    curated = run(rows)
    (kept,) = curated.kept.rows()
    assert kept.id == min(row.id for row in rows)
    assert curated.dropped.frame()["evidence"].to_list() == [kept.id] * 2


def test_the_row_with_the_highest_score_stays() -> None:
    words = text("English", random.Random(3), 80)
    rows = [chat(" ".join(words[: 80 - n]), n, scores={"points": float(p)}) for n, p in enumerate((1, 3, 2))]
    assert [row.scores["points"] for row in run(rows, prefer="points").kept.rows()] == [3.0]


def test_what_stays_depends_on_no_order() -> None:
    drawn = random.Random(4)
    rows = []
    for i in range(40):
        words = text("English", drawn, 100)
        rows += [chat(" ".join(words), 2 * i), chat(" ".join(words[:97]), 2 * i + 1)]
    kept = [row.id for row in run(rows).kept.rows()]
    drawn.shuffle(rows)
    assert [row.id for row in run(rows).kept.rows()] == kept
    assert len(kept) == 40


def test_good_and_bad_answers_are_not_compared() -> None:
    words = " ".join(text("English", random.Random(5), 60))
    rows = [chat(words, 0, label=True), chat(words + " end", 1, label=False)]
    assert len(run(rows).kept) == 2


def test_the_threshold_is_jaccard_similarity() -> None:
    """100 words have 96 runs of five. The first 81 words have 77 of them: J = 77/96 = 0.80 (the question has none)."""
    words = text("English", random.Random(6), 100)
    rows = [chat(" ".join(words)), chat(" ".join(words[:81]), 1)]
    assert len(run(rows, threshold=0.65).kept) == 1
    assert len(run(rows, threshold=0.95).kept) == 2


def test_state_is_no_more_than_200_bytes_a_row() -> None:
    frame = pl.DataFrame([])
    rows = [chat(" ".join(text("English", random.Random(i), 400)), i) for i in range(64)]
    from curation.engines.barriers import table_of
    from curation.frame import to_frame

    frame = table_of(to_frame(rows, Conversation), NearDedup())
    assert frame.estimated_size() / len(frame) <= 200
