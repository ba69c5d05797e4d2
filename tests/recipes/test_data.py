"""The data that recipes come with: distinct, of the promised shape, and with every planted fault found where its table
says."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from curation.conversation import Conversation, Preference
from curation.pipeline import curate
from curation.sources.intake import read_rows
from rlhf.recipe.load import load

DATA = Path(__file__).parents[2] / "recipes" / "data"


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def planted() -> dict[tuple[str, str], int]:
    """(found by, reason) -> lines, from the table in the README."""
    found: Counter[tuple[str, str]] = Counter()
    for line in (DATA / "README.md").read_text(encoding="utf-8").split("## What is planted")[1].splitlines():
        cells = [cell.strip(" `") for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[1].isdigit():
            found[cells[2], cells[3]] += int(cells[1])
    return dict(found)


@pytest.fixture(scope="module")
def quickstart() -> dict[str, Any]:
    """What quickstart's own operators make of its chats."""
    rows, reading = read_rows(DATA / "quickstart_chats.jsonl", "sharegpt")
    curated = curate(rows, load("quickstart").steps["curated"].operators)  # type: ignore[attr-defined]  # a curate step
    return {"reading": reading, "ledger": curated.ledger, "kept": curated.kept.rows()}


def test_every_planted_fault_is_found_where_the_table_says(quickstart):
    found = {("ingest", reason): n for reason, n in quickstart["reading"].malformed.items()}
    for entry in quickstart["ledger"].entries:
        for reason, n in entry.dropped.items():
            found[re.split(r"\W", entry.operator)[0], reason] = n
    assert found == {key: n for key, n in planted().items() if key[1] != "kept"}


def test_nothing_but_planted_lines_is_lost(quickstart):
    faults = sum(planted().values())
    assert quickstart["reading"].records == 262 + faults
    assert len(quickstart["kept"]) == 262 + planted()["nothing in this recipe", "kept"]


def test_the_chats_are_in_ten_languages(quickstart):
    scripts = Counter(
        script
        for row in quickstart["kept"]
        for script in {unicodedata.name(c, "").split()[0] for m in row.messages for c in m.content if c.isalpha()}
    )
    for script in ("LATIN", "CJK", "HIRAGANA", "ARABIC", "DEVANAGARI"):
        assert scripts[script] >= 6, script
    text = " ".join(m.content for row in quickstart["kept"] for m in row.messages)
    for word in (" nicht ", " l'eau ", " ¿", " não ", " không "):
        assert word in text, word


def test_several_chats_have_more_than_one_question(quickstart):
    assert sum(len(row.messages) > 2 for row in quickstart["kept"]) >= 30


def test_the_prompts_are_distinct_short_and_open():
    rows, reading = read_rows(DATA / "quickstart_prompts.jsonl", "messages")
    assert reading.used == len(rows) == 300
    texts = [row.messages[0].content for row in rows]
    assert len({text.casefold() for text in texts}) == 300
    assert all([m.role for m in row.messages] == ["user"] for row in rows)
    assert all(4 <= len(text.split()) <= 25 for text in texts)


def test_no_prompt_is_asked_in_the_chats_too(quickstart):
    asked = {m.content.casefold() for row in quickstart["kept"] for m in row.messages}
    assert not asked & {line["messages"][0]["content"].casefold() for line in lines("quickstart_prompts.jsonl")}


def prompts_of_benchmarks(folder: Path) -> set[str]:
    found: set[str] = set()
    for file, field in (
        ("fastchat_vicuna_bench/question.jsonl", "turns"),
        ("fastchat_mt_bench/question.jsonl", "turns"),
        ("koala/koala_test_set.jsonl", "prompt"),
    ):
        for line in (folder / file).read_text(encoding="utf-8").splitlines():
            value = json.loads(line)[field]
            found.update(value if isinstance(value, list) else [value])
    return {text.strip().casefold() for text in found}


def test_no_prompt_and_no_question_is_a_benchmarks(real_data):
    benchmarks = prompts_of_benchmarks(real_data)
    ours = {line["messages"][0]["content"] for line in lines("quickstart_prompts.jsonl")}
    ours |= {line["instruction"] for line in lines("alpaca_demo.jsonl")}
    rows, _ = read_rows(DATA / "quickstart_chats.jsonl", "sharegpt")
    ours |= {m.content for row in rows for m in row.messages if m.role == "user"}
    assert len(benchmarks) > 300
    assert not {text.strip().casefold() for text in ours} & benchmarks


def test_the_instructions_have_and_lack_an_input():
    rows = lines("alpaca_demo.jsonl")
    assert len(rows) == 60
    assert sum(bool(row["input"]) for row in rows) == 30
    assert all(set(row) == {"instruction", "input", "output"} and row["output"] for row in rows)
    assert len({(row["instruction"], row["input"]) for row in rows}) == 60


def test_the_toy_data_give_every_step_of_smoke_something_to_do():
    steps = load("smoke").steps
    chats, reading = read_rows(DATA / "smoke_chats.jsonl", "messages")
    assert all(isinstance(row, Conversation) for row in chats)
    assert sum(reading.malformed.values()) == 1
    curated = curate(chats, steps["curated"].operators)  # type: ignore[attr-defined]
    assert sum(curated.ledger.dropped().values()) >= 3
    pairs, reading = read_rows(DATA / "smoke_pairs.jsonl", "preference", "preferences")
    assert all(isinstance(row, Preference) for row in pairs)
    assert reading.used == 32
    kept = curate(pairs, steps["pairs"].operators)  # type: ignore[attr-defined]
    assert set(kept.ledger.dropped().values()) == {1}
    assert {row.split for row in curated.kept.rows()} == {row.split for row in kept.kept.rows()} == {"train", "test"}
