"""Settings of trainers: names, defaults that follow what is trained, one batch size, and what does not go together."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
from pydantic import ValidationError

from curation.errors import UserError
from rlhf.recipe.profile import Training
from rlhf.steps.cpo import Cpo
from rlhf.steps.distill import Distill
from rlhf.steps.dpo import Dpo
from rlhf.steps.grpo import Grpo
from rlhf.steps.kto import Kto
from rlhf.steps.orpo import Orpo
from rlhf.steps.reward import Reward
from rlhf.steps.rloo import Rloo
from rlhf.steps.sft import Sft
from rlhf.training.settings import Optimizing, cut_batch, optimizer_steps, step_advice

OURS = {
    *(
        "step",
        "data",
        "prompts",
        "rewards",
        "teacher",
        "policy",
        "tune",
        "adapter",
        "dtype",
        "global_batch_size",
        "held_out_rows",
        "rounds",
        "rewards_l2_coefficient",
    ),
}
"""Keys that are the architecture's; all others are TRL's or transformers'."""


@pytest.mark.parametrize(("cls", "lora", "full"), [(Sft, 2e-4, 2e-5), (Reward, 1e-4, 1e-5), (Dpo, 5e-5, 1e-6)])
def test_the_learning_rate_follows_what_is_trained(cls: type[Sft | Reward | Dpo], lora: float, full: float) -> None:
    assert cls(data="d").learning_rate == lora
    assert cls(data="d", tune="full").learning_rate == full
    assert cls(data="d", tune="full", learning_rate=3e-4).learning_rate == 3e-4


def test_keys_are_those_of_trl_and_transformers() -> None:
    from peft import AdaptionPromptConfig, LoraConfig
    from trl import (
        DistillationConfig,
        DPOConfig,
        GRPOConfig,
        KTOConfig,
        ModelConfig,
        RewardConfig,
        RLOOConfig,
        SFTConfig,
    )
    from trl.experimental.cpo import CPOConfig
    from trl.experimental.orpo import ORPOConfig

    for cls, config in (
        (Sft, SFTConfig),
        (Reward, RewardConfig),
        (Dpo, DPOConfig),
        (Kto, KTOConfig),
        (Orpo, ORPOConfig),
        (Cpo, CPOConfig),
        (Rloo, RLOOConfig),
        (Grpo, GRPOConfig),
        (Distill, DistillationConfig),
    ):
        peft = (LoraConfig, AdaptionPromptConfig)
        theirs = {f.name for c in (config, ModelConfig, *peft) for f in dataclasses.fields(c)}
        assert set(cls.model_fields) - theirs <= OURS, cls


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tune": "full", "lora_r": 8}, "`lora_r` has no meaning"),
        ({"adapter": "continue", "lora_r": 8}, "takes the parent's shape"),
        ({"tune": "full", "load_in_4bit": True}, "cannot be trained"),
        ({"load_in_4bit": True, "load_in_8bit": True}, "choose one"),
        ({"load_in_4bit": True, "adapter": "merge_first"}, "cannot be merged"),
        ({"max_steps": 0}, "trains nothing"),
        ({"loss_weights": [1, 2]}, "2 numbers for 1 losses"),
        ({"loss_type": "exo_pair"}, "label_smoothing"),
        ({"tune": "full", "precompute_ref_log_probs": False}, "remove the key"),
        ({"loss_type": "sigmoyd"}, "loss_type"),
        ({"lora_rank": 8}, "lora_rank"),
    ],
)
def test_what_does_not_go_together_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Dpo.model_validate({"data": "d", **wrong})


def test_a_reward_model_continues_no_policy() -> None:
    with pytest.raises(ValidationError, match="adapter"):
        Reward.model_validate({"data": "d", "adapter": "continue"})


@pytest.mark.parametrize(
    ("batch", "training", "cut"),
    [
        (16, {}, (8, 2)),  # as many as fit 8
        (12, {}, (6, 2)),
        (7, {}, (7, 1)),
        (13, {}, (1, 13)),
        (128, {"per_device_train_batch_size": 4}, (4, 32)),  # alpaca-lora: batch 128, micro 4
        (64, {"per_device_train_batch_size": 8, "num_processes": 4}, (8, 2)),
        (4, {"num_processes": 4}, (1, 1)),
    ],
)
def test_a_batch_is_cut_into_what_the_profile_allows(
    batch: int, training: dict[str, int], cut: tuple[int, int]
) -> None:
    assert cut_batch(batch, Training(**training)) == cut


@pytest.mark.parametrize(
    ("batch", "training", "said"),
    [
        (10, {"per_device_train_batch_size": 4}, "1, 2, 5, 10"),
        (10, {"num_processes": 4}, "a multiple of 4"),
        (4, {"per_device_train_batch_size": 8}, "1, 2, 4"),
    ],
)
def test_a_batch_that_does_not_divide_is_refused_with_what_would(
    batch: int, training: dict[str, int], said: str
) -> None:
    with pytest.raises(UserError, match="does not divide") as caught:
        cut_batch(batch, Training(**training))
    assert said in caught.value.hint


def test_few_steps_are_advised_against() -> None:
    class Any_(Optimizing):
        learning_rate: float = 1.0

    assert Any_(max_steps=49).advice()
    assert "49 optimizer steps" in Any_(max_steps=49).advice()[0]
    assert not Any_(max_steps=50).advice()
    assert not Any_().advice()  # only the data can tell
    assert optimizer_steps(100, Any_(global_batch_size=16, num_train_epochs=3)) == 21  # ceil(100 / 16) = 7 an epoch
    assert optimizer_steps(100, Any_(global_batch_size=16, num_train_epochs=1.5)) == 11  # ceil(1.5 * 7)
    assert "21 optimizer steps" in step_advice(100, Any_(global_batch_size=16, num_train_epochs=3))[0]
    assert not step_advice(800, Any_(global_batch_size=16))
    assert not step_advice(100, Any_(max_steps=10))  # said already, from the settings


def test_steps_are_read_without_torch() -> None:
    code = (
        "import sys, rlhf.steps.sft, rlhf.steps.dpo, rlhf.steps.reward;"
        "print([m for m in ('torch', 'transformers', 'trl', 'polars', 'datasets') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
