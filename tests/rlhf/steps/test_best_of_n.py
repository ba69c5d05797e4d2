"""The step that keeps the best of several answers: by an endpoint and by a model here, as chats and as pairs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from chat_server import Says, chat_server, refuses
from made_models import ref
from synthesis_room import last, prompts, ran, room, rows, stored

from curation import table
from curation.chat import BudgetReached
from curation.conversation import Conversation, Message
from curation.errors import UserError
from rlhf.steps.best_of_n import BestOfN

LENGTHS = [3, 7, 5, 1]


def grows(body: dict[str, Any], number: int) -> str:
    """Answers of 3, 7, 5 and 1 words, in the order of the questions."""
    return " ".join(["word"] * LENGTHS[number % 4])


def step(data: Any, **settings: Any) -> BestOfN:
    return BestOfN.model_validate({"prompts": data, "scorer": "words", "endpoint_model": "gpt", **settings})


def test_the_answer_with_the_highest_score_is_kept(tmp_path: Path) -> None:
    data = prompts(tmp_path, "One?", "Hai?")
    with chat_server(grows) as server:
        here = room(tmp_path, server, concurrency=1)
        done = ran(step(data, scorer={"words": {"of": "last"}}), here)
    assert len(server.heard) == 8 and done.decided_by == "words" and done.tokens["completion"] == 40
    parents = {row.messages: row.id for row in table.rows(data.folder)}
    for row in rows(here):
        assert row.reply == "word " * 6 + "word" and row.meta["answers"] == 4 and row.meta["policy"] == "gpt"
        assert row.scores == {"words": 7.0, "words_mean": 4.0}
        assert row.parent == parents[row.messages[:1]] and row.source.digest == "a" * 32
    assert done.metrics == {"prompts": 2, "answers": 8}


def test_the_best_against_the_worst(tmp_path: Path) -> None:
    data = prompts(tmp_path, "One?")
    with chat_server(grows) as server:
        here = room(tmp_path, server, concurrency=1)
        ran(step(data, makes="preferences", scorer={"words": {"of": "last"}}), here)
    (pair,) = rows(here)
    assert (pair.chosen[0].content.count("word"), pair.rejected[0].content.count("word")) == (7, 1)
    assert pair.scores == {"words_chosen": 7.0, "words_rejected": 1.0} and pair.verdict == "chosen"
    assert pair.parent == table.rows(data.folder)[0].id and pair.decided_by == "words"


def test_equal_scores_and_near_ones_are_ties_and_equal_answers_no_pair(tmp_path: Path) -> None:
    def says(body: dict[str, Any], number: int) -> str:
        asked = last(body)
        return {"same": "yes", "tie": ["no way", "oh yes"][number % 2], "near": ["a b c", "a b c d"][number % 2]}[asked]

    data = prompts(tmp_path, "same", "tie", "near")
    with chat_server(says) as server:
        here = room(tmp_path, server, concurrency=1)
        settings = {"makes": "preferences", "num_generations": 2, "min_gap": 2, "scorer": {"words": {"of": "last"}}}
        done = ran(step(data, **settings), here)
    assert [p.verdict for p in rows(here)] == ["tie", "tie"] and done.metrics["ties"] == 2
    assert done.ledger is not None and done.ledger.dropped() == {"best_of_n: identical_answers": 1}
    assert table.rows(done.side["dropped"])[0].messages[0].content == "same"


def test_what_cannot_be_asked_or_is_not_answered_is_dropped_with_its_reason(tmp_path: Path) -> None:
    def says(body: dict[str, Any], number: int) -> Any:
        if last(body) == "too long":
            return refuses(400, "context length exceeded")
        if last(body) == "filtered":
            return Says(None, finish="content_filter")
        return "  " if last(body) == "silent" else "fine"

    chats = [
        Conversation(messages=(Message("user", text), Message("assistant", "old")))
        for text in ("good", "too long", "filtered", "silent")
    ]
    chats += [
        Conversation(messages=(Message("user", "good"), Message("assistant", "another"))),
        Conversation(messages=(Message("system", "Be brief."),)),
        Conversation(messages=(Message("user", "tools"),), tools="[]"),
    ]
    data = stored(tmp_path / "artifacts" / "prompts", chats)
    with chat_server(says) as server:
        here = room(tmp_path, server)
        done = ran(step(data, num_generations=2), here)
    assert done.ledger is not None and len(rows(here)) == 1
    reasons = {key.partition(": ")[2]: n for key, n in done.ledger.dropped().items()}
    assert reasons == dict.fromkeys(
        ["needs_tools", "no_answer", "no_prompt", "not_taken", "repeated_prompt", "withheld"], 1
    )


def test_at_the_budget_it_says_how_many_prompts_are_whole(tmp_path: Path) -> None:
    data = prompts(tmp_path, *(f"Prompt {i}?" for i in range(3)))
    price = {"usd_per_mtok": (0.0, 1e6), "concurrency": 1}
    with chat_server(grows) as server:
        short = room(tmp_path, server, usd=34.0, **price)  # an answer costs 5, at most 10
        with pytest.raises(BudgetReached, match="1 of 3 prompts are there, 2 are missing"):
            step(data, max_completion_length=10).run(short)
        asked = len(server.heard)
        ran(step(data, max_completion_length=10), room(tmp_path, server, usd=500.0, **price))
    assert asked == 5 and len(server.heard) == 12


def test_a_model_here_answers_and_goes_on_where_it_was_cut_off(tmp_path: Path, micro: Path) -> None:
    data = prompts(tmp_path, *(f"How do I open the {n}?" for n in ("door", "box", "tent", "map", "book")))
    local = step(data, endpoint_model=None, policy=ref("base", micro), max_completion_length=24, num_generations=3)
    first, again = room(tmp_path), room(tmp_path)
    done = ran(local, first)
    assert len(rows(first)) == 5 and done.tokens["generated"] > 20 and done.numerics["batch_size"] == 8
    assert {row.meta["policy"] for row in rows(first)} == {micro.name[:12]}
    (journal,) = (first.work / "writing").iterdir()
    lines = journal.read_text().splitlines(keepends=True)
    (again.work / "writing").mkdir()
    (again.work / "writing" / journal.name).write_text("".join(lines[:2]) + lines[2][:20])  # torn by a kill
    ran(local, again)
    assert table.digest(again.out) == table.digest(first.out)


def test_prompts_are_chosen_by_a_hash_and_a_larger_number_keeps_the_choice(tmp_path: Path) -> None:
    data = prompts(tmp_path, *(f"Prompt {i}?" for i in range(9)))
    made = {}
    with chat_server(grows) as server:
        for most in (2, 5):
            here = room(tmp_path, server)
            done = ran(step(data, max_prompts=most), here)
            made[most] = {row.messages[0].content for row in rows(here)}
            assert done.ledger is not None and done.ledger.dropped() == {"best_of_n: beyond_max_prompts": 9 - most}
    assert made[2] < made[5]


def test_nothing_at_all_is_an_error_that_says_why(tmp_path: Path) -> None:
    with chat_server(lambda b, n: "") as server, pytest.raises(UserError, match="2 no_answer"):
        step(prompts(tmp_path, "a", "b")).run(room(tmp_path, server))


def test_settings_that_do_not_belong_together_are_refused() -> None:
    for wrong, word in (
        ({"temperature": 0}, "the same answer every time"),
        ({"num_generations": 1}, "greater than or equal to 2"),
        ({"min_gap": 1}, "`min_gap` is for `makes: preferences`"),
        ({"scorer": {"words": {"on": "prompt"}}}, "remove its `on`"),
        ({"scorer": "exact_dedup"}, "no scorer"),
        ({"policy": "sft"}, "one of the two"),
    ):
        with pytest.raises(ValidationError, match=re.escape(word)):
            step("prompts", **wrong)


def test_the_names_of_its_scores_are_known_before_it_runs() -> None:
    assert step("p").scores({}) == {"words", "words_mean"}
    assert step("p", makes="preferences", scorer={"words": {"as": "w"}}).scores({}) == {"w_chosen", "w_rejected"}
