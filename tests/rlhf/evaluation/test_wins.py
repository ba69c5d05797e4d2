"""Wins, ties and losses, against counts that were published."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from curation.labeling.pair import decided
from rlhf.evaluation.wins import outcome, tally


def test_higher_wins_and_equal_is_a_tie() -> None:
    assert (outcome(2.0, 1.0), outcome(1.0, 2.0), outcome(1.5, 1.5)) == (1.0, 0.0, 0.5)


def test_ties_are_worth_one_half() -> None:
    found = tally([1.0, 0.5, 0.5, 0.0, 1.0], list("abcde"))
    assert (found["wins"], found["ties"], found["losses"], found["n"]) == (2, 2, 1, 5)
    assert found["win_rate"]["mean"] == (2 + 0.5 * 2) / 5


def test_several_answers_to_a_prompt_are_one_draw() -> None:
    found = tally([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"])
    assert found["n"] == 2 and found["wins"] == 2
    assert (found["win_rate"]["low"], found["win_rate"]["high"]) == (0.0, 1.0)


def test_three_annotators_and_a_majority_give_pandalms_published_table(real_data: Path) -> None:
    """Win, lose, tie as in the tables of PandaLM's README (github.com/WeOpenML/PandaLM): majority of three people."""
    rows = json.loads((real_data / "pandalm/testset-v1.json").read_text(encoding="utf-8"))
    words = {"0": "tie", "1": "first", "2": "second"}
    found: dict[str, list[float]] = defaultdict(list)
    majorities: dict[str | None, int] = defaultdict(int)
    for row in rows:
        verdict = decided(words[str(row[f"annotator{i}"])] for i in (1, 2, 3))
        majorities[verdict] += 1
        found[row["cmp_key"]].append({"first": 1.0, "second": 0.0, "tie": 0.5}[str(verdict)])
    assert majorities == {"tie": 105, "first": 422, "second": 472}

    def counts(pair: str) -> tuple[int, int, int]:
        t = tally(found[pair], range(len(found[pair])))
        return t["wins"], t["losses"], t["ties"]

    assert counts("llama-7b_opt-7b") == (71, 24, 11)
    assert counts("llama-7b_pythia-6.9b") == (58, 27, 9)
    assert counts("bloom-7b_llama-7b") == (28, 72, 11)
    assert counts("cerebras-gpt-6.7B_llama-7b") == (24, 80, 6)
