"""A reward is the weighted sum of scorers, each of which sees the prompt's `meta`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import ValidationError
from small_runs import Make, assistant, chat, model_ref, room, user

sys.path.insert(0, str(Path(__file__).parents[2]))

from chat_server import chat_server

from curation.conversation import Conversation
from curation.errors import UserError
from curation.models.opened import close, keep_open, opened
from curation.operator import Scorer
from rlhf.recipe.profile import Endpoint
from rlhf.recipe.step import Done
from rlhf.steps.grpo import Grpo
from rlhf.steps.ppo import Ppo
from rlhf.steps.rloo import Rloo
from rlhf.training.rewarding import Rewarded, Rewards, answered


class Matches(Scorer):
    """1 where the answer is the reference answer that came with the prompt."""

    op: Literal["matches"] = "matches"

    def score(self, conversations: list[Conversation]) -> list[float]:
        return [float(c.reply == c.meta["answer"]) for c in conversations]


class Broken(Scorer):
    """No number for an empty answer."""

    op: Literal["broken"] = "broken"

    def score(self, conversations: list[Conversation]) -> list[float]:
        return [0.0 if c.reply else float("nan") for c in conversations]


def answers() -> list[Conversation]:
    prompt = Conversation(messages=(user("2 + 2?"), assistant("old answer")), meta={"answer": "4"})
    return [answered(prompt, "4", finished=True), answered(prompt, "It is five", finished=False)]


def test_a_weighted_sum_of_scorers_with_the_prompts_meta() -> None:
    first, second = answers()
    assert first.messages == (user("2 + 2?"), assistant("4"))
    assert first.meta == {"answer": "4", "finished": True}
    assert second.meta["finished"] is False
    settings = Rewarded(rewards=[Matches(), "brevity"], reward_weights=[2.0, 0.5])  # type: ignore[list-item]
    scored = Rewards(settings.rewards, settings.reward_weights)([first, second])
    brevity = [32 / 33, 32 / 35 - 2]  # one finished word; three words, unfinished
    assert scored.parts == {"matches": [1.0, 0.0], "brevity": pytest.approx(brevity)}
    assert scored.total == pytest.approx([2 + 0.5 * brevity[0], 0.5 * brevity[1]])
    assert Rewards(settings.rewards)([first]).total == pytest.approx([1 + brevity[0]])
    instead = Rewards(settings.rewards, instead={"brevity": lambda chats: [float(len(chats))] * len(chats)})
    assert instead([first, second]).total == [3.0, 2.0]


def test_a_reward_that_is_no_number_stops_the_run() -> None:
    with pytest.raises(UserError, match="`broken` gave nan"):
        Rewards([Broken()])([answers()[0].with_(messages=(user("a"), assistant("")))])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rewards": []}, "at least one"),
        ({"rewards": ["brevity"], "reward_weights": [1, 2]}, "2 numbers for 1 rewards"),
        ({"rewards": ["brevity", "brevity"]}, "two rewards are called `brevity`"),
        ({"rewards": [{"brevity": {"on": "prompt"}}]}, "remove its `on`"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Rewarded.model_validate(settings)
    one = Rewarded.model_validate({"rewards": "brevity"})
    assert [s.op for s in one.rewards] == ["brevity"]
    assert json.loads(one.model_dump_json())["rewards"] == [{"brevity": {}}]


def test_several_models_stay_open_where_they_take_turns() -> None:
    loads: list[str] = []

    def load(name: str) -> str:
        loads.append(name)
        return name

    try:
        keep_open(2)
        for name in ("a", "b", "a", "b", "c", "b", "a"):
            assert opened((name,), lambda name=name: load(name)) == name
        assert loads == ["a", "b", "c", "a"]
    finally:
        close()


@pytest.mark.parametrize(("method", "own"), [(Rloo, {"num_generations": 2}), (Grpo, {"num_generations": 2}), (Ppo, {})])
def test_a_judge_behind_an_endpoint_rewards_and_is_paid(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, method: Any, own: dict[str, int]
) -> None:
    step = method(
        prompts=rows_ref([chat(i) for i in range(4)]),
        policy=model_ref(micro_copy),
        rewards=[{"llm_judge": {"endpoint_model": "gpt"}}],
        global_batch_size=4,
        max_completion_length=4,
        max_steps=1,
        lora_r=4,
        **own,
    )
    here = room(tmp_path / "room")
    with chat_server(lambda body, number: "[[7]]") as server:
        here.profile.endpoints["gpt"] = Endpoint(base_url=server.url, usd_per_mtok=(1.0, 1.0))
        done = step.run(here)
    assert isinstance(done, Done)
    assert done.curves["reward"] == [(1, 7.0)]
    assert done.metrics["judged"]["points_by_number"] == len(server.heard) > 0
    assert done.usd == pytest.approx(15e-6 * len(server.heard))  # the server counts 10 and 5 tokens an answer
