"""The step that makes instructions: what comes out, what it costs, what a bad server and a kill do to it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from chat_server import ChatServer, Says, chat_server, refuses
from synthesis_room import file, last, ran, room, rows

from curation import table
from curation.chat import BudgetReached
from curation.errors import UserError
from rlhf.recipe.identity import step_key
from rlhf.steps.self_instruct import SelfInstruct

SEEDS = [
    {"instruction": "Give three ways to save water at home.", "input": "", "output": "Short showers."},
    {"instruction": "Translate the sentence into French.", "input": "I am tired.", "output": "Je suis fatigué."},
    {"instruction": "Explain why the sky is blue.", "input": "", "output": "Air scatters blue light."},
    *({"instruction": f"Seed{i} alpha{i} beta{i} gamma{i}?", "input": "", "output": f"{i}"} for i in range(40)),
]
"""So many that no two questions of these tests show the same."""
VERBS = (
    "Bake Count Dance Fold Guess Hum Iron Juggle Knit Lift Melt Nod Open Paint Quote Read Sing Teach Use Wash".split()
)


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    path = tmp_path / "seeds.jsonl"
    path.write_text("\n".join(map(json.dumps, SEEDS)))
    return path


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)


def writes_two(body: dict[str, Any], number: int) -> str:
    """Two tasks that no other question gets."""
    n = int(hashlib.sha256(last(body).encode()).hexdigest()[:8], 16)
    tasks = [
        f"{i + 3}. Instruction: {VERBS[(n + i) % 20]} item{n} part{i} near{n}{i} again\n"
        f"{i + 3}. Input:\n<noinput>\n{i + 3}. Output:\nDone {n}.\n"
        for i in range(2)
    ]
    return "###\n".join(tasks)


def step(seeds: Path, want: int = 6, **settings: Any) -> SelfInstruct:
    settings = {"endpoint_model": "gpt", "demonstrations": 2, **settings}
    return SelfInstruct(seeds=file(seeds), num_instructions=want, **settings)


def test_instructions_with_their_lineage_their_ledger_and_their_price(tmp_path: Path, seeds: Path) -> None:
    with chat_server(writes_two) as server:
        here = room(tmp_path, server, concurrency=1)
        done = ran(step(seeds), here)
    assert len(rows(here)) == 6 and len(server.heard) == 3
    assert done.tokens == {"prompt": 30, "completion": 15} and done.usd == pytest.approx(45e-6)
    assert done.metrics == {"questions": 3, "instructions": 6}
    made = rows(here)[0]
    assert made.source.dataset == "self_instruct by gpt" and made.source.file == "seeds.jsonl"
    assert len(made.meta["seeds"]) == 2 and made.meta["policy"] == "gpt"
    assert server.heard[0].body["max_tokens"] == 3072 and server.heard[0].body["stop"] == ["\n21."]


def test_dropped_and_unreadable_pieces_lie_beside_the_rows(tmp_path: Path, seeds: Path) -> None:
    copy = "3. Instruction: Explain why the sea is blue.\n3. Input:\n<noinput>\n3. Output:\nIt is the sky.\n###\nwell"
    with chat_server(lambda b, n: copy if n == 0 else writes_two(b, n)) as server:
        here = room(tmp_path, server, concurrency=1)
        done = ran(step(seeds), here)
    assert done.ledger is not None and done.ledger.dropped() == {"self_instruct: too_similar": 1}
    assert done.ledger.readings[0].malformed == {"not_a_task": 1}
    lost = table.read(done.side["dropped"])
    assert lost["reason"].to_list() == ["too_similar"] and lost["evidence"][0].startswith("to ")
    unread = table.read(done.side["malformed"])
    assert unread["reason"].to_list() == ["not_a_task"] and json.loads(unread["raw"][0]) == "\nwell"


def test_what_alpacas_own_reading_drops_is_said(tmp_path: Path, seeds: Path) -> None:
    foreign = "3. Instruction: Đâu là thủ đô của nước Lào?\n3. Input:\n<noinput>\n3. Output:\nViêng Chăn\n"
    for compat, warned in (
        ("alpaca", ["compat alpaca dropped 1 tasks because their first letter is not ASCII"]),
        (None, []),
    ):
        with chat_server(lambda b, n: foreign if n == 0 else writes_two(b, n)) as server:
            here = room(tmp_path / str(compat), server, concurrency=1)
            done = ran(step(seeds, compat=compat), here)
        assert here.warnings == warned and done.ledger is not None
        assert done.ledger.dropped() == ({"self_instruct: not_ascii": 1} if compat else {})


def test_the_page_shows_rows_and_what_went(tmp_path: Path, seeds: Path) -> None:
    with chat_server(lambda b, n: "I would rather not." if n == 0 else writes_two(b, n)) as server:
        done = ran(step(seeds), room(tmp_path, server, concurrency=1))
    answers, (lost,) = [e for e in done.examples if "answers" in e], [e for e in done.examples if "dropped by" in e]
    assert len(answers) == 4 and set(answers[0]["answers"]) == {"gpt"} and lost["reason"] == "not_a_task"


def test_a_second_try_pays_for_nothing_and_gives_the_same(tmp_path: Path, seeds: Path) -> None:
    with chat_server(writes_two) as server:
        first, second, more = (room(tmp_path, server, concurrency=1) for _ in range(3))
        ran(step(seeds), first)
        done = ran(step(seeds), second)
        assert len(server.heard) == 3 and done.usd == 0
        ran(step(seeds, 10), more)
    assert table.digest(first.out) == table.digest(second.out)
    assert len(server.heard) == 5  # what a larger number needs besides
    assert {r.id for r in rows(first)} <= {r.id for r in rows(more)}


def test_at_the_budget_it_says_what_is_there_and_goes_on_later(tmp_path: Path, seeds: Path) -> None:
    # An answer costs 5 dollars of a million tokens' price and 15 at most here, so that two fit and no third.
    price = {"usd_per_mtok": (0.0, 1e6), "concurrency": 1}
    settings = {"max_completion_length": 10}
    with chat_server(writes_two) as server:
        with pytest.raises(BudgetReached, match="4 of 6 instructions are there, 2 are missing") as stop:
            step(seeds, **settings).run(room(tmp_path, server, usd=19.0, **price))
        assert "`num_instructions: 4`" in stop.value.hint and "budget.usd" in stop.value.hint
        assert len(server.heard) == 2
        enough = room(tmp_path, server, usd=0.1, **price)
        ran(step(seeds, 4, **settings), enough)  # what is there, for nothing
        assert len(rows(enough)) == 4 and len(server.heard) == 2
        raised = room(tmp_path, server, usd=50.0, **price)
        ran(step(seeds, **settings), raised)
    assert len(rows(raised)) == 6 and len(server.heard) == 3


FAULTS = {
    "429": refuses(429, "slow down", headers={"Retry-After": "0.05"}),
    "500": refuses(500, "it broke"),
    "cut": Says("half of it", cut=True),
    "bad json": Says(raw='{"choices": [{"mess'),
    "no choices": Says(raw='{"choices": []}'),
    "slow": Says("too late", delay=1.5),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_server_changes_no_row(tmp_path: Path, seeds: Path, fault: str) -> None:
    heard: set[str] = set()

    def faulty(body: dict[str, Any], number: int) -> Any:
        """Each question fails once."""
        if last(body) in heard:
            return writes_two(body, number)
        heard.add(last(body))
        return FAULTS[fault]

    with chat_server(faulty) as server:
        here = room(tmp_path, server, concurrency=2, timeout_s=1.0)
        ran(step(seeds), here)
    with chat_server(writes_two) as server:
        plain = room(tmp_path / "plain", server, concurrency=1)
        ran(step(seeds), plain)
    assert {r.id for r in rows(here)} == {r.id for r in rows(plain)}


def test_a_server_that_stays_broken_is_an_error_that_says_how_far_it_came(tmp_path: Path, seeds: Path) -> None:
    def breaks(body: dict[str, Any], number: int) -> Any:
        return writes_two(body, number) if number == 0 else refuses(401, "no")

    with chat_server(breaks) as server, pytest.raises(UserError, match="2 of 6 instructions are there") as error:
        step(seeds).run(room(tmp_path, server, concurrency=1))
    assert "answered 401" in error.value.what and "OPENAI_API_KEY" in error.value.hint


def test_killed_at_any_moment_it_pays_for_no_answer_twice(tmp_path: Path, seeds: Path) -> None:
    child: subprocess.Popen[bytes] | None = None
    kill_at = [2, 4]
    kills = list(kill_at)
    killed: list[str] = []

    def answer(body: dict[str, Any], number: int) -> Any:
        assert child is not None
        if kills and number == kills[0]:
            kills.pop(0)
            killed.append(last(body))
            os.kill(child.pid, signal.SIGKILL)  # before this question is answered: nobody paid for it
            child.wait()
        return writes_two(body, number)

    script = str(Path(__file__).with_name("killed_synthesis.py"))
    with chat_server(answer) as server:
        for _ in range(len(kill_at) + 1):
            command = [sys.executable, script, server.url, str(tmp_path), str(seeds), "1"]
            child = subprocess.Popen(command, stderr=subprocess.PIPE)
            _, printed = child.communicate(timeout=60)
            if child.returncode != -signal.SIGKILL:
                break
        assert child is not None and child.returncode == 0, printed.decode()
    assert not kills and len(killed) == len(kill_at)
    said = server.last_words()
    assert len(said) == len(set(said)) + len(killed), "only what was not answered yet is asked again"
    last_try = sorted(tmp_path.glob("try-*"))[-1]
    assert table.count(last_try / "out") == 12
    undisturbed = tmp_path / "undisturbed"
    with chat_server(writes_two) as server:
        here = room(undisturbed, server, concurrency=1)
        ran(step(seeds, 12), here)
    assert table.digest(here.out) == table.digest(last_try / "out")


def test_settings_that_do_not_belong_together_are_refused() -> None:
    for wrong, word in (
        ({}, "who writes"),
        ({"endpoint_model": "gpt", "policy": "sft"}, "one of the two"),
        ({"endpoint_model": "gpt", "top_k": 5}, "`top_k` is for a `policy`"),
        ({"policy": "sft", "instructions_per_request": 3}, "leave room"),
        ({"policy": "sft", "min_words": 9, "max_words": 8}, "nothing could stay"),
        ({"policy": "sft", "blocked_words": ["map", " "]}, "found in every instruction"),
        ({"policy": "sft", "num_instructions": 0}, "greater than or equal to 1"),
    ):
        with pytest.raises(ValidationError, match=re.escape(word)):
            SelfInstruct.model_validate({"seeds": "seeds.jsonl", "num_instructions": 5, **wrong})


def test_what_decides_the_rows_is_in_the_key_and_where_the_endpoint_is_is_not(seeds: Path) -> None:
    steps = [step(seeds), step(seeds, 7), step(seeds, compat="alpaca"), step(seeds, endpoint_model="other")]
    assert len({step_key(s) for s in steps}) == 4


def test_no_endpoint_of_that_name(tmp_path: Path, seeds: Path) -> None:
    with pytest.raises(UserError, match="no endpoint is called 'gtp'"), chat_server(writes_two) as server:
        step(seeds, endpoint_model="gtp").run(room(tmp_path, ChatServer(server.url)))
