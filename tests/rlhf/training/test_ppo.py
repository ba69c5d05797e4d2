"""`ppo` on a micro model: four models on one base, what an update does, and what bad input gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_runs import Make, Run, assistant, chat, model_ref, pair, publish, room, user

from curation.artifact import Ref, RewardModel
from curation.conversation import Conversation
from curation.errors import UserError
from curation.models.generation import NextToken
from curation.models.lineage import Lineage
from curation.models.loading import load_policy
from curation.models.opened import close
from curation.operator import Scorer
from curation.operators.reward_model import RewardScore
from rlhf.recipe.step import Done
from rlhf.steps.ppo import Ppo
from rlhf.steps.reward import Reward
from rlhf.steps.sft import Sft
from rlhf.training import ppo_running
from rlhf.training.ppo import PPO
from rlhf.training.ppo_actors import POLICY, Micro, micro_batch
from rlhf.training.ppo_answers import MergedCopy
from rlhf.training.running import Run as Running

QUICK: dict[str, Any] = {
    "lora_r": 8,
    "learning_rate": 2e-3,
    "lr_scheduler_type": "constant",
    "global_batch_size": 24,
    "num_ppo_epochs": 2,
    "max_completion_length": 24,
}


class Letters(Scorer):
    """How often an answer has the letter e: easy to learn, and no scorer of the project."""

    op: Literal["letters"] = "letters"

    def score(self, conversations: list[Conversation]) -> list[float]:
        return [c.reply.count("e") / max(1, len(c.reply)) * 10 for c in conversations]


@pytest.fixture
def begun(rows_ref: Make, tmp_path: Path) -> Callable[..., PPO]:
    """`begun(parent, **settings)`: a run before its first update."""

    def begin(parent: Path, **settings: Any) -> PPO:
        asks = [user(chat(i).messages[0].content + " And then?" * (i % 4)) for i in range(48)]
        prompts = rows_ref([Conversation(messages=(ask, assistant("Old."))) for ask in asks])
        step = Ppo(**{"prompts": prompts, "policy": model_ref(parent), "rewards": [Letters()], **QUICK, **settings})
        return ppo_running.assemble(step, Running(step, room(tmp_path / "begun"), step.policy))

    return begin


def stirred(ppo: PPO, scale: float = 0.05) -> None:
    """Moves the policy and the value model away from where they begin."""
    chance = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weights in [*ppo.actors.policy_weights.values(), *ppo.actors.value_weights.values()]:
            weights.add_(torch.randn(weights.shape, generator=chance) * scale)


def micro_of(ppo: PPO, prompts: list[list[int]], answers: list[list[int]]) -> Micro:
    return micro_batch(range(len(prompts)), prompts, answers, max(map(len, answers)), ppo.actors.inner)


def test_before_anything_is_learned_all_four_agree(micro: Path, begun: Callable[..., PPO]) -> None:
    """The policy is the reference, to the last bit; every value is 0; the first ratio is exactly 1."""
    ppo = begun(micro, num_mini_batches=2)
    rollout = ppo.rollout()
    assert abs(rollout.kl) < 1e-6
    assert torch.equal(rollout.logprobs, rollout.reference)
    assert not rollout.values.any()
    assert [len(mini) for mini in rollout.minis] == [2, 2]  # 24 answers, 12 a step, 6 at once
    before = {n: p.detach().clone() for n, p in ppo.actors.model.named_parameters()}
    stats = ppo.step()
    assert stats["kl"] == 0
    assert stats["first_ratio"] == 1
    moved = {n for n, p in ppo.actors.model.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {n for n in moved if ".default." in n or ".value." in n}
    assert any(".default." in n for n in moved)
    # The next update begins from a policy that has moved, and its ratio is exactly 1 again.
    again = ppo.step()
    assert again["first_ratio"] == 1
    assert again["kl"] != 0


def test_log_probabilities_are_those_of_the_rows_alone(micro: Path, begun: Callable[..., PPO]) -> None:
    """Padding changes nothing, on the right where answers are learned from and on the left where they are drawn; nor do
    rows that share a beginning. They are those of the plain model: log softmax of its logits, at the temperature."""
    ppo = begun(micro, temperature=0.7)
    stirred(ppo)
    rollout = ppo.rollout()
    asked = ppo.prompts.of(0)
    made = ppo.writer.write([request for _, request in asked])
    answers = [[*c.tokens, *([] if c.end is None else [c.end])] for c in made]
    prompts = [list(request.prompt) for _, request in asked]
    assert len({len(p) for p in prompts}) > 1
    assert len(set(map(len, answers))) > 3
    whole = load_policy(micro, where=torch.device("cpu")).model
    for i in (0, 5, 11):
        ids = torch.tensor([prompts[i] + answers[i]])
        with torch.no_grad():
            alone = ppo.actors.logprobs(micro_of(ppo, [prompts[i]], [answers[i]]))
            logits = whole(ids).logits[0, len(prompts[i]) - 1 : -1] / 0.7
            plain = logits.log_softmax(-1).gather(-1, torch.tensor(answers[i])[:, None])[:, 0]
            values = ppo.actors.values(micro_of(ppo, [prompts[i]], [answers[i]]))
        n = len(answers[i])
        torch.testing.assert_close(rollout.logprobs[i, :n], alone, atol=1e-5, rtol=0)
        torch.testing.assert_close(rollout.values[i, :n], values, atol=1e-5, rtol=0)
        torch.testing.assert_close(rollout.reference[i, :n], plain, atol=1e-5, rtol=0)
        assert not rollout.logprobs[i, n:].any()
        assert (rollout.logprobs[i, :n] - plain).abs().max() > 1e-3


def test_the_copy_that_writes_is_the_policy(micro: Path, begun: Callable[..., PPO]) -> None:
    ppo = begun(micro)
    stirred(ppo)
    frozen = {n: p.detach().clone() for n, p in ppo.actors.inner.named_parameters() if "lora" not in n}
    ids = torch.tensor([list(ppo.prompts.kept[0][1].prompt)])
    with torch.no_grad():
        ppo.actors.use((POLICY,))
        beside = ppo.actors.inner(ids).logits
        ppo.actors.use(())
        reference = ppo.actors.inner(ids).logits
        copied = MergedCopy(ppo.actors.inner)
        for _ in range(2):  # it can be had again and again
            with copied.with_adapters((POLICY,)) as model:
                merged = model(ids).logits
        with copied.with_adapters(()) as model:
            torch.testing.assert_close(model(ids).logits, reference, atol=1e-5, rtol=0)
    torch.testing.assert_close(merged, beside, atol=1e-5, rtol=0)
    assert (beside - reference).abs().max() > 1e-2
    assert all(torch.equal(p, frozen[n]) for n, p in ppo.actors.inner.named_parameters() if "lora" not in n)
    requests = [request for _, request in ppo.prompts.of(0)]
    written = ppo.writer.write(requests)
    ppo.writer.merge = False
    assert [c.tokens for c in ppo.writer.write(requests)] == [c.tokens for c in written]
    assert NextToken(ppo.writer.loaded()).inner is ppo.actors.inner


def test_it_learns_and_reloads_as_it_was(micro_copy: Path, rows_ref: Make, run_step: Run) -> None:
    step = Ppo(
        prompts=rows_ref([chat(i) for i in range(60)] + [chat(0, meta={"again": True})]),
        policy=model_ref(micro_copy),
        rewards=["brevity"],
        target_kl=1.5,
        max_steps=8,
        **{**QUICK, "num_ppo_epochs": 4},
    )
    done, folder, own = run_step(step, beside=micro_copy)
    assert Lineage.read(folder) == Lineage(micro_copy.name, (), "lora")
    weights = load_file(folder / "adapter_model.safetensors")
    assert all(weights[name].abs().sum() > 0 for name in weights)  # B begins at 0
    assert not any("value" in name or "head" in name for name in weights)

    assert done.metrics["updates"] == 8
    assert done.metrics["answers"] == 8 * 24
    assert done.metrics["data"] == {"rows": 61, "used": 60, "dropped": {"repeated_prompt": 1}}
    reward = [value for _, value in done.curves["reward"]]
    assert sum(reward[-3:]) / 3 > reward[0] + 0.3
    kl = [value for _, value in done.curves["kl"]]
    assert kl[0] == 0
    assert 0.3 < sum(kl[-3:]) / 3 < 1.25 * 1.5
    for name in ("reward_brevity", "entropy", "value_loss", "clip_fraction", "answer_tokens", "ended", "kl_coef"):
        assert len(done.curves[name]) == 8, name
    assert list(done.examples[0]["answers"]) == ["before", "after"]
    assert done.examples[0]["answers"]["before"] != done.examples[0]["answers"]["after"]

    run = Running(step, own, step.policy)
    ppo = ppo_running.assemble(step, run)
    for name, value in weights.items():
        key = name.replace(".weight", ".default.weight")
        dict(ppo.actors.model.named_parameters())[key].data.copy_(value)
    loaded = load_policy(folder, where=torch.device("cpu"))
    ids = torch.tensor([list(ppo.prompts.kept[0][1].prompt)])
    with torch.no_grad():
        ppo.actors.use((POLICY,))
        assert torch.equal(loaded.model(ids).logits, ppo.actors.inner(ids).logits)


def trained_reward(parent: Path, rows_ref: Make, place: Path, **settings: Any) -> Ref[Any]:
    step = Reward(data=rows_ref([pair(i) for i in range(32)]), policy=model_ref(parent), learning_rate=5e-3, **settings)
    own = room(place)
    step.run(own)
    folder = publish(step, own.out, parent)
    return Ref("reward", folder, folder.name, (RewardModel,))


def test_a_reward_model_on_the_policys_base_is_an_adapter_with_the_scorers_numbers(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, begun: Callable[..., PPO]
) -> None:
    reward = trained_reward(micro_copy, rows_ref, tmp_path / "rm", global_batch_size=8)
    chats = [chat(i) for i in range(6)] + [Conversation(messages=(user("a"), assistant("")))]
    expected = RewardScore(reward=reward).score(chats)
    close()
    assert max(expected) - min(expected) > 0.05
    ppo = begun(micro_copy, rewards=[RewardScore(reward=reward), Letters()], reward_weights=[1.0, 0.5])
    stirred(ppo)
    size = sum(p.numel() for p in ppo.actors.inner.parameters() if p.ndim == 2 and p.shape[0] > 32)
    assert size < 1.2 * sum(p.numel() for p in load_policy(micro_copy).model.parameters())  # one base
    scored = ppo.rewards(chats)
    assert scored.parts["reward_model"] == pytest.approx(expected, abs=1e-5)
    assert scored.total == pytest.approx(
        [r + 0.5 * e for r, e in zip(expected, scored.parts["letters"], strict=True)], abs=1e-5
    )
    from curation.models.opened import _open

    assert not _open  # no model was loaded for it

    # A policy that is trained on: its reference is a frozen copy, on which such a reward model stands.
    tuned = Sft(
        data=rows_ref([chat(i) for i in range(16)]),
        policy=model_ref(micro_copy),
        lora_r=4,
        max_steps=3,
        learning_rate=1e-2,
    )
    own = room(tmp_path / "sft")
    tuned.run(own)
    policy = publish(tuned, own.out, micro_copy)
    above = trained_reward(policy, rows_ref, tmp_path / "rm2", global_batch_size=8)
    expected = RewardScore(reward=above).score(chats)
    going_on = {k: v for k, v in QUICK.items() if k != "lora_r"}
    step = Ppo(
        prompts=rows_ref([chat(i) for i in range(8)]),
        policy=model_ref(policy),
        rewards=[RewardScore(reward=above), RewardScore(reward=reward, as_="below")],
        adapter="continue",
        **going_on,
    )
    ppo = ppo_running.assemble(step, Running(step, room(tmp_path / "going on"), step.policy))
    assert abs(ppo.rollout().kl) < 1e-6
    stirred(ppo)
    assert ppo.rollout().kl > 1e-3
    scored = ppo.rewards(chats)
    assert scored.parts["reward_model"] == pytest.approx(expected, abs=1e-5)
    assert scored.parts["below"] == pytest.approx(RewardScore(reward=reward).score(chats), abs=1e-5)


@pytest.mark.parametrize("shape", [{}, {"use_dora": True}, {"use_rslora": True}], ids=["lora", "dora", "rslora"])
def test_moved_back_all_the_way_the_policy_is_the_reference(
    micro: Path, begun: Callable[..., PPO], shape: dict[str, Any]
) -> None:
    """Half of the way is nearer than the whole one, and none of it is no way at all."""
    ppo = begun(micro, global_batch_size=8, max_completion_length=8, **shape)
    assert abs(ppo.rollout().kl) < 1e-6
    stirred(ppo)
    far = ppo.rollout().kl
    ppo.actors.move_back(0.5)
    near = ppo.rollout().kl
    assert 0 < near < far
    ppo.actors.move_back(0.0)
    assert abs(ppo.rollout().kl) < 1e-6


def test_a_reward_model_of_another_base_is_a_model_of_its_own(
    micro_copy: Path, micro: Path, rows_ref: Make, tmp_path: Path, begun: Callable[..., PPO]
) -> None:
    reward = trained_reward(micro_copy, rows_ref, tmp_path / "rm", tune="full", global_batch_size=16)
    ppo = begun(micro, rewards=[RewardScore(reward=reward)])
    assert ppo.rewards([chat(1)]).total == RewardScore(reward=reward).score([chat(1)])
    close()


def test_bad_input(micro_copy: Path, rows_ref: Make, tmp_path: Path, begun: Callable[..., PPO]) -> None:
    with pytest.raises(UserError, match=r"none of the 48 prompts can be asked: 48 prompt_too_long .the longest has"):
        begun(micro_copy, max_prompt_length=3)
    reward = trained_reward(micro_copy, rows_ref, tmp_path / "rm", global_batch_size=16)
    weights = load_file(reward.folder / "adapter_model.safetensors")
    head = next(name for name in weights if name.endswith("score.weight"))
    file = reward.folder / "adapter_model.safetensors"
    save_file({**weights, head: torch.zeros(2, weights[head].shape[1])}, file)
    with pytest.raises(UserError, match=r"no reward model for this policy: its head has the shape .2, "):
        begun(micro_copy, rewards=[RewardScore(reward=reward)])
    lora = next(name for name in weights if "lora_A" in name)
    save_file({**weights, lora: torch.zeros(4, 7)}, file)
    with pytest.raises(UserError, match="does not fit the policy's base"):
        begun(micro_copy, rewards=[RewardScore(reward=reward)])

    ppo = begun(micro_copy)
    with torch.no_grad():
        next(iter(ppo.actors.value_weights.values())).fill_(float("nan"))
    with pytest.raises(UserError, match="no number at update 1"):
        ppo.step()
    (micro_copy / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="no chat template"):
        begun(micro_copy)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tune": "full"}, "lora"),
        ({"lora_dropout": 0.1}, "lora_dropout"),
        ({"global_batch_size": 10, "num_mini_batches": 3}, "does not divide"),
        ({"rewards": []}, "at least one"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Ppo(**{"prompts": "chats", "rewards": ["brevity"], **settings})


def test_a_variant_overrides_one_method(micro: Path, rows_ref: Make, tmp_path: Path) -> None:
    """An advantage of one's own: the answer's whole reward for each of its tokens (REINFORCE)."""

    class Whole(PPO):
        def advantages(self, rewards: Any, values: Any, mask: Any) -> Any:
            total = rewards.sum(1, keepdim=True) * mask
            calls.append(tuple(total.shape))
            return total, total

    class Reinforce(Ppo):
        step: Literal["acme/reinforce"] = "acme/reinforce"  # type: ignore[assignment]

        def algorithm(self) -> type[PPO]:
            return Whole

    calls: list[tuple[int, ...]] = []
    data = rows_ref([chat(i) for i in range(8)])
    settings = {**QUICK, "global_batch_size": 8, "max_steps": 2, "num_ppo_epochs": 1}
    done = Reinforce(prompts=data, policy=model_ref(micro), rewards=[Letters()], **settings).run(
        room(tmp_path / "room")
    )
    assert isinstance(done, Done)
    assert len(calls) == 2
