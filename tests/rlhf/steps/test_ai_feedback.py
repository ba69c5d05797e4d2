"""The step that makes pairs from a model's ratings: points by aspect, both orders, ties, and what cannot be read."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from chat_server import chat_server
from synthesis_room import last, prompts, ran, room, rows

from curation import table
from curation.chat import BudgetReached
from curation.synthesis.ratings import ASPECTS, read
from rlhf.steps.ai_feedback import AiFeedback

POINTS = {"good": (5, 5, 4, 4), "fair": (4, 3, 3, 2), "bad": (1, 1, 1, 1)}


def marks(*points: int) -> str:
    return "\n".join(f"Because.\n[[{name}: {n}]]" for name, n in zip(ASPECTS, points, strict=True))


def answer_of(body: dict[str, Any]) -> str:
    """The answer that a judge is asked about."""
    return re.findall(r"<answer>\n(.*)\n</answer>", last(body), re.DOTALL)[-1]


def plays(body: dict[str, Any], number: int) -> str:
    """`gpt` answers well, `other` fairly, except to `tie` and `turn`; the judge knows a good answer by its name."""
    model, asked = body["model"], last(body)
    if model == "judge":
        return marks(*POINTS[answer_of(body).split()[0]])
    if asked == "same":
        return "good the same"
    better = (model == "gpt") != (asked == "turn")
    return ("good" if better or asked == "tie" else "fair") + f" {model}"


def step(data: Any, **settings: Any) -> AiFeedback:
    return AiFeedback.model_validate(
        {"prompts": data, "endpoint_models": ["gpt", "other"], "judge": "judge", **settings}
    )


def test_pairs_go_by_the_mean_of_the_aspects(tmp_path: Path) -> None:
    data = prompts(tmp_path, "plain", "turn", "tie", "same")
    with chat_server(plays) as server:
        here = room(tmp_path, server)
        done = ran(step(data), here)
    found = {p.prompt[0].content: p for p in rows(here)}
    assert (found["plain"].chosen[0].content, found["plain"].rejected[0].content) == ("good gpt", "fair other")
    assert (found["turn"].chosen[0].content, found["turn"].rejected[0].content) == ("good other", "fair gpt")
    assert {name: p.verdict for name, p in found.items()} == {"plain": "chosen", "turn": "chosen", "tie": "tie"}
    scores = found["plain"].scores
    assert (scores["rating_chosen"], scores["rating_rejected"]) == (4.5, 3.0)  # (5+5+4+4)/4, (4+3+3+2)/4
    assert (scores["instruction_chosen"], scores["help_rejected"]) == (5.0, 2.0)
    assert set(scores) == step(data).scores({})
    assert found["turn"].meta["chosen_policy"] == "other" and found["turn"].decided_by == "llm_judge"
    assert done.ledger is not None and done.ledger.dropped() == {"ai_feedback: identical_answers": 1}
    assert done.metrics["chosen_from"] == {"gpt": 1, "other": 1} and done.metrics["ties"] == 1
    assert len(server.heard) == 8 + 6  # four prompts for two models; two different answers to three of them


def test_all_pairs_a_gap_and_own_aspects(tmp_path: Path) -> None:
    words = {"a": "4", "b": "3", "c": "1"}

    def says(body: dict[str, Any], number: int) -> str:
        if body["model"] == "judge":
            assert "wit: it makes one smile." in body["messages"][0]["content"]
            return f"[[wit: {words[answer_of(body)]}]]"
        return {"gpt": "a", "other": "b", "third": "c"}[body["model"]]

    with chat_server(says) as server:
        here = room(tmp_path, server)
        here.profile.endpoints["third"] = here.profile.endpoints["gpt"]
        models = ["gpt", "other", "third"]
        settings = {"endpoint_models": models, "pairs": "all", "min_gap": 2, "aspects": {"wit": "it makes one smile"}}
        done = ran(step(prompts(tmp_path, "Tell me a joke."), **settings), here)
    shown = {(p.chosen[0].content, p.rejected[0].content, p.verdict) for p in rows(here)}
    assert shown == {("a", "b", "tie"), ("a", "c", "chosen"), ("b", "c", "chosen")}
    assert done.ledger is not None
    entry = done.ledger.entries[0]
    assert (entry.made, entry.children, entry.kept, entry.replaced) == (1, 3, 3, 1)


def test_ratings_that_cannot_be_read_are_asked_for_again_and_then_given_up(tmp_path: Path) -> None:
    tries: dict[str, int] = {}

    def says(body: dict[str, Any], number: int) -> str:
        if body["model"] != "judge":
            return f"{last(body)} {body['model']}"
        answer = answer_of(body)
        tries[answer] = tries.get(answer, 0) + 1
        if answer == "shy gpt" and tries[answer] < 3:
            return "I would rather not say."
        if answer.startswith("mute"):
            return marks(1, 2, 3, 4).replace("help", "hope")  # one aspect is missing
        return marks(3, 3, 3, 3 if "gpt" in answer else 2)

    with chat_server(says) as server:
        here = room(tmp_path, server)
        done = ran(step(prompts(tmp_path, "shy", "mute")), here)
    assert [p.chosen[0].content for p in rows(here)] == ["shy gpt"]
    assert tries == {"shy gpt": 3, "shy other": 1, "mute gpt": 3, "mute other": 3}
    assert done.ledger is not None and done.ledger.dropped() == {"ai_feedback: unrated": 1}
    assert done.metrics["unrated"] == 2 and "2 ratings could not be read" in here.warnings[0]


def test_a_judge_that_sees_both_orders_and_goes_by_the_place_decides_nothing(tmp_path: Path) -> None:
    def by_place(body: dict[str, Any], number: int) -> str:
        return "[[A]]" if body["model"] == "judge" else f"answer of {body['model']}"

    def by_merit(body: dict[str, Any], number: int) -> str:
        if body["model"] != "judge":
            return f"answer of {body['model']}"
        return "[[A]]" if "gpt" in last(body).partition("<answer_a>")[2].partition("</answer_a>")[0] else "[[B]]"

    data = prompts(tmp_path, "one")
    for says, verdict, flipped in ((by_place, "tie", 1), (by_merit, "chosen", 0)):
        with chat_server(says) as server:
            here = room(tmp_path / verdict, server)
            done = ran(step(data, judging="both_orders", pairs="all"), here)
        assert [p.verdict for p in rows(here)] == [verdict] and done.metrics["flipped"] == flipped
        assert len(server.heard) == 2 + 2
    assert rows(here)[0].chosen[0].content == "answer of gpt"


def test_the_most_wins_against_the_fewest(tmp_path: Path) -> None:
    def says(body: dict[str, Any], number: int) -> str:
        if body["model"] != "judge":
            return (
                {"gpt": "3", "other": "1"}[body["model"]] if number % 2 else {"gpt": "2", "other": "0"}[body["model"]]
            )
        a, b = (re.findall(rf"<answer_{x}>\n(\d)", last(body))[0] for x in "ab")
        return "[[A]]" if a > b else "[[B]]"

    with chat_server(says) as server:
        here = room(tmp_path, server, concurrency=1)
        ran(step(prompts(tmp_path, "one"), judging="both_orders", num_generations=2), here)
    (pair,) = rows(here)
    assert (pair.chosen[0].content, pair.rejected[0].content) == ("3", "0")
    assert pair.scores == {"wins_chosen": 3.0, "wins_rejected": 0.0}


def test_no_rating_is_paid_for_twice_and_the_budget_says_how_many_are_there(tmp_path: Path) -> None:
    data = prompts(tmp_path, "plain", "turn")
    price = {"usd_per_mtok": (0.0, 1e6), "concurrency": 1}
    settings = {"max_completion_length": 10, "judge_max_completion_length": 10}
    with chat_server(plays) as server:
        short = room(tmp_path, server, usd=34.0, **price)  # an answer costs 5, at most 10
        with pytest.raises(BudgetReached, match="1 of 4 ratings are there, 3 are missing"):
            step(data, **settings).run(short)
        assert len(server.heard) == 5
        whole = room(tmp_path, server, usd=500.0, **price)
        ran(step(data, **settings), whole)
        assert len(server.heard) == 8
        more = room(tmp_path, server, **price)
        ran(step(data, **settings, min_gap=1), more)
        assert len(server.heard) == 8
    assert table.digest(whole.out) == table.digest(more.out)


def test_the_last_mark_of_each_aspect_counts() -> None:
    two = {"a": "", "b b": ""}
    assert read("[[a: 1]] no: [[A = 4/5]] and [[b b:2.0]]", two) == {"a": 4.0, "b b": 2.0}
    for text in ("[[a: 4]]", "[[a: 6]] [[b b: 1]]", "a: 4, b b: 2", ""):
        assert read(text, two) is None


def test_settings_that_do_not_belong_together_are_refused() -> None:
    for wrong, word in (
        ({"endpoint_models": ["gpt"]}, "a pair needs two answers"),
        ({"endpoint_models": ["gpt", "gpt"]}, "named twice"),
        ({"judge": None}, "who rates"),
        ({"judge_policy": "sft"}, "one of the two"),
        ({"judging": "both_orders", "min_gap": 1}, "`min_gap` is for `judging: aspects`"),
        ({"judging": "both_orders", "judge": None, "judge_policy": "sft"}, "asks an endpoint"),
        ({"aspects": {"rating": "x"}}, "not `rating`"),
        ({"top_k": 4}, "`top_k` is for `policies`"),
    ):
        with pytest.raises(ValidationError, match=re.escape(word)):
            step("prompts", **wrong)
