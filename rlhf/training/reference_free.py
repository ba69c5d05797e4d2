"""Learning from pairs without a reference: what `orpo` and `cpo` share, on TRL's experimental trainers.

The losses are TRL's. What they are computed from is ours: the log-probabilities of the answers alone, from their first
token to their end token, by the output layer that is asked only where a label is. TRL's trainers work on all logits,
tokenize once more by themselves, and average the likelihood term over the tokens of the rows that are in memory at once
(ORPO's over the prompt's too); here it is the mean over the answers of each one's mean over its tokens, which is the
ORPO paper's, so that how a batch is cut up changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.utils import add_fused_lm_head

from curation.progress import Progress
from rlhf.training import measuring
from rlhf.training.adapters import load_parent, lora_config
from rlhf.training.encoding import IGNORED, Encodings
from rlhf.training.lmhead import UNMEASURED, use_compact_head
from rlhf.training.pairs import encoded_pairs
from rlhf.training.running import Ours, Run, dataset_of

if TYPE_CHECKING:
    from rlhf.recipe.step import Room
    from rlhf.steps.cpo import Cpo
    from rlhf.steps.orpo import Orpo


class ReferenceFree(Ours):
    """Mixed in before one of TRL's two trainers."""

    averaged: bool
    """Whether an answer counts by its mean log-probability a token, instead of by their sum."""

    def __init__(self, *args: Any, averaged: bool, **kwargs: Any) -> None:
        self.averaged, self._metrics, self._tokens = averaged, {}, 0
        super().__init__(*args, **kwargs)
        add_fused_lm_head(self.inner)
        use_compact_head(self.inner)

    def tokenize_row(self, feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
        """Nothing: the rows are encoded already."""
        return feature

    def answers(self, model: Any, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """(log-probability, tokens) of each answer of a batch; the N chosen ones first, then the N rejected: (2N)."""
        labels_BT = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, IGNORED)
        out = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            labels=labels_BT,
            use_cache=False,
            fused_lm_head=True,
        )
        return out.log_probs.sum(-1), batch["completion_mask"].sum(-1)

    def concatenated_forward(self, model: Any, batch: dict[str, Any]) -> tuple[Tensor, ...]:
        """TRL's five: chosen and rejected log-probabilities, their logits (not worked out), the likelihood term."""
        summed, tokens = self.answers(model, batch)
        self._tokens += int(batch["attention_mask"].sum())
        means = summed / tokens
        chosen, rejected = (means if self.averaged else summed).chunk(2)
        nothing = torch.zeros_like(chosen)
        return chosen, rejected, nothing, nothing, -means.chunk(2)[0].mean()

    def store_metrics(self, metrics: dict[str, float], train_eval: Any = "train") -> None:
        super().store_metrics({k: v for k, v in metrics.items() if k not in UNMEASURED}, train_eval)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        logs["num_tokens"] = self._tokens
        super().log(logs, start_time)

    def margins(self, rows: Encodings, progress: Progress) -> list[float]:
        """Log-probability of the chosen answer beyond that of the rejected one, in the order of the rows."""
        found = [0.0] * len(rows)
        with measuring.measuring(self):
            for indices, batch in measuring.each(self, rows, progress, "held-out pairs"):
                summed, tokens = self.answers(self.model, batch)
                chosen, rejected = (summed / tokens if self.averaged else summed).chunk(2)
                for i, margin in zip(indices, (chosen - rejected).tolist(), strict=True):
                    found[i] = margin
        return found


def train(
    step: Orpo | Cpo, room: Room, trainer_class: type[Any], config_class: type[Any], averaged: bool, **own: Any
) -> dict[str, Any]:
    """Trains, measures and writes the policy to `room.out`; returns the fields of `Done`.

    Args:
        trainer_class: One of TRL's with `ReferenceFree` before it.
        config_class: Its config.
        averaged: As in `ReferenceFree`.
        own: Settings of the method.
    """
    for text in step.experimental():
        room.warn(text)
    run = Run(step, room, step.policy)
    rows, held_out = encoded_pairs(step, run)
    model = load_parent(run.parent, step, run.device, run.training.attn_implementation)
    trainer = trainer_class(
        model=model,
        args=config_class(
            **run.arguments(len(rows)),
            remove_unused_columns=False,
            max_length=step.max_length,
            beta=step.beta,
            disable_dropout=step.disable_dropout,
            **own,
        ),
        data_collator=DataCollatorForPreference(pad_token_id=run.tokenizer.pad_token_id, max_length=step.max_length),
        train_dataset=dataset_of(rows.columns),
        processing_class=run.tokenizer,
        peft_config=lora_config(model, step) if run.new_adapter else None,
        averaged=averaged,
    )
    run.fit(trainer, rows)
    metrics: dict[str, Any] = {}
    if held_out:
        metrics["held_out"] = _measured(trainer.margins(held_out, room.progress), step.beta)
        with run.as_parent(trainer) as parent:
            if parent:
                before = _measured(trainer.margins(held_out, room.progress), step.beta)
                metrics["held_out_before"] = before
    return run.done(trainer, rows, metrics)


def _measured(margins: list[float], beta: float) -> dict[str, Any]:
    return {"accuracy": measuring.accuracy(margins), "margin": beta * sum(margins) / len(margins)}
