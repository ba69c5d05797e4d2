"""A judge behind an endpoint: both orders, ties where they disagree, and no word of an answer taken for a verdict."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parents[1]))

from chat_server import ChatServer, Says, chat_server

from curation.artifact import InputFile, identity
from curation.chat import Connections, Endpoint, connected
from curation.conversation import Conversation, Message
from curation.errors import UserError
from curation.operator import TwoOrders, scorer_key
from curation.operators.llm_judge import LlmJudge

JUDGE = LlmJudge(endpoint_model="gpt")


def chat(answer: str, prompt: str = "Why?") -> Conversation:
    return Conversation(messages=(Message("user", prompt), Message("assistant", answer)))


@contextmanager
def served(answer: Callable[[dict[str, Any], int], Says | str]) -> Iterator[ChatServer]:
    with chat_server(answer) as server, connected(Connections({"gpt": Endpoint("gpt", server.url)})):
        yield server


def first(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"]).partition("<answer_a>")[2].partition("</answer_a>")[0].strip()


PAIRS = [(chat(f"good {i}"), chat(f"bad {i}")) for i in range(3)]


def test_a_judge_that_sees_the_difference() -> None:
    with served(lambda b, n: "[[A]]" if first(b).startswith("good") else "[[B]]") as server:
        found = JUDGE.compare(PAIRS) + JUDGE.compare([(b, a) for a, b in PAIRS])
    assert [v.outcome for v in found] == [1.0] * 3 + [0.0] * 3 and not any(v.flipped for v in found)
    assert len(server.heard) == 12


def test_a_judge_that_always_says_first_decides_nothing_and_flips_every_time() -> None:
    with served(lambda b, n: "[[A]]"):
        found = JUDGE.compare(PAIRS)
    assert [v.outcome for v in found] == [0.5] * 3 and all(v.flipped for v in found)


@pytest.mark.parametrize(
    ("forth", "back", "outcome", "flipped"),
    [
        (1.0, 1.0, 1.0, False),
        (0.0, 0.0, 0.0, False),
        (0.5, 0.5, 0.5, False),
        (1.0, 0.0, 0.5, True),
        (1.0, 0.5, 0.5, True),
        (None, 1.0, 0.5, False),
        (None, None, 0.5, False),
    ],
)
def test_only_agreement_of_both_orders_wins(
    forth: float | None, back: float | None, outcome: float, flipped: bool
) -> None:
    verdict = TwoOrders(forth, back)
    assert (verdict.outcome, verdict.flipped) == (outcome, flipped)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("A is better. [[A]]", 1.0),
        ("[[b]]", 0.0),
        ("First I thought [[A]], but no.\n[[ C ]]", 0.5),
        ("A", None),
        ("[A]", None),
        ("[[D]]", None),
        ("", None),
    ],
)
def test_the_last_mark_in_double_brackets_is_the_verdict(said: str, outcome: float | None) -> None:
    with served(lambda b, n: said):
        assert JUDGE.compare(PAIRS[:1])[0].forth == outcome


def test_the_judge_sees_the_conversation_both_answers_and_the_rubric_and_no_name(tmp_path: Path) -> None:
    page = tmp_path / "rubric.md"
    page.write_text("Cats {are} better than dogs.")
    judge = LlmJudge(endpoint_model="gpt", rubric=InputFile("rubric.md", page, "1" * 64))
    prompt = (Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "?"))
    a, b = (Conversation(messages=(*prompt, Message("assistant", t)), meta={"policy": "dpo"}) for t in ("Meow", "Woof"))
    with served(lambda b, n: "[[C]]") as server:
        judge.compare([(a, b)])
    system, user = (m["content"] for m in server.heard[0].body["messages"])
    assert "Cats {are} better than dogs." in system and "What counts, in this order" not in system
    assert all(text in user for text in ("Be brief.", "Hi", "Yes?", "Meow", "Woof")) and "dpo" not in user
    assert sorted(map(first, (h.body for h in server.heard))) == ["Meow", "Woof"]


def test_points() -> None:
    points = {"good": "Fine. [[8]]", "best": "[[10]]", "poor": "I first said [[9]], now [[2/10]]"}
    with served(lambda b, n: next(v for k, v in points.items() if k in b["messages"][-1]["content"])):
        assert JUDGE.score([chat("good"), chat("best"), chat("poor")]) == [8.0, 10.0, 2.0]


def test_points_are_asked_for_again_and_then_missed() -> None:
    with served(lambda b, n: "no idea [[0]] [[11]]" if n < 2 else "[[7]]") as server:
        assert JUDGE.score([chat("x")]) == [7.0]
    assert len(server.heard) == 3
    with served(lambda b, n: "seven"), pytest.raises(UserError, match="gave no points to 1 answers") as error:
        JUDGE.score([chat("x")])
    assert "max_completion_length" in error.value.hint


def test_another_rubric_or_judge_is_another_scorer_and_another_server_is_not(tmp_path: Path) -> None:
    one, two = (LlmJudge(endpoint_model="gpt", rubric=InputFile("r.md", tmp_path, d * 64)) for d in "12")
    keys = {scorer_key(j) for j in (JUDGE, one, two, LlmJudge(endpoint_model="other"))}
    assert len(keys) == 4
    assert "url" not in str(identity(JUDGE))


def test_nothing_is_asked_about_nothing() -> None:
    with served(lambda b, n: "[[A]]") as server:
        assert JUDGE.compare([]) == [] and JUDGE.score([]) == []
    assert server.heard == []


def test_a_judge_needs_an_endpoint() -> None:
    with pytest.raises(ValidationError, match="endpoint_model"):
        LlmJudge()  # type: ignore[call-arg]
    with pytest.raises(UserError, match="no endpoint is called 'gpt'"):
        JUDGE.compare(PAIRS)
