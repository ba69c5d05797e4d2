"""The step in which a model plays the user: raw text at an endpoint, the template of a model here."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from chat_server import Says, chat_server
from made_models import ref
from synthesis_room import last, ran, room, rows

from curation import table
from curation.artifact import Surroundings, hash_file
from curation.chat import BudgetReached
from curation.errors import UserError
from curation.models.pointer import OutsideModel, bind_model
from rlhf.steps.magpie import Magpie

HEADER = "<|im_start|>user\n"


def plays(body: dict[str, Any], number: int) -> Any:
    """A user's turn for each draw (the endpoint cannot see its number, so it counts), and answers to it."""
    if "prompt" in body:
        return f"Question {number}?"
    return f"Answer to {last(body)}"


def step(**settings: Any) -> Magpie:
    settings = {"endpoint_model": "gpt", "num_conversations": 3, "pre_query": HEADER, **settings}
    return Magpie.model_validate({k: v for k, v in settings.items() if v is not None})


def test_an_endpoint_goes_on_with_raw_text_and_then_answers(tmp_path: Path) -> None:
    with chat_server(plays) as server:
        here = room(tmp_path, server, concurrency=1)
        done = ran(step(stop=["<|im_end|>"], license="mit"), here)
    for row in rows(here):
        assert row.reply == f"Answer to {row.messages[0].content}" and len(row.messages) == 2
        assert row.source.dataset == "magpie by gpt" and row.source.license == "mit" and row.meta["finished"]
    assert len(rows(here)) == 3 and done.metrics == {"draws": 3, "chats": 3}
    raw = [h.body for h in server.heard if "prompt" in h.body]
    assert (
        [b["prompt"] for b in raw] == [HEADER] * 3 and raw[0]["stop"] == ["<|im_end|>"] and raw[0]["temperature"] == 1
    )
    assert [h.body["temperature"] for h in server.heard if "messages" in h.body] == [0.0] * 3


def test_turns_that_cannot_be_used_are_drawn_anew_and_counted(tmp_path: Path) -> None:
    said = iter(["One?", " ", "one? ", Says("It goes on and", finish="length"), "Two?", "Three?", "Four?"])

    def says(body: dict[str, Any], number: int) -> Any:
        return next(said) if "prompt" in body else "" if last(body) == "Two?" else plays(body, number)

    with chat_server(says) as server:
        here = room(tmp_path, server, concurrency=1)
        done = ran(step(), here)
    assert {row.messages[0].content for row in rows(here)} == {"One?", "Three?", "Four?"}
    assert done.ledger is not None and done.ledger.dropped() == {"magpie: no_answer": 1, "magpie: repeated_prompt": 1}
    assert done.ledger.readings[0].malformed == {"cut_off": 1, "no_prompt": 1} and done.metrics["draws"] == 7
    assert sorted(table.read(done.side["malformed"])["reason"]) == ["cut_off", "no_prompt"]


def test_no_answer_is_paid_for_twice_and_the_budget_says_what_is_there(tmp_path: Path) -> None:
    price = {"usd_per_mtok": (0.0, 1e6), "concurrency": 1}
    with chat_server(plays) as server:
        short = room(tmp_path, server, usd=19.0, **price)  # an answer costs 5, at most 10
        with pytest.raises(BudgetReached, match="1 of 3 chats are there, 2 are missing") as stop:
            step(max_completion_length=10).run(short)
        assert len(server.heard) == 2 and "`num_conversations: 1`" in stop.value.hint
        whole = room(tmp_path, server, usd=500.0, **price)
        ran(step(max_completion_length=10), whole)
    assert len(server.heard) == 6 and len(rows(whole)) == 3


def test_a_model_that_says_the_same_again_and_again_is_given_up(tmp_path: Path) -> None:
    with chat_server(lambda b, n: "Hello?") as server, pytest.raises(UserError, match="1 of 3 chats") as error:
        step(max_draws=5).run(room(tmp_path, server))
    assert "asked for 5 (4 repeated_prompt)" in error.value.what and "max_draws" in error.value.hint


def test_the_template_of_a_model_that_an_endpoint_serves(tmp_path: Path, micro: Path) -> None:
    outside = bind_model(OutsideModel(str(micro)), None, Surroundings(tmp_path, hash_file))
    with chat_server(plays) as server:
        here = room(tmp_path, server, concurrency=1)
        ran(step(pre_query=None, model_name_or_path=outside, system="Speak of boats.", num_conversations=1), here)
    from transformers import AutoTokenizer

    written = AutoTokenizer.from_pretrained(micro).apply_chat_template(
        [{"role": "system", "content": "Speak of boats."}, {"role": "user", "content": "XYZ"}], tokenize=False
    )
    raw = server.heard[0].body
    before, _, after = written.partition("XYZ")
    assert raw["prompt"] == before and after.lstrip().startswith(raw["stop"][0])
    (row,) = rows(here)
    assert [m.role for m in row.messages] == ["system", "user", "assistant"]


def test_a_model_here_plays_the_user_and_goes_on_where_it_was_cut_off(tmp_path: Path, micro: Path) -> None:
    local = step(
        endpoint_model=None, policy=ref("base", micro), pre_query=None, max_completion_length=40, max_draws=400
    )
    first, again = room(tmp_path), room(tmp_path)
    done = ran(local, first)
    assert len(rows(first)) == 3 and done.tokens["generated"] > 30
    # The micro model knows chats that begin with one of these (`micro_chats`).
    assert all(re.match(r"(How|Tell|I )", row.messages[0].content) for row in rows(first))
    wave = sorted((first.work / "writing").iterdir())[0]
    (again.work / "writing").mkdir()
    (again.work / "writing" / wave.name).write_bytes(wave.read_bytes())
    ran(local, again)
    assert table.digest(again.out) == table.digest(first.out)


def test_settings_that_do_not_belong_together_are_refused() -> None:
    for wrong, word in (
        ({"pre_query": None}, "does not show its template"),
        ({"model_name_or_path": "micro"}, "remove `model_name_or_path`"),
        ({"system": "Hi"}, "remove `system`"),
        ({"endpoint_model": None, "policy": "sft", "pre_query": None, "model_name_or_path": "m"}, "brings its own"),
        ({"endpoint_model": None}, "who writes"),
    ):
        with pytest.raises(ValidationError, match=re.escape(word)):
            step(**wrong)
