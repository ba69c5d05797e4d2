"""`rloo` and `grpo` on a micro model: the papers' advantages and losses, and rewards that go up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_runs import Make, Run, chat, model_ref, push, trainer_for

from curation.models.generation import Completion, Request, generate
from curation.models.loading import load_policy
from curation.operators.brevity import Brevity
from rlhf.steps.grpo import Grpo
from rlhf.steps.rloo import Rloo
from rlhf.training.answering import tokens_of
from rlhf.training.order import PromptOrder
from rlhf.training.rewarding import answered

QUICK: dict[str, Any] = {
    "lora_r": 4,
    "learning_rate": 5e-3,
    "global_batch_size": 16,
    "num_generations": 8,
    "max_completion_length": 16,
    "rewards": ["brevity"],
}


def brevity(words: int, finished: bool) -> float:
    """The rule of `brevity` as its page states it."""
    return -2.0 if words == 0 else 32 / (32 + words) - (0.0 if finished else 2.0)


@pytest.mark.parametrize("method", [Rloo, Grpo])
def test_the_reward_goes_up(micro_copy: Path, rows_ref: Make, run_step: Run, method: Any) -> None:
    rows = [chat(i, split="test" if i % 2 == 0 else "train") for i in range(16)]
    rows.append(chat(1, split="train").with_(messages=(*chat(1).prompt, chat(3).messages[-1])))  # its prompt is there
    step = method(prompts=rows_ref(rows), policy=model_ref(micro_copy), num_train_epochs=2, **QUICK)
    done, folder, _ = run_step(step, beside=micro_copy)
    assert done.metrics["steps"] == 8  # 8 prompts in groups of 8 answers, 16 a step, twice
    assert done.metrics["data"]["dropped"] == {"repeated_prompt": 1}
    before, after = done.metrics["held_out_before"], done.metrics["held_out"]
    assert after["reward"] > before["reward"] + 0.3
    assert after["finished"] > before["finished"]
    assert [s for s, _ in done.curves["reward"]] == list(range(1, 9))
    weights = load_file(folder / "adapter_model.safetensors")
    assert all(w.abs().max() > 0 for name, w in weights.items() if "lora_B" in name)

    # The artifact, loaded again, gives the answers that were rewarded.
    policy = load_policy(folder, where=torch.device("cpu"))
    held = [row for row in rows if row.split == "test"]
    asked = [Request(r.with_(messages=r.prompt).id, tuple(policy.template.prompt_ids(r.prompt))) for r in held]
    made = generate(policy, asked, step)
    found = sum(brevity(len(one.text.replace(".", "").split()), one.finished) for one in made) / len(made)
    assert after["reward"] == pytest.approx(found, abs=0.02)


def written(trainer: Any, prompts: int, answers: int) -> dict[str, Any]:
    """What TRL's trainer keeps of one generation."""
    kept: dict[str, Any] = trainer._generate_and_score_completions(
        [{"prompt": i} for i in range(prompts) for _ in range(answers)]
    )
    return kept


def log_probs(model: Any, kept: dict[str, Any]) -> torch.Tensor:
    """(N, C) log-probabilities of the answers' tokens by plain logits in float64, a row at a time; 0 for padding."""
    found = torch.zeros(kept["completion_ids"].shape, dtype=torch.float64)
    for i, (p, pm, c, cm) in enumerate(
        zip(kept["prompt_ids"], kept["prompt_mask"], kept["completion_ids"], kept["completion_mask"], strict=True)
    ):
        prompt, answer = p[pm.bool()], c[cm.bool()]
        with torch.no_grad():
            logits = model(torch.cat([prompt, answer])[None]).logits[0, len(prompt) - 1 : -1].double()
        found[i, : len(answer)] = logits.log_softmax(-1)[torch.arange(len(answer)), answer]
    return found


def known(trainer: Any, model: Any, kept: dict[str, Any], plain: Any) -> torch.Tensor:
    """The trainer's own log-probabilities, which agree with plain logits of `plain`; 0 for padding."""
    ids = torch.cat([kept["prompt_ids"], kept["completion_ids"]], 1)
    mask = torch.cat([kept["prompt_mask"], kept["completion_mask"]], 1)
    with torch.no_grad():
        found = trainer._get_per_token_logps_and_entropies(model, ids, mask, kept["completion_ids"].shape[1])[0]
    found = found.double() * kept["completion_mask"]
    assert (found - log_probs(plain, kept)).abs().max() < 1e-4
    return found


def reference_of(trainer: Any, kept: dict[str, Any], parent: Path) -> torch.Tensor:
    """The same under the model that nothing has moved."""
    plain = load_policy(parent, where=torch.device("cpu")).model
    if trainer.ref_model is not None:
        return known(trainer, trainer.ref_model, kept, plain)
    with trainer.model.disable_adapter():
        return known(trainer, trainer.model, kept, plain)


def rewards_of(trainer: Any, kept: dict[str, Any]) -> torch.Tensor:
    """The rule on the very tokens that were kept."""
    ends, chats = trainer.speaker.template.ends, []
    for ids, mask in zip(kept["completion_ids"], kept["completion_mask"], strict=True):
        tokens = ids[mask.bool()].tolist()
        text = trainer.processing_class.decode(tokens, skip_special_tokens=True).rstrip("\ufffd")
        chats.append(answered(chat(0), text, finished=tokens[-1] in ends))
    return torch.tensor(Brevity().score(chats), dtype=torch.float64)


@pytest.mark.parametrize("tune", ["lora", "full"])
@pytest.mark.parametrize("normalize", [False, True])
def test_rloos_loss_is_the_papers(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tune: Any, normalize: bool
) -> None:
    """Ahmadian et al. (2402.14740) eq. 9, the log-ratio to the reference taken off the reward (eq. 3)."""
    shape = {k: v for k, v in QUICK.items() if tune == "lora" or k != "lora_r"}
    step = Rloo(
        prompts=rows_ref([chat(i) for i in range(4)]),
        policy=model_ref(micro_copy),
        tune=tune,
        beta=0.3,
        epsilon=0.1,
        normalize_advantages=normalize,
        num_iterations=2,
        **shape | {"num_generations": 4},
    )
    trainer, _ = trainer_for(step, tmp_path / "room", monkeypatch, per_device_train_batch_size=16)
    trainer.current_gradient_accumulation_steps = 1
    push(trainer, 0.05 if tune == "lora" else 0.003)
    kept = written(trainer, 4, 4)
    old, reference = known(trainer, trainer.model, kept, trainer.model), reference_of(trainer, kept, micro_copy)
    push(trainer, 0.01 if tune == "lora" else 0.001, seed=1)
    loss = trainer._compute_loss(trainer.model, kept).item()

    r = rewards_of(trainer, kept) - 0.3 * (old - reference).sum(1)
    groups = r.view(4, 4)
    advantage = (groups - (groups.sum(1, keepdim=True) - groups) / 3).flatten()
    if normalize:
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-4)
    assert (kept["old_logps"] - old.sum(1)).abs().max() < 1e-4
    now = known(trainer, trainer.model, kept, trainer.model).float().sum(1)  # summed as it was, in float32
    ratio = (now - kept["old_logps"]).double().exp()
    assert ((ratio - 1).abs() > 0.1).any()  # the clip has something to do
    expected = -torch.minimum(ratio * advantage, ratio.clamp(0.9, 1.1) * advantage).mean().item()
    assert loss == pytest.approx(expected, abs=1e-6, rel=1e-6)


@pytest.mark.parametrize(("loss_type", "corrected"), [("dapo", False), ("grpo", True), ("dr_grpo", False)])
def test_grpos_loss_is_the_papers(
    micro_copy: Path,
    rows_ref: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    loss_type: Any,
    corrected: bool,
) -> None:
    """Shao et al. (2402.03300) eq. 3 and 4; Yu et al. (2503.14476) eq. 8; Liu et al. (2503.20783) eq. 5; corrected:
    DeepSeek-V3.2 (2512.02556)."""
    step = Grpo(
        prompts=rows_ref([chat(i) for i in range(4)]),
        policy=model_ref(micro_copy),
        loss_type=loss_type,
        beta=0.2,
        epsilon=0.05,
        epsilon_high=0.1,
        use_bias_correction_kl=corrected,
        num_iterations=2,
        **QUICK | {"num_generations": 4},
    )
    trainer, _ = trainer_for(step, tmp_path / "room", monkeypatch, per_device_train_batch_size=16)
    trainer.current_gradient_accumulation_steps = 1
    push(trainer, 0.05)
    kept = written(trainer, 4, 4)
    old, reference = known(trainer, trainer.model, kept, trainer.model), reference_of(trainer, kept, micro_copy)
    push(trainer, 0.02, seed=1)
    loss = trainer._compute_loss(trainer.model, kept).item()

    groups = rewards_of(trainer, kept).view(4, 4)
    advantage = ((groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True) + 1e-4)).flatten()[:, None]
    now = known(trainer, trainer.model, kept, trainer.model)
    ratio, away = (now - old).exp(), reference - now
    kl = (away.exp() - away - 1) * (ratio if corrected else 1)
    per_token = -torch.minimum(ratio * advantage, ratio.clamp(0.95, 1.1) * advantage) + 0.2 * kl
    mask = kept["completion_mask"].double()
    expected = {
        "dapo": (per_token * mask).sum() / mask.sum(),
        "grpo": ((per_token * mask).sum(1) / mask.sum(1)).mean(),
        "dr_grpo": (per_token * mask).sum() / (16 * 16),
    }[loss_type]
    assert loss == pytest.approx(expected.item(), abs=1e-6, rel=1e-6)


def test_grpos_other_losses_are_the_papers(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same answers. CISPO: MiniMax (2506.13585) eq. 4, the weight clipped from above alone (ScaleRL 2510.13786);
    SAPO: Gao et al. (2511.20347) eq. 5 and 6; GSPO: Zheng et al. (2507.18071) eq. 5 to 7."""
    step = Grpo(
        prompts=rows_ref([chat(i) for i in range(4)]),
        policy=model_ref(micro_copy),
        loss_type="cispo",
        epsilon=0.01,
        epsilon_high=1.05,
        num_iterations=2,
        **QUICK | {"num_generations": 4},
    )
    trainer, _ = trainer_for(step, tmp_path / "room", monkeypatch, per_device_train_batch_size=16)
    trainer.current_gradient_accumulation_steps = 1
    push(trainer, 0.05)
    kept = written(trainer, 4, 4)
    old = known(trainer, trainer.model, kept, trainer.model)
    push(trainer, 0.02, seed=1)
    now = known(trainer, trainer.model, kept, trainer.model)
    groups = rewards_of(trainer, kept).view(4, 4)
    advantage = ((groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True) + 1e-4)).flatten()[:, None]
    mask = kept["completion_mask"].double()
    ratio, lengths = (now - old).exp(), mask.sum(1)

    def mean_of_means(per_token: torch.Tensor) -> float:
        return float(((per_token * mask).sum(1) / lengths).mean())

    assert (ratio > 1.05).any()
    cispo = -(ratio.clamp(max=1.05) * advantage * now * mask).sum() / mask.sum()
    assert trainer._compute_loss(trainer.model, kept).item() == pytest.approx(cispo.item(), abs=1e-6, rel=1e-6)

    trainer.loss_type = "sapo"
    tau = torch.where(advantage > 0, 1.0, 1.05)  # the paper's temperatures
    sapo = mean_of_means(-4 / tau / (1 + torch.exp(-tau * (ratio - 1))) * advantage)
    assert trainer._compute_loss(trainer.model, kept).item() == pytest.approx(sapo, abs=1e-6, rel=1e-6)

    trainer.loss_type, trainer.importance_sampling_level = "grpo", "sequence"
    trainer.epsilon_high = 0.02
    whole = (((now - old) * mask).sum(1) / lengths).exp()[:, None]
    assert (whole > 1.02).any() and (whole < 0.99).any()
    gspo = -torch.minimum(whole * advantage, whole.clamp(0.99, 1.02) * advantage).mean().item()
    assert trainer._compute_loss(trainer.model, kept).item() == pytest.approx(gspo, abs=1e-6, rel=1e-6)


def test_the_tokens_that_are_learned_are_those_that_were_drawn() -> None:
    assert tokens_of(Completion("a b", (5, 6), True, end=2)) == [5, 6, 2]
    assert tokens_of(Completion("a b", (5, 6), False)) == [5, 6]


def test_a_ratio_of_answers_wants_a_mean_of_answers() -> None:
    settings = {**QUICK, "prompts": "d", "importance_sampling_level": "sequence"}
    assert any("`loss_type: grpo`" in text for text in Grpo.model_validate(settings).advice())
    assert Grpo.model_validate({**settings, "loss_type": "grpo"}).advice() == []


def test_how_a_batch_is_cut_up_changes_only_rounding(micro_copy: Path, rows_ref: Make, run_step: Run) -> None:
    step = Grpo(prompts=rows_ref([chat(i) for i in range(6)]), policy=model_ref(micro_copy), max_steps=2, **QUICK)
    whole, _, _ = run_step(step, beside=micro_copy, per_device_train_batch_size=16)
    parts, _, _ = run_step(step, beside=micro_copy, per_device_train_batch_size=4)
    for name in ("loss", "reward"):
        for (_, a), (_, b) in zip(whole.curves[name], parts.curves[name], strict=True):
            assert a == pytest.approx(b, abs=1e-4), name


def test_prompts_come_in_an_order_that_is_known_and_none_is_left_out() -> None:
    order = PromptOrder(5, at_once=2, answers=3, repeats=2, seed=1)
    drawn = list(order)
    assert len(drawn) == len(order) == 36
    assert set(drawn) == set(range(5))
    assert drawn[:6] == drawn[6:12]
    assert drawn[0] == drawn[2] != drawn[3] == drawn[5]
    order.set_epoch(1)
    assert list(order) != drawn
    sizes = [10, 20, 30, 40, 50]
    first = order.order(0)
    assert order.seen(1, sizes) == 3 * (sizes[first[0]] + sizes[first[1]])
    assert order.seen(3, sizes) == 3 * sum(sizes[i] for i in first)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"global_batch_size": 12}, "multiple of `num_generations` 8"),
        ({"generation_batch_size": 24}, "multiple of `global_batch_size` 16"),
        ({"rewards": []}, "empty"),
        ({"reward_weights": [1, 2]}, "2 numbers for 1 rewards"),
        ({"temperature": 0}, "temperature"),
        ({"loss_type": "cispo"}, "needs `epsilon_high` above 1"),
        ({"loss_type": "cispo", "epsilon_high": 0.28}, "needs `epsilon_high` above 1"),
        ({"loss_type": "bnpo"}, "loss_type"),
    ],
)
def test_what_does_not_go_together_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Grpo.model_validate({"prompts": "d", **QUICK, **wrong})
