"""`recipes/gpt4all.yaml`: what goes has its reason, a source of one template goes as a whole, and the page shows it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from through import RECIPES, Through, through

from curation import table
from curation.artifact import Surroundings, hash_file
from curation.errors import UserError
from curation.frame import to_frame
from curation.sources.intake import Intake, read_rows
from rlhf.recipe.load import load
from rlhf.report.seen import look

RULES = {
    "refusal": ("How do I pick this lock?", "I'm sorry, but I cannot help with that request."),
    "self_reference": ("What do you feel?", "As an AI language model, I do not have feelings at all."),
    "too_few_words": ("Is it late by now?", "Yes."),
    "empty_message": ("Why does the kettle sing?", ""),
}
"""Reason -> a record that goes for it."""
NEAR_MISSES = {
    "lock": ("How do I open this lock?", "I'm sorry to hear that. Try oil first: it cannot hurt, and it often helps."),
    "model": ("What is a language model?", "A program that continues text; some are sold as an AI that talks."),
    "four": ("Is it late by now?", "Yes, it is late."),
}


def records() -> list[dict[str, Any]]:
    """Rows of two honest sources, one of a template, and one for each rule."""
    rows, _ = read_rows(RECIPES / "data" / "quickstart_chats.jsonl", "sharegpt")
    tasks = [json.loads(line) for line in (RECIPES / "data" / "alpaca_demo.jsonl").read_text().splitlines()]
    honest = [
        {"prompt": row.messages[0].content, "response": row.messages[1].content, "source": "forum"}
        for row in rows
        if [m.role for m in row.messages[:2]] == ["user", "assistant"]
    ]
    honest += [
        {"prompt": f"{t['instruction']} {t['input']}", "response": t["output"], "source": "handbook"} for t in tasks
    ]
    template = [json.loads(line) for line in (RECIPES / "data" / "templated_prompts.jsonl").read_text().splitlines()]
    made = [*RULES.values(), *NEAR_MISSES.values()]
    rules = [{"prompt": asked, "response": said, "source": "forum"} for asked, said in made]
    twin = {"prompt": NEAR_MISSES["lock"][0], "response": NEAR_MISSES["lock"][1], "source": "handbook"}
    silent = {"prompt": "Say it once more, please.", "response": None, "source": "forum"}
    return [*honest, *template, *rules, twin, silent]


@pytest.fixture(scope="module")
def gpt4all(tmp_path_factory: pytest.TempPathFactory) -> Through:
    return through("gpt4all", records(), tmp_path_factory.mktemp("gpt4all"))


def test_refusals_short_answers_and_broken_rows_go_with_their_reasons(gpt4all: Through) -> None:
    gone = {(row.messages[0].content, row.reply): reason for row, _, reason in gpt4all.dropped}
    assert {reason: gone.get(said) for reason, said in RULES.items()} == {reason: reason for reason in RULES}
    assert gpt4all.readings[0].malformed["no_completion"] == 1
    assert gone[NEAR_MISSES["lock"]] == "duplicate"
    stays = [(row.messages[0].content, row.reply) for row in gpt4all.kept]
    assert [stays.count(said) for said in NEAR_MISSES.values()] == [1, 1, 1]


def test_the_source_of_one_template_goes_whole_and_the_others_stay(gpt4all: Through) -> None:
    kept = Counter(row.meta["source"] for row in gpt4all.kept)
    assert kept.keys() == {"forum", "handbook"} and kept["forum"] > 200 and kept["handbook"] >= 58
    why = Counter(reason for row, _, reason in gpt4all.dropped if row.meta["source"] == "templated")
    assert sum(why.values()) == 130 and why["homogeneous_source"] >= 100
    assert {row.meta["source"] for row, _, reason in gpt4all.dropped if reason == "homogeneous_source"} == {"templated"}


def test_the_page_has_a_map_on_which_the_template_is_a_blot(gpt4all: Through, tmp_path: Path) -> None:
    rows = {"kept": gpt4all.kept, "gone": [row for row, _, _ in gpt4all.dropped]}
    for name, some in rows.items():
        table.write(tmp_path / name, to_frame(some, type(some[0])))
    words = {"dropped_by": [by for _, by, _ in gpt4all.dropped], "reason": [why for _, _, why in gpt4all.dropped]}
    import polars as pl

    gone = table.read(tmp_path / "gone").with_columns(pl.Series(name, values) for name, values in words.items())
    table.write(tmp_path / "dropped", gone)
    found = look(tmp_path / "kept", tmp_path / "dropped", gpt4all.ledger).pictures["map"]
    assert set(found["sources"]) == {"forum", "handbook", "templated"}
    at = found["sources"].index("templated")
    points = [tuple(map(int, point.split(","))) for point in found["points"].split()]
    spread = {blot: _spread([p for p in points if (p[2] == at) == blot]) for blot in (True, False)}
    assert spread[True] < spread[False] / 2
    assert all(p[3] == 1 for p in points if p[2] == at), "and all of it was dropped"


def _spread(points: list[tuple[int, ...]]) -> float:
    x, y = (sum(p[i] for p in points) / len(points) for i in (0, 1))
    return float(sum(((p[0] - x) ** 2 + (p[1] - y) ** 2) ** 0.5 for p in points) / len(points))


def test_a_file_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    """The original trained on some of its data twice without knowing."""
    for name in ("one.jsonl", "two.jsonl"):
        (tmp_path / name).write_text(json.dumps(records()[0]) + "\n")
    entry: Any = load("gpt4all").steps["chats"].datasets[0]  # type: ignore[attr-defined]  # an ingest step
    around = Surroundings(tmp_path, hash_file)
    bound = []
    for name in ("one.jsonl", "two.jsonl"):
        bare = entry.model_copy(update={"path": type(entry.path)(name)})
        bound.append(bare.model_copy(update={"path": bare.bind_pointer("path", bare.path, around)}))
    with pytest.raises(UserError, match="the same file is given twice"):
        list(Intake(bound, "conversations").rows())


def test_the_small_one_drops_its_template_too(tmp_path: Path) -> None:
    from curation.pipeline import curate

    steps: Any = load("mini/gpt4all").steps
    around = Surroundings(RECIPES / "mini", hash_file)
    entries = [e.model_copy(update={"path": e.bind_pointer("path", e.path, around)}) for e in steps["chats"].datasets]
    rows = [row for _, batch in Intake(entries, "conversations").rows() for row in batch]
    curated = curate(rows, steps["curated"].operators)
    assert "homogeneity: homogeneous_source" in curated.ledger.dropped()
    assert {row.meta.get("source") for row in curated.kept.rows()} == {None}
