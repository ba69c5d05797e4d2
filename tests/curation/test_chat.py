"""Endpoints: what is asked once is never paid twice, failures say what to do, keys stay out of everything."""

from __future__ import annotations

import logging
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from chat_server import Says, chat_server, completion, refuses

from curation import chat
from curation.conversation import Message
from curation.errors import UserError

KEY = "sk-very-secret-0123456789"


class Kept(dict[str, dict[str, Any]]):
    """A cache in memory."""

    def put(self, key: str, response: dict[str, Any]) -> None:
        self[key] = response


def question(text: str, **settings: Any) -> chat.Request:
    return chat.Request((Message("user", text),), **settings)


def echo(body: dict[str, Any], number: int) -> str:
    return "you said " + body["messages"][-1]["content"]


def client(url: str, *, cache: Kept | None = None, usd: float | None = None, **how: Any) -> chat.Client:
    retries = how.pop("retries", 2)
    return chat.Client(chat.Endpoint("judge", url, **how), cache=cache, purse=chat.Purse(usd), retries=retries)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    # The openai client waits half a second and more before it tries again.
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)


def test_many_questions_come_back_in_order_and_a_few_at_a_time() -> None:
    with chat_server(lambda b, n: Says(echo(b, n), delay=0.02)) as server:
        replies = client(server.url, concurrency=4).ask([question(f"n{i}") for i in range(20)])
    assert [r.text for r in replies] == [f"you said n{i}" for i in range(20)]
    assert 1 < server.at_once <= 4


def test_what_is_sent_is_the_request_and_the_servers_own_name_of_the_model() -> None:
    with chat_server(echo) as server:
        client(server.url, model="qwen").ask([question("hi", max_tokens=7, temperature=0.5)])
        client(server.url).ask([question("hi", temperature=None)])
    first, second = (h.body for h in server.heard)
    assert first == {
        "model": "qwen",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 7,
        "temperature": 0.5,
    }
    assert second["model"] == "judge" and "temperature" not in second


def test_equal_questions_are_asked_once_and_another_draw_is_another_question() -> None:
    with chat_server(echo) as server:
        replies = client(server.url).ask([question("a"), question("a"), question("a", sample=1)])
    assert len(server.heard) == 2 and [r.text for r in replies] == ["you said a"] * 3


def test_an_answer_that_was_paid_for_is_not_asked_for_again() -> None:
    cache = Kept()
    with chat_server(echo) as server:
        first = client(server.url, cache=cache)
        first.ask([question("a"), question("b")])
        second = client(server.url, cache=cache, usd_per_mtok=(1.0, 1.0))
        replies = second.ask([question("b"), question("c")])
    assert [(r.text, r.cached) for r in replies] == [("you said b", True), ("you said c", False)]
    assert len(server.heard) == 3
    assert (second.usage.answers, second.usage.cached) == (2, 1)
    assert second.usage.tokens() == {"prompt": 10, "completion": 5}  # the cached one cost nothing
    assert second.usage.usd == pytest.approx(15e-6)


def test_a_key_of_the_cache_depends_on_the_question_alone() -> None:
    base = question("a", temperature=0.2)
    assert base.key("m") == question("a", temperature=0.2).key("m")
    others = [question("b"), question("a"), question("a", temperature=0.2, sample=1), question("a", max_tokens=3)]
    assert len({base.key("m"), base.key("n"), *(q.key("m") for q in others)}) == 6


def test_tokens_and_money_are_counted_from_what_the_server_says() -> None:
    with chat_server(lambda b, n: Says("x", usage=(1000, 100))) as server:
        asked = client(server.url, usd_per_mtok=(0.4, 1.6))
        asked.ask([question(str(i)) for i in range(3)])
    assert asked.usage.tokens() == {"prompt": 3000, "completion": 300}
    assert asked.usage.usd == pytest.approx(3 * (1000 * 0.4 + 100 * 1.6) / 1e6)


def test_spending_stops_before_the_bound_and_goes_on_when_it_is_raised() -> None:
    cache = Kept()
    price = (0.0, 1000.0)  # each answer: 5 tokens for 0.005 dollars, at most 10 tokens for 0.01
    with chat_server(echo) as server:
        asked = client(server.url, cache=cache, usd=0.028, usd_per_mtok=price, concurrency=3)
        questions = [question(str(i), max_tokens=10) for i in range(10)]
        with pytest.raises(chat.BudgetReached, match=r"0\.0280 allowed") as stop:
            asked.ask(questions)
        # 0.028 lets a fourth be asked after three (0.015 + 0.010), not a fifth (0.020 + 0.010).
        assert len(server.heard) == 4 == len(cache) and asked.usage.usd == pytest.approx(0.02)
        assert "budget.usd" in stop.value.hint
        again = client(server.url, cache=cache, usd=1.0, usd_per_mtok=price)
        assert [r.text for r in again.ask(questions)] == [f"you said {i}" for i in range(10)]
    assert len(server.heard) == 10


def test_a_budget_needs_a_price() -> None:
    with pytest.raises(UserError, match="no price") as error:
        client("http://127.0.0.1:1/v1", usd=1.0)
    assert "usd_per_mtok" in error.value.hint


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with chat_server(lambda b, n: echo(b, n) if n == 2 else Says(status=status, raw="{}")) as server:
        assert client(server.url).ask([question("a")])[0].text == "you said a"
    assert len(server.heard) == 3


def test_the_server_says_how_long_to_wait() -> None:
    slow_down = Says(status=429, raw="{}", headers={"Retry-After": "1"})
    with chat_server(lambda b, n: slow_down if n == 0 else echo(b, n)) as server:
        began = time.monotonic()
        client(server.url).ask([question("a")])
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "OPENAI_API_KEY"), (404, "base_url"), (429, "concurrency"), (400, "too long"), (500, "run again")],
)
def test_a_refusal_names_the_server_and_the_next_step(status: int, advice: str) -> None:
    said = refuses(status, f"no, and your key is {KEY}")
    with chat_server(lambda b, n: said) as server, pytest.raises(UserError) as error:
        client(server.url).ask([question("a")])
    assert f"127.0.0.1 answered {status}" in error.value.what and advice in error.value.hint
    assert "judge" in error.value.where


@pytest.mark.parametrize("raw", ['{"detail": "no such model"}', "no such model", '{"error": "no such model"}'])
def test_whatever_shape_a_refusal_has_what_it_says_is_shown(raw: str) -> None:
    with chat_server(lambda b, n: Says(status=400, raw=raw)) as server, pytest.raises(UserError) as error:
        client(server.url).ask([question("a")])
    assert "no such model" in error.value.what


def test_no_answer_in_time_is_an_error_that_says_so() -> None:
    with chat_server(lambda b, n: Says("late", delay=1.0)) as server, pytest.raises(UserError) as error:
        client(server.url, timeout_s=0.1, retries=1).ask([question("a")])
    assert "gave no answer within 0.1 s, 2 times" in error.value.what and "timeout_s" in error.value.hint


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError, match="cannot be reached") as error:
        client(f"http://127.0.0.1:{port}/v1").ask([question("a")])
    assert "base_url" in error.value.hint


@pytest.mark.parametrize(
    "raw",
    [
        '{"choices": [{"mess',
        "<html>Welcome to nginx</html>",
        '{"choices": []}',
        '{"choices": [{"index": 0}]}',
        '{"choices": [{"message": {"content": [1]}}]}',
        "[]",
        "null",
    ],
)
def test_an_answer_that_is_no_chat_completion_is_asked_for_again_and_then_reported(raw: str) -> None:
    with chat_server(lambda b, n: Says(raw=raw) if n < 2 else echo(b, n)) as server:
        assert client(server.url).ask([question("a")])[0].text == "you said a"
    with chat_server(lambda b, n: Says(raw=raw)) as server, pytest.raises(UserError, match="no chat completion"):
        client(server.url).ask([question("a")])
    assert len(server.heard) == chat.MALFORMED_TRIES


def test_one_failure_loses_none_of_the_other_answers() -> None:
    cache = Kept()
    bad = refuses(400, "too long", delay=0.2)
    with chat_server(lambda b, n: bad if b["messages"][-1]["content"] == "3" else echo(b, n)) as server:
        with pytest.raises(UserError, match="too long"):
            client(server.url, cache=cache, concurrency=2).ask([question(str(i)) for i in range(4)])
        assert len(cache) == 3
        with pytest.raises(UserError):
            client(server.url, cache=cache).ask([question(str(i)) for i in range(4)])
    assert len(server.heard) == 5


def test_a_model_that_wants_the_new_name_of_the_length_limit_gets_it() -> None:
    def picky(body: dict[str, Any], number: int) -> Says | str:
        if "max_tokens" in body:
            return refuses(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return str(body["max_completion_tokens"])

    with chat_server(picky) as server:
        replies = client(server.url, concurrency=1).ask([question("a", max_tokens=9), question("b", max_tokens=9)])
    assert [r.text for r in replies] == ["9", "9"] and len(server.heard) == 3


def test_answers_that_are_cut_or_withheld_are_marked() -> None:
    with chat_server(lambda b, n: Says("half a", finish="length")) as server:
        assert not client(server.url).ask([question("a")])[0].finished
    with chat_server(lambda b, n: Says(None, finish="content_filter")) as server:
        reply = client(server.url).ask([question("a")])[0]
    assert reply.text == "" and not reply.finished


def test_the_key_is_sent_and_appears_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    cache = Kept()
    refusal = refuses(401, f"Incorrect API key provided: {KEY}. Bearer {KEY}")
    with chat_server(lambda b, n: echo(b, n) if n == 0 else refusal) as server:
        asked = client(server.url, cache=cache)
        asked.ask([question("a")])
        with pytest.raises(UserError) as error:
            asked.ask([question("b")])
    assert server.heard[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(error.value) and error.value.__cause__ is None and error.value.__suppress_context__
    assert KEY not in repr(cache) and KEY not in caplog.text and KEY not in repr(vars(asked))
    assert "***" in error.value.what


def test_a_missing_key_is_told_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(UserError, match="MY_KEY is not set") as error:
        client("https://api.example.org/v1", api_key_env="MY_KEY").ask([question("a")])
    assert "export MY_KEY" in error.value.hint
    with chat_server(echo) as server:  # a server on this machine asks for none
        assert client(server.url).ask([question("a")])[0].text == "you said a"


def test_a_password_in_the_address_is_not_repeated() -> None:
    with chat_server(lambda b, n: Says(status=500, raw="{}")) as server:
        url = server.url.replace("http://", "http://me:hunter2@")
        with pytest.raises(UserError) as error:
            client(url, retries=0).ask([question("a")])
    assert "hunter2" not in str(error.value)


def test_endpoints_are_reachable_by_name_inside_the_block_only() -> None:
    with chat_server(echo) as server:
        endpoints = {"judge": chat.Endpoint("judge", server.url)}
        with chat.connected(chat.Connections(endpoints)) as connections:
            chat.client("judge").ask([question("a")])
            chat.client("judge").ask([question("b")])
            with pytest.raises(UserError, match="no endpoint is called 'jugde'") as error:
                chat.client("jugde")
            assert "did you mean 'judge'?" in error.value.hint
        assert connections.usage.answers == 2
        with pytest.raises(UserError, match="no endpoint") as error:
            chat.client("judge")
        assert "profile" in error.value.hint


def test_all_endpoints_of_a_step_share_one_purse() -> None:
    with chat_server(echo) as server:
        price = {"usd_per_mtok": (0.0, 1000.0)}
        endpoints = {n: chat.Endpoint(n, server.url, **price) for n in ("one", "two")}
        connections = chat.Connections(endpoints, usd_left=0.018)
        for name in ("one", "two"):
            connections.client(name).ask([question("a", max_tokens=10)])
        with pytest.raises(chat.BudgetReached):
            connections.client("one").ask([question("b", max_tokens=10)])
    assert connections.usage.usd == pytest.approx(0.01)


def test_completion_of_the_test_server_is_openais() -> None:
    from openai.types.chat import ChatCompletion

    assert ChatCompletion.model_validate(completion(Says("x")), strict=True).choices[0].message.content == "x"


def test_raw_text_goes_to_the_completions_of_the_server() -> None:
    asked = chat.Request(text="<|user|>", max_tokens=9, temperature=0.5, top_p=0.9, stop=("<|end|>",))
    with chat_server(lambda b, n: b["prompt"] + "Why?") as server:
        assert client(server.url, model="m").ask([asked])[0].text == "<|user|>Why?"
    assert server.heard[0].body == {
        "model": "m",
        "prompt": "<|user|>",
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["<|end|>"],
    }
    assert len({asked.key("m"), question("<|user|>", max_tokens=9).key("m"), chat.Request(text="x").key("m")}) == 3


def test_the_seed_names_the_draw_and_is_not_sent() -> None:
    assert question("a").key("m") != question("a", seed=1).key("m") != question("a", seed=2).key("m")
    assert "seed" not in question("a", seed=1).body("m")


def test_a_question_that_is_not_taken_is_told_apart_from_a_server_that_takes_none() -> None:
    def picky(body: dict[str, Any], number: int) -> Says | str:
        return refuses(400, "too long for me") if "long" in body["messages"][-1]["content"] else "fine"

    cache = Kept()
    with chat_server(picky) as server:
        asked = client(server.url, cache=cache)
        replies = asked.ask([question("short"), question("long")], may_refuse=True)
        assert (replies[0].text, replies[0].refused) == ("fine", "")
        assert "too long for me" in replies[1].refused and not replies[1].finished
        assert len(cache) == 1, "a refusal costs nothing, and is asked again when the server may have changed its mind"
        with pytest.raises(UserError, match=r"takes none of 2 questions.*too long for me"):
            asked.ask([question("long"), question("longer")], may_refuse=True)
        with pytest.raises(UserError, match="answered 400"):
            asked.ask([question("short"), question("long")])


def test_an_answer_that_a_filter_held_back_is_paid_for_once() -> None:
    cache = Kept()
    with chat_server(lambda b, n: Says(None, finish="content_filter")) as server:
        first, again = (client(server.url, cache=cache).ask([question("a")])[0] for _ in range(2))
    assert first.withheld and again.withheld and again.cached and len(server.heard) == 1


def test_a_connection_that_is_lost_in_the_middle_of_an_answer_is_tried_again() -> None:
    with chat_server(lambda b, n: Says("half", cut=True) if n < 2 else echo(b, n)) as server:
        assert client(server.url).ask([question("a")])[0].text == "you said a"
    assert len(server.heard) == 3


def test_no_more_requests_a_minute_than_are_allowed() -> None:
    began = time.monotonic()
    with chat_server(echo) as server:
        client(server.url, requests_per_minute=600).ask([question(str(i)) for i in range(4)])
    assert max(h.at for h in server.heard) - began >= 0.3  # a tenth of a second between each two


def test_when_one_request_is_told_to_wait_all_of_them_do() -> None:
    slow_down = Says(status=429, raw="{}", headers={"Retry-After": "1"})
    with chat_server(lambda b, n: slow_down if n == 0 else Says(echo(b, n), delay=0.1)) as server:
        client(server.url, concurrency=2).ask([question(str(i)) for i in range(8)])
    began = server.heard[0].at
    assert not [h for h in server.heard if began + 0.5 < h.at < began + 0.9]


def test_what_a_server_does_not_count_is_not_taken_for_free() -> None:
    with chat_server(lambda b, n: Says("four", usage=None)) as server:
        asked = client(server.url, usd_per_mtok=(1.0, 1.0))
        asked.ask([question("hello", max_tokens=100)])
    assert asked.usage.tokens()["completion"] == 4 and asked.usage.tokens()["prompt"] >= len("hello")
    assert asked.usage.usd > 0


def test_a_step_that_goes_on_has_spent_what_it_had_spent(tmp_path: Path) -> None:
    """Or else each new try would have the whole budget again."""
    price = {"usd_per_mtok": (0.0, 1000.0)}  # 5 tokens, at most 10, for 0.005 and 0.01 dollars
    with chat_server(echo) as server:
        for name in ("a", "b"):
            usage = chat.Usage(journal=tmp_path / "spent.jsonl")
            connections = chat.Connections({"one": chat.Endpoint("one", server.url, **price)}, None, 0.018, usage=usage)
            connections.client("one").ask([question(name, max_tokens=10)])
        with (tmp_path / "spent.jsonl").open("a") as file:
            file.write("\n[10, 5, 0.0")  # a kill in the middle of a line
        usage = chat.Usage(journal=tmp_path / "spent.jsonl")
        assert usage.usd == pytest.approx(0.01) and usage.tokens() == {"prompt": 20, "completion": 10}
        connections = chat.Connections({"one": chat.Endpoint("one", server.url, **price)}, None, 0.018, usage=usage)
        with pytest.raises(chat.BudgetReached):
            connections.client("one").ask([question("c", max_tokens=10)])
    assert len(server.heard) == 2
