"""`curate` on its own: rows from memory or from folders, and every misuse named before a row is touched."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from curation import table
from curation.conversation import Conversation, Message, Preference, Source
from curation.errors import RecipeError, UserError
from curation.frame import to_frame
from curation.operator import OPERATOR_FIELD, Operator
from curation.pipeline import advice, check_operators, curate, scores_made


def chat(text: str, **shared: Any) -> Conversation:
    return Conversation(messages=(Message("user", "q"), Message("assistant", text)), **shared)


def operators(*written: Any) -> list[Operator]:
    return [OPERATOR_FIELD.parse(w) for w in written]


def test_rows_come_from_memory_from_a_frame_or_from_folders(tmp_path: Path) -> None:
    rows = [chat(f"{'word ' * i}", split="train" if i % 2 else "test") for i in range(6)]
    steps = operators("words", {"keep": "words >= 2"})
    wanted = sorted(r.id for r in rows[2:])
    assert [r.id for r in curate(rows, steps).kept.rows()] == wanted
    assert [r.id for r in curate(to_frame(rows, Conversation), steps).kept.rows()] == wanted
    for name, part in (("a", rows[:3]), ("b", rows[3:])):
        table.write(tmp_path / name, to_frame(part, Conversation))
    assert [r.id for r in curate(tmp_path / "b", steps).kept.rows()] == sorted(r.id for r in rows[3:])
    both = curate([(tmp_path / "a", None), (tmp_path / "b", "test")], steps)
    assert [r.id for r in both.kept.rows()] == sorted([rows[2].id, rows[4].id])
    assert both.ledger.entries[0].made == 4


def test_scores_that_only_one_of_the_data_sets_has_are_missing_in_the_other(tmp_path: Path) -> None:
    table.write(tmp_path / "a", to_frame([chat("a", scores={"quality": 1.0})], Conversation))
    table.write(tmp_path / "b", to_frame([chat("b")], Conversation))
    curated = curate([(tmp_path / "a", None), (tmp_path / "b", None)], operators({"keep": "quality > 0"}))
    assert [r.reply for r in curated.kept.rows()] == ["a"]
    assert curated.ledger.dropped() == {"keep(quality > 0): no_quality": 1}


@pytest.mark.parametrize(
    ("written", "warned"),
    [
        (["words", {"language": {"keep": ["en", "zh", "th"]}}], ["words"]),
        ([{"language": {"keep": ["ja"]}}, {"length": {"min_words": 4}}, "words"], ["words", "length"]),
        ([{"language": {"keep": ["zh"]}}, {"length": {"min_chars": 4}}], []),
        ([{"language": {"keep": ["en", "ko", "vi"]}}, "words"], []),  # spaces stand between their words
        ([{"language": {"drop": ["zh"]}}, "words"], []),
        (["words", {"length": {"max_words": 9}}], []),
    ],
)
def test_counting_words_where_none_are_set_apart_is_warned_of(written: list[Any], warned: list[str]) -> None:
    found = advice(operators(*written))
    assert [text.split()[0] for text in found] == warned
    assert all("without spaces" in text for text in found)


def test_offline_vectors_of_other_languages_than_english_are_pointed_out() -> None:
    vi, en = {"language": {"keep": ["en", "vi"]}}, {"language": {"keep": ["en"]}}
    chosen: list[Any] = ["words", {"select": {"by": "words", "budget": 3}}, "semantic_dedup"]
    found = advice(operators(vi, *chosen))
    assert [text.split()[0] for text in found] == ["select", "semantic_dedup"]
    assert all("keeps vi" in text and "potion-multilingual" in text for text in found)
    assert advice(operators(en, *chosen)) == advice(operators(*chosen)) == []
    named = {"semantic_dedup": {"embedding": "minishlab/potion-multilingual-128M"}}
    assert advice(operators(vi, named, "words", {"select": {"by": "words", "max_similarity": None}})) == []


def test_what_cannot_be_curated_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows to curate"):
        curate([], [])
    table.write(tmp_path / "a", [], Conversation)
    table.write(tmp_path / "b", [], Preference)
    with pytest.raises(UserError, match="different kinds: conversations, preferences"):
        curate([(tmp_path / "a", None), (tmp_path / "b", None)], [])
    with pytest.raises(RecipeError, match="needs the score 'wrods'") as caught:
        curate([chat("a")], operators("words", {"keep": "wrods > 1"}))
    assert "did you mean 'words'" in caught.value.hint


def test_a_temporary_folder_goes_with_the_result_and_one_of_yours_stays(tmp_path: Path) -> None:
    curated = curate([chat("a")], operators("words"), work=tmp_path / "work")
    folder = Path(str(curate([chat("a")], operators("words")).kept._folder.path))  # type: ignore[attr-defined]
    del curated
    gc.collect()
    assert not folder.exists()
    assert (tmp_path / "work" / "stages").exists()


def test_the_same_rows_in_any_order_make_the_same_data_set(tmp_path: Path) -> None:
    rows = [chat(f"answer {i % 7}", source=Source(digest="d", index=i)) for i in range(20)]
    for name, given in (("a", rows), ("b", rows[::-1])):
        curate(given, operators("exact_dedup", "words", {"split": {"test": 0.4}})).kept.write(tmp_path / name)
    assert table.digest(tmp_path / "a") == table.digest(tmp_path / "b")
    assert table.count(tmp_path / "a") == 7


@pytest.mark.parametrize(
    ("kind", "written", "what", "hint"),
    [
        ("preferences", ["turns"], "turns works on chats", "`on: prompt` or `on: chosen` or `on: rejected`"),
        ("candidates", ["boilerplate"], "boilerplate works on chats", "`on: prompt` or `on: reply`"),
        ("preferences", ["trim"], "trim works on whole chats, and preferences hold several", "take it out"),
        ("preferences", [{"turns": {"on": "reply"}}], "preferences have no 'reply'", "on: chosen"),
        ("conversations", [{"turns": {"on": "chosen"}}], "conversations have no 'chosen'", "on: prompt"),
        (
            "conversations",
            ["identical_pair"],
            "identical_pair works on candidates and preferences, not on conversations",
            "take it out",
        ),
        ("preferences", [{"identical_pair": {"on": "chosen"}}], "takes no `on`", "remove"),
        ("candidates", [{"words": {"on": "reply"}}], "would give a row several answers", "compare"),
        ("candidates", [{"exact_dedup": {"on": "reply"}}], "would give a row several answers", "compare"),
        ("conversations", [{"keep": "ifd < 1"}], "needs the score 'ifd', which nothing makes", "known here: given"),
        ("conversations", [{"keep": "words > 1"}, "words"], "which words makes after it", "move words up"),
        ("conversations", ["words", {"words": {"of": "chat"}}], "which words made before it", "as: NAME"),
    ],
)
def test_misuse_is_known_without_a_row(kind: str, written: list[Any], what: str, hint: str) -> None:
    found = check_operators(operators(*written), kind, {"given"})
    assert len(found) == 1
    assert what in found[0].what and hint in found[0].hint


def test_what_fits_is_left_alone() -> None:
    good: dict[str, list[Any]] = {
        "conversations": [
            "normalize",
            {"exact_dedup": {"on": "prompt"}},
            "words",
            {"words": {"as": "all", "of": "chat"}},
            {"keep": "words > 1 and all > 2 and given < 1"},
            {"split": {"test": 0.1}},
        ],
        "preferences": ["normalize", "identical_pair", {"words": {"on": "chosen"}}, {"keep": "words_chosen > 1"}],
        "candidates": ["first_sentence", {"length": {"on": "reply", "max_words": 9}}, {"random": {"n": 3}}],
    }
    for kind, written in good.items():
        assert check_operators(operators(*written), kind, {"given"}) == []
    assert check_operators(operators({"keep": "ifd < 1"}), "conversations") == []  # the data may have it
    assert scores_made(operators("words", "turns", {"words": {"as": "n"}})) == {"words", "n"}


def test_checking_operators_loads_nothing_heavy() -> None:
    code = """
import sys
from curation.operator import OPERATOR_FIELD
from curation.pipeline import check_operators
bare = "boilerplate brevity exact_dedup first_sentence identical_pair length_gap normalize roles turns words".split()
some = {**dict.fromkeys(bare), "keep": "a > 1", "length": {"max_words": 3}, "random": {"n": 1}, "split": {"test": 0.1}}
check_operators([OPERATOR_FIELD.parse({name: settings}) for name, settings in some.items()], "conversations")
print([m for m in ("polars", "torch", "transformers", "datasets", "pyarrow", "numpy") if m in sys.modules])
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert out.stdout.strip() == "[]"
