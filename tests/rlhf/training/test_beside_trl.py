"""Ours and TRL's own trainers, on the same tokens in the same order, tell of the same losses step by step."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import Make, chat, model_ref, pair, push, trainer_for
from trl import DPOTrainer, RewardTrainer, SFTTrainer

from rlhf.steps.dpo import Dpo
from rlhf.steps.reward import Reward
from rlhf.steps.sft import Sft
from rlhf.training.adapters import as_reward_model, load_parent
from rlhf.training.order import BatchOrder


class TokensGiven:
    """Before TRL's class: the rows are tokens already, and come in an order that is given."""

    order: BatchOrder

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> BatchOrder:
        return self.order


@pytest.mark.parametrize(
    ("method", "rows", "trainer_class"),
    [
        (Sft, [chat(i) for i in range(18)], SFTTrainer),
        (Reward, [pair(i) for i in range(18)], RewardTrainer),
        (Dpo, [pair(i) for i in range(18)], DPOTrainer),
    ],
    ids=["sft", "reward", "dpo"],
)
def test_the_losses_are_those_of_trl(
    micro_copy: Path,
    rows_ref: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: Any,
    rows: list[Any],
    trainer_class: Any,
) -> None:
    step = method(data=rows_ref(rows), policy=model_ref(micro_copy), lora_r=4, learning_rate=3e-3, global_batch_size=4)
    ours, encoded = trainer_for(step, tmp_path / "room", monkeypatch, per_device_train_batch_size=2)
    push(ours, 0.05)
    model = load_parent(micro_copy, step, torch.device("cpu"), "sdpa")
    if method is Reward:
        model = as_reward_model(model, ours.processing_class.pad_token_id, seed=0)
    theirs = type("Theirs", (TokensGiven, trainer_class), {})(
        model=model,
        args=copy.deepcopy(ours.args),
        train_dataset=ours.train_dataset,
        processing_class=ours.processing_class,
        peft_config=ours.model.peft_config["default"],
    )
    theirs.model.load_state_dict(ours.model.state_dict())
    curves = []
    for trainer in (ours, theirs):
        trainer.order = BatchOrder(encoded.lengths, 4, seed=1)
        trainer.train()
        curves.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
    assert len(curves[0]) == 5
    assert curves[0][0] != curves[0][-1]
    assert curves[0] == pytest.approx(curves[1], abs=1e-5)
