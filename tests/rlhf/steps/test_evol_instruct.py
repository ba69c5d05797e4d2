"""The step that makes prompts harder: what is kept has a chain of parents, what is thrown away has a reason."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from chat_server import Says, chat_server, refuses
from synthesis_room import last, prompts, ran, room, rows, stored

from curation import table
from curation.chat import BudgetReached
from curation.conversation import Conversation, Message
from curation.errors import UserError
from curation.synthesis import evolving
from curation.synthesis.evol_instruct import refusals
from rlhf.steps.evol_instruct import EvolInstruct


def kind(body: dict[str, Any]) -> str:
    """What a model is asked for: a new `prompt`, the `gain` of one, or an `answer`."""
    asked = last(body)
    return "prompt" if "<new_prompt>" in asked else "gain" if "[[same]]" in asked else "answer"


def given(body: dict[str, Any]) -> str:
    return re.findall(r"<prompt>\n(.*)\n</prompt>", last(body), re.DOTALL)[-1]


def evolves(body: dict[str, Any], number: int) -> str:
    """Asks for a reason more each time."""
    if kind(body) == "prompt":
        return f"Here it is:\n<new_prompt>\n{given(body)} and why\n</new_prompt>"
    return "Not at all. [[other]]" if kind(body) == "gain" else f"An answer to: {last(body)}"


def step(data: Any, **settings: Any) -> EvolInstruct:
    return EvolInstruct.model_validate({"prompts": data, "endpoint_model": "gpt", **settings})


def test_each_round_goes_on_from_the_last_and_names_its_parent(tmp_path: Path) -> None:
    data = prompts(tmp_path, "What is rain?", meta={"tree": "t1"})
    with chat_server(evolves) as server:
        here = room(tmp_path, server)
        done = ran(step(data, rounds=3, license="cc0-1.0"), here)
    by_round = {row.meta["round"]: row for row in rows(here)}
    asked = [by_round[n].messages[0].content for n in (1, 2, 3)]
    assert asked == ["What is rain? and why", "What is rain? and why and why", "What is rain? and why and why and why"]
    assert by_round[1].reply == "An answer to: What is rain? and why"
    root = table.rows(data.folder)[0]
    assert [by_round[n].parent for n in (1, 2, 3)] == [root.id, by_round[1].id, by_round[2].id]
    assert {row.meta["tree"] for row in by_round.values()} == {"t1"}  # so that no split parts them
    assert {row.source.license for row in by_round.values()} == {"cc0-1.0"}
    assert {row.meta["operation"] for row in by_round.values()} <= set(evolving.OPERATIONS)
    assert len(server.heard) == 9 and done.metrics["rewritings"] == 3
    entry = done.ledger.entries[0] if done.ledger else None
    assert entry and (entry.made, entry.children, entry.kept, entry.replaced) == (1, 3, 3, 1)


def test_what_stands_before_the_last_turn_stays(tmp_path: Path) -> None:
    before = (Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hello!"))
    chat = Conversation(messages=(*before, Message("user", "What is rain?"), Message("assistant", "Water.")))
    with chat_server(evolves) as server:
        here = room(tmp_path, server)
        ran(step(stored(tmp_path / "artifacts" / "prompts", [chat]), rounds=1), here)
    (row,) = rows(here)
    assert row.messages[:3] == before and row.messages[3].content == "What is rain? and why"
    answered = next(h.body["messages"] for h in server.heard if kind(h.body) == "answer")
    assert [m["role"] for m in answered] == ["system", "user", "assistant", "user"]


BAD: dict[str, tuple[str, Any]] = {
    "unchanged": ("prompt", "<new_prompt>what is   RAIN</new_prompt>"),
    "echoes_request": ("prompt", "<new_prompt>Rewrite the given prompt: what is rain, and when?</new_prompt>"),
    "no_prompt": ("prompt", "<new_prompt> </new_prompt>"),
    "cut_off": ("prompt", Says("<new_prompt>What is rain, and when does", finish="length")),
    "withheld": ("prompt", Says(None, finish="content_filter")),
    "no_gain": ("gain", "Both ask for the same.\n[[same]]"),
    "no_answer": ("answer", " "),
    "says_nothing": ("answer", "... !"),
    "refusal": ("answer", "I'm sorry, but I can't help with that."),
}


@pytest.mark.parametrize("reason", BAD)
def test_what_is_no_better_is_thrown_away_and_tried_again(tmp_path: Path, reason: str) -> None:
    """In the first round the model fails in this way; in the second the prompt is as it was, and evolves."""
    where, said = BAD[reason]
    failed: list[str] = []

    def says(body: dict[str, Any], number: int) -> Any:
        if kind(body) == where and not failed:
            failed.append(last(body))
            return said
        if kind(body) == "prompt" and failed:
            return f"<new_prompt>{given(body)} And when?</new_prompt>"
        return evolves(body, number)

    with chat_server(says) as server:
        here = room(tmp_path, server)
        done = ran(step(prompts(tmp_path, "What is rain?"), rounds=2), here)
    assert done.ledger is not None and done.ledger.dropped() == {f"evol_instruct: {reason}": 1}
    (row,) = rows(here)
    assert (row.meta["round"], row.messages[0].content) == (2, "What is rain? And when?")
    (lost,) = table.rows(done.side["dropped"])
    assert lost.meta["round"] == 1 and lost.parent == row.parent


NEAR = {
    "an answer that is sorry about something else": "I am sorry to say that rain is wet. It falls from clouds.",
    "a refusal's words in a long answer": "I can't help but love rain. " + "It is water that falls. " * 20,
    "a short answer": "Yes.",
    "an answer in another script": "雨です。",
}


@pytest.mark.parametrize("answer", NEAR.values(), ids=NEAR)
def test_an_honest_answer_stays(tmp_path: Path, answer: str) -> None:
    with chat_server(lambda b, n: answer if kind(b) == "answer" else evolves(b, n)) as server:
        here = room(tmp_path, server)
        done = ran(step(prompts(tmp_path, "What is rain?"), rounds=1), here)
    assert [row.reply for row in rows(here)] == [answer]
    assert done.ledger is not None and done.ledger.dropped() == {}


def test_refusals_in_other_languages_are_known() -> None:
    said = ["Lo siento, pero no puedo ayudarte con eso.", "Xin lỗi, tôi không thể giúp bạn việc này.", "Llueve mucho."]
    assert refusals(said) == [True, True, False]


def test_a_prompt_that_speaks_of_prompts_may_go_on_doing_so() -> None:
    assert evolving.echoes("Improve the given prompt, and say why.", "Improve it.")
    assert not evolving.echoes("Improve the given prompt, and say why.", "Improve the given prompt.")


def test_tags_may_be_left_open_or_out() -> None:
    assert evolving.read("x <new_prompt>a\nb</new_prompt> y") == "a\nb"
    assert evolving.read("<new_prompt>a") == evolving.read(" a ") == "a"
    assert not evolving.is_same("I do not know.") and not evolving.is_same("[[same]]? no: [[other]]")


def test_a_hash_draws_one_way_a_prompt_and_round(tmp_path: Path) -> None:
    data = prompts(tmp_path, *(f"Question number {i}?" for i in range(12)))
    seen = []
    for seed in (1, 1, 2):
        with chat_server(evolves) as server:
            here = room(tmp_path / f"{len(seen)}", server)
            done = ran(step(data, rounds=1, seed=seed, check_gain=False), here)
        seen.append({row.messages[0].content: row.meta["operation"] for row in rows(here)})
        assert sum(done.metrics["evolved"].values()) == 12 and len(done.metrics["evolved"]) >= 3
        assert len(server.heard) == 24
    assert seen[0] == seen[1] != seen[2]
    with chat_server(evolves) as server:
        here = room(tmp_path / "one", server)
        ran(step(data, rounds=1, operations="breadth"), here)
    assert {row.meta["operation"] for row in rows(here)} == {"breadth"}


def test_no_answer_is_paid_for_twice_and_the_budget_says_how_far_it_came(tmp_path: Path) -> None:
    data = prompts(tmp_path, "What is rain?", "What is snow?")
    price = {"usd_per_mtok": (0.0, 1e6), "concurrency": 1}
    with chat_server(evolves) as server:
        short = room(tmp_path, server, usd=44.0, **price)  # an answer costs 5, at most 10: 7 are asked, 6 are a round
        with pytest.raises(BudgetReached, match="2 of 4 rewritings are there, 2 are missing"):
            step(data, rounds=2, max_completion_length=10).run(short)
        assert len(server.heard) == 7
        whole = room(tmp_path, server, usd=500.0, **price)
        ran(step(data, rounds=2, max_completion_length=10), whole)
    assert len(server.heard) == 12 and len(rows(whole)) == 4


def test_a_round_in_which_the_server_takes_no_question_ends_nothing(tmp_path: Path) -> None:
    def says(body: dict[str, Any], number: int) -> Any:
        long = kind(body) == "prompt" and "and why" in given(body)
        return refuses(400, "context length exceeded") if long else evolves(body, number)

    with chat_server(says) as server:
        here = room(tmp_path, server)
        done = ran(step(prompts(tmp_path, "What is rain?"), rounds=3), here)
    assert len(rows(here)) == 1
    assert done.ledger is not None and done.ledger.dropped() == {"evol_instruct: not_taken": 2}


def test_a_server_that_takes_no_question_at_all_is_an_error(tmp_path: Path) -> None:
    with chat_server(lambda b, n: refuses(400, "unknown setting")) as server, pytest.raises(UserError) as error:
        step(prompts(tmp_path, "What is rain?")).run(room(tmp_path, server))
    assert "takes none of 1 questions: 127.0.0.1 answered 400: unknown setting" in error.value.what


def test_nothing_that_evolved_is_an_error_that_says_why(tmp_path: Path) -> None:
    with chat_server(lambda b, n: "") as server, pytest.raises(UserError, match="no prompt evolved: 4 no_prompt"):
        step(prompts(tmp_path, "a"), rounds=4).run(room(tmp_path, server))
