"""`recipes/alpaca-data.yaml`: Alpaca's numbers, and each of its rules on a made task; a stub is the model."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from through import RECIPES

sys.path.insert(0, str(Path(__file__).parents[1]))

from chat_server import chat_server

from curation import table
from rlhf.cli import main
from rlhf.recipe.load import load

GOOD = [
    ("Explain in two sentences why bread rises.", "Yeast makes gas. The gas lifts the dough."),
    ("Sort the following fruits by their colour.", "Red: cherry. Yellow: lemon. Green: lime."),
    ("Hãy viết một câu chào khách bằng tiếng Việt.", "Kính chào quý khách, rất vui được đón tiếp!"),
    ("Turn this sentence into a question, please.", "Is the shop open on Sundays?"),
]
BAD = {
    "too_few_words": ("Write something", "Something."),
    "too_many_words": ("Tell " + "a very long story " * 50, "Once upon a time."),
    "blocked_word": ("Describe what the image above shows us.", "A cat."),
    "blocked_start": ("Write a program that adds two numbers.", "print(1 + 2)"),
    "starts_with_punctuation": ("- Name three rivers in the north.", "Elbe, Weser, Oder."),
    "no_output": ("Name a bird that cannot fly well.", ""),
    "too_similar": ("Explain in two sentences why the bread rises.", "Yeast makes gas."),
}
"""Reason -> a task that goes for it."""


def answers(body: dict[str, Any], number: int) -> str:
    tasks = [GOOD[0], *BAD.values(), *GOOD[1:]]  # the step ends at the last good one
    numbered = enumerate(tasks, 4)
    return "###\n".join(
        f"{i}. Instruction: {asked}\n{i}. Input:\n<noinput>\n{i}. Output:\n{said}\n" for i, (asked, said) in numbered
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Manifest of the step, its rows and what it dropped."""
    folder = tmp_path_factory.mktemp("alpaca")
    with chat_server(answers) as server:
        endpoints = {"gpt-4.1-mini": {"base_url": server.url, "usd_per_mtok": [1, 1]}}
        (folder / "profile.yaml").write_text(json.dumps({"endpoints": endpoints}))
        sets = [f"written.num_instructions={len(GOOD)}", "written.max_requests=3"]
        words = ["run", "alpaca-data", "--until", "written", "--profile", str(folder / "profile.yaml")]
        words += ["--store", str(folder / "store"), "--no-page", *(w for s in sets for w in ("--set", s))]
        assert main(words) == 0
        asked = server.heard[0].body["messages"][-1]["content"]
    (path,) = (folder / "store" / "manifests").glob("*.json")
    manifest = json.loads(path.read_text())
    artifacts = folder / "store" / "artifacts"
    return {
        "asked": asked,
        "rows": table.read(artifacts / manifest["output"]["digest"]),
        "dropped": table.read(artifacts / manifest["side"]["dropped"]["digest"]),
    }


def test_three_tasks_of_ours_are_shown_and_twenty_are_asked_for(written: dict[str, Any]) -> None:
    seeds = [json.loads(line) for line in (RECIPES / "data" / "alpaca_demo.jsonl").read_text().splitlines()]
    shown = [seed for seed in seeds if f". Instruction: {seed['instruction'].rstrip(':')}\n" in written["asked"]]
    assert len(shown) == 3
    assert "up to number 20" in written["asked"] and written["asked"].endswith("4. Instruction:")


def test_each_rule_takes_its_made_task_with_its_reason(written: dict[str, Any]) -> None:
    reasons = Counter(written["dropped"]["reason"].to_list())
    assert {reason: reasons[reason] >= 1 for reason in BAD} == dict.fromkeys(BAD, True)


def test_the_others_stay_in_every_language_and_are_asked_in_alpacas_prompt(written: dict[str, Any]) -> None:
    texts = [messages[0]["content"] for messages in written["rows"]["messages"].to_list()]
    assert len(texts) == len(GOOD)
    for asked, _ in GOOD:
        assert sum(f"### Instruction:\n{asked}\n\n### Response:" in text for text in texts) == 1


def test_the_numbers_are_alpacas() -> None:
    step: Any = load("alpaca-data").steps["written"]
    found = (step.num_instructions, step.demonstrations, step.instructions_per_request)
    assert found == (52000, 3, 20)
    assert (step.min_words, step.max_words, step.max_similarity, step.wording) == (4, 150, 0.7, "stanford")
