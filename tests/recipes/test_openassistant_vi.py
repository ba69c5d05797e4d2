"""`recipes/openassistant-vi.yaml`: the trees in Vietnamese and no others, judged by a page in Vietnamese."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

from through import RECIPES, operators, through

from curation import table
from curation.artifact import Surroundings, bind, hash_file
from curation.frame import to_frame
from curation.pipeline import curate
from rlhf.recipe.load import load

TALKS = {
    "vi": (
        "Làm thế nào để pha một ấm trà xanh thật ngon ở nhà?",
        "Hãy đun nước đến khoảng tám mươi độ, tráng ấm, cho trà vào rồi đợi hai phút trước khi rót ra chén.",
        "Cứ đổ nước sôi vào rồi uống thôi, không cần phải đợi lâu hay đo nhiệt độ làm gì cho mệt.",
    ),
    "en": (
        "How do I make a good pot of green tea at home?",
        "Heat the water to about eighty degrees, warm the pot, add the leaves and wait two minutes before you pour.",
        "Just pour boiling water over it and drink, there is no need to wait or to measure anything at all.",
    ),
}


def tree(name: str, lang: str, asked: str, *answers: str) -> list[dict[str, Any]]:
    """A flat tree: a prompt and its ranked answers."""
    shared = {"message_tree_id": name, "lang": lang, "deleted": False, "review_result": True, "labels": None}
    first = {"message_id": name, "parent_id": None, "text": asked, "role": "prompter", "rank": None, **shared}
    return [
        first,
        *(
            {"message_id": f"{name}{i}", "parent_id": name, "text": said, "role": "assistant", "rank": i, **shared}
            for i, said in enumerate(answers)
        ),
    ]


def records() -> list[dict[str, Any]]:
    return [message for lang, talk in TALKS.items() for message in tree(lang, lang, *talk)]


def test_vietnamese_threads_stay_and_others_go(tmp_path: Path) -> None:
    found = through("openassistant-vi", records(), tmp_path, chats="threads", without={"split"})
    assert {row.messages[0].content for row in found.kept} == {TALKS["vi"][0]} and len(found.kept) == 2
    assert found.reasons() == {("language", "other_language"): 2}


def test_vietnamese_pairs_stay_and_lie_in_the_split_of_their_tree(tmp_path: Path) -> None:
    threads = through("openassistant-vi", records(), tmp_path, chats="threads", without={"split"})
    folder = tmp_path / "curated"
    rows = [row.with_(split="test") for row in threads.kept]
    table.write(folder, to_frame(rows, type(rows[0])))
    steps = load("openassistant-vi").steps
    entry: Any = steps["ranked"].datasets[0]  # type: ignore[attr-defined]  # an ingest step
    bound = bind(
        entry.model_copy(update={"path": type(entry.path)(str(tmp_path / "threads.jsonl")), "revision": None}),
        Surroundings(tmp_path, hash_file),
    )
    from curation.sources.intake import Intake

    pairs = [row for _, batch in Intake([bound], "preferences").rows() for row in batch]
    curated = curate(pairs, operators(steps["pairs"], {"curated": folder}))
    (pair,) = curated.kept.rows()
    assert (pair.prompt[0].content, pair.chosen[0].content, pair.split) == (*TALKS["vi"][:2], "test")
    assert [reason for _, reason in curated.dropped.frame().select("dropped_by", "reason").iter_rows()] == [
        "other_language"
    ]


def test_one_text_in_two_unicode_forms_and_with_two_places_for_a_tone_is_one(tmp_path: Path) -> None:
    asked, said, _ = TALKS["vi"]
    twice = tree("one", "vi", asked, said + " Vị trà sẽ hoà với nước.")
    twice += tree("two", "vi", unicodedata.normalize("NFD", asked), said + " Vị trà sẽ hòa với nước.")
    found = through("openassistant-vi", twice, tmp_path, chats="threads", without={"split"})
    assert len(found.kept) == 1 and found.reasons() == {("exact_dedup", "duplicate"): 1}


def test_the_judge_reads_a_page_in_vietnamese() -> None:
    report: Any = load("openassistant-vi").steps["report"]
    (judge,) = (j for j in report.judges if j.op == "llm_judge")
    page = (RECIPES / judge.rubric.written).read_text(encoding="utf-8")
    assert unicodedata.is_normalized("NFC", page)
    assert sum(unicodedata.name(c, "").startswith("LATIN SMALL LETTER") and not c.isascii() for c in page) > 200
    english = (RECIPES / "rubrics" / "helpful.md").read_text(encoding="utf-8")
    assert page.count("\n- ") == english.count("\n- "), "the same rules about ties, style, refusals and guessing"
