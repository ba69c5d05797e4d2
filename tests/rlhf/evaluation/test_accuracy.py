"""Reward accuracy beside the accuracy of length."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

from curation.conversation import Message, Preference
from rlhf.evaluation.accuracy import accuracy


def pair(prompt: str, chosen: str, rejected: str) -> Preference:
    return Preference(
        prompt=(Message("user", prompt),),
        chosen=(Message("assistant", chosen),),
        rejected=(Message("assistant", rejected),),
    )


def test_equal_scores_and_equal_lengths_are_worth_one_half() -> None:
    pairs = [pair("1", "long answer", "short"), pair("2", "ab", "cd"), pair("3", "x", "yy"), pair("4", "x", "yy")]
    found = accuracy(pairs, [2.0, 1.0, 3.0, 0.0], [1.0, 1.0, 0.0, 1.0])
    assert found["accuracy"]["mean"] == (1 + 0.5 + 1 + 0) / 4
    assert found["length_accuracy"]["mean"] == (1 + 0.5 + 0 + 0) / 4
    assert found["over_length"]["mean"] == 0.25
    assert (found["n"], found["prompts"]) == (4, 4)


def test_a_model_that_scores_length_is_no_better_than_length() -> None:
    pairs = [pair(str(i), "a" * (i % 7 + 1), "b" * (i % 5 + 1)) for i in range(60)]
    found = accuracy(pairs, [len(p.chosen[0].content) for p in pairs], [len(p.rejected[0].content) for p in pairs])
    assert found["accuracy"] == found["length_accuracy"]
    assert found["over_length"] == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_pairs_about_one_prompt_are_drawn_together() -> None:
    apart = [pair(str(i), "long answer", "short") for i in range(12)]
    together = [pair("the same", "long answer", "short") for _ in range(12)]
    scores = [1.0, 0.0] * 6, [0.5] * 12
    wide, narrow = accuracy(together, *scores)["accuracy"], accuracy(apart, *scores)["accuracy"]
    assert (wide["low"], wide["high"]) == (0.5, 0.5)  # one prompt says nothing about others ...
    assert narrow["low"] < 0.3 and narrow["high"] > 0.7  # ... twelve do


def test_on_openassistants_pairs_the_longer_answer_wins_two_times_in_three(real_data: Path) -> None:
    """A separate count on the short ones of these pairs gave 0.683."""
    text = (real_data / "oasst1_en_validation/en-validation.jsonl").read_text(encoding="utf-8")
    children: dict[str, list[dict[str, Any]]] = {}
    for m in map(json.loads, text.splitlines()):
        if m["role"] == "assistant" and m.get("rank") is not None and not m["deleted"]:
            children.setdefault(m["parent_id"], []).append(m)
    pairs = []
    for parent, siblings in children.items():
        texts = [str(m["text"]).strip() for m in sorted(siblings, key=lambda m: m["rank"])]
        pairs += [pair(parent, a, b) for a, b in combinations(texts, 2)]
    found = accuracy(pairs, [0.0] * len(pairs), [1.0] * len(pairs))
    assert found["accuracy"]["mean"] == 0.0
    assert found["length_accuracy"]["low"] <= 0.683 <= found["length_accuracy"]["high"]
