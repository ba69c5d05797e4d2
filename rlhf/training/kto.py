"""Learning from answers that are good or bad, one at a time (KTO, arXiv 2402.01306), on TRL's `KTOTrainer`.

An answer's loss is `1 - sigmoid(beta (r - z))` for a good one and `1 - sigmoid(beta (z - r))` for a bad one, where r is
its log-ratio to the reference and z an estimate of how far the policy has moved: the mean log-ratio of answers under
prompts that they do not belong to. TRL takes z from the rows that are in memory together, so that how a batch is cut up
would change what is learned. Here it comes from all rows of the optimizer step, each with the answer of the row before
it, and all that needs no gradient (z and the reference's log-probabilities) is worked out before the first part.

The reference is the parent: the model with its new adapter switched off, a frozen copy of the adapter that is
continued, or a frozen copy of the model where all weights are trained.
"""

from __future__ import annotations

import contextlib
import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from torch import Tensor
from trl import KTOConfig, KTOTrainer
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference
from trl.trainer.utils import use_adapter

from curation.artifact import Conversations, Ref
from curation.errors import UserError
from curation.frame import to_rows
from curation.progress import Progress
from rlhf.training import measuring, ranks
from rlhf.training.adapters import load_parent, lora_config
from rlhf.training.encoding import IGNORED, Encodings, for_kto
from rlhf.training.lmhead import use_compact_head
from rlhf.training.order import BatchOrder
from rlhf.training.running import Ours, Run, dataset_of

if TYPE_CHECKING:
    from rlhf.recipe.step import Room
    from rlhf.steps.kto import Kto

ROW = "row"
"""Column with the number of a row, by which its neighbour is found."""
_Z = "KL_logps"


@dataclass
class WithStrangers(DataCollatorForUnpairedPreference):
    """TRL's collator; while training, each prompt comes with the answer of another row of its optimizer step too."""

    answers: list[list[int]] | None = None
    """Of all rows. None: no answers of strangers are wanted."""
    order: BatchOrder | None = None
    """Set when training begins."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        if self.answers is not None and self.order is not None:
            before = self.order.before(self.order.epoch)
            examples = [{**e, "KL_completion_ids": self.answers[before[e[ROW]]]} for e in examples]
        found: dict[str, Any] = super().torch_call(examples)
        return found


class Trainer(Ours, KTOTrainer):
    """TRL's, with the overrides of `Ours`, on rows that are encoded already."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        use_compact_head(self.inner)
        if self.ref_model is not None:
            use_compact_head(self.ref_model)
        self.precompute_ref_logps = True  # `get_batch_samples` brings the reference's numbers along

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        self._signature_columns = [*self._signature_columns, ROW]

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list[dict[str, Any]], Any]:
        """The parts of an optimizer step, with everything in them that needs no gradient."""
        self.data_collator.order = self.order
        batches, items = super().get_batch_samples(*args, **kwargs)
        moved = []
        for batch in batches:
            batch["ref_logps"] = self.log_probs(batch, reference=True)
            if self.calculate_KL:
                moved.append(self.log_probs(batch, "KL_") - self.log_probs(batch, "KL_", reference=True))
        if moved:
            real = [one for one, share in zip(moved, self._shares, strict=True) if share < math.inf]
            z = ranks.mean(torch.cat(real) if real else moved[0][:0])
            for batch in batches:
                batch[_Z] = z.expand(len(batch["label"]))
                batch["ref_KL_logps"] = torch.zeros_like(batch["ref_logps"])
        return batches, items

    def _compute_kl_logps(self, model: Any, batch: dict[str, Any]) -> Tensor | None:
        return batch.pop(_Z, None)

    def log_probs(self, batch: dict[str, Any], prefix: str = "", *, reference: bool = False) -> Tensor:
        """(rows) log-probability of each answer under the reference, or under the model as it is now.

        Without dropout: a run that was interrupted would draw it anew.
        """
        ids_BT, mask_BT = batch[f"{prefix}input_ids"], batch[f"{prefix}attention_mask"]
        labels_BT = ids_BT.masked_fill(batch[f"{prefix}completion_mask"] == 0, IGNORED)
        model: Any = self.model
        with measuring.measuring(self), contextlib.ExitStack() as stack:
            if reference and self.ref_model is not None:
                model = self.ref_model
            elif reference:
                kept = "ref" if "ref" in model.peft_config else None  # the frozen copy of an adapter that is continued
                stack.enter_context(use_adapter(model, adapter_name=kept))
            out = model(input_ids=ids_BT, attention_mask=mask_BT, labels=labels_BT, use_cache=False, fused_lm_head=True)
        found: Tensor = out.log_probs.sum(-1)
        return found

    def log_ratios(self, rows: Encodings, progress: Progress) -> list[float]:
        """How much likelier each answer has become, in the order of the rows."""
        found = [0.0] * len(rows)
        for indices, batch in measuring.each(self, rows, progress, "held-out answers"):
            ratios = self.log_probs(batch) - self.log_probs(batch, reference=True)
            for i, ratio in zip(indices, ratios.tolist(), strict=True):
                found[i] = ratio
        return found


def train(step: Kto, room: Room) -> dict[str, Any]:
    """Trains, measures and writes the policy to `room.out`; returns the fields of `Done`."""
    run = Run(step, room, step.policy)

    def encode(rows: Any, bar: Any) -> Encodings:
        return for_kto(to_rows(rows), run.template, max_length=step.max_length, bar=bar)

    refs: list[Ref[Conversations]] = step.data
    rows, held_out = run.encode(refs, encode, max_length=step.max_length, what="answers")
    good = sum(rows.columns["label"])
    for text in _balance(good, len(rows) - good, step):
        room.warn(text)
    arguments = run.arguments(len(rows))
    strangers = step.loss_type == "kto"
    if strangers and arguments["per_device_train_batch_size"] < 2:
        raise UserError(
            "TRL's KTO needs two rows in memory at once",
            hint="set training.per_device_train_batch_size in the profile to 2 or more",
        )
    model = load_parent(run.parent, step, run.device, run.training.attn_implementation)
    trainer = Trainer(
        model=model,
        ref_model=copy.deepcopy(model).requires_grad_(False) if step.tune == "full" else None,
        args=KTOConfig(
            **arguments,
            max_length=step.max_length,
            beta=step.beta,
            loss_type=step.loss_type,
            desirable_weight=step.desirable_weight,
            undesirable_weight=step.undesirable_weight,
            disable_dropout=step.disable_dropout,
            train_sampling_strategy="sequential",  # TRL insists; the order and the strangers' answers are ours
        ),
        data_collator=WithStrangers(
            pad_token_id=run.tokenizer.pad_token_id,
            max_length=step.max_length,
            answers=rows.columns["completion_ids"] if strangers else None,
        ),
        train_dataset=dataset_of({**rows.columns, ROW: list(range(len(rows)))}),
        processing_class=run.tokenizer,
        peft_config=lora_config(model, step) if run.new_adapter else None,
    )
    run.fit(trainer, rows)
    metrics: dict[str, Any] = {"good": good, "bad": len(rows) - good}
    if held_out:
        trainer.data_collator.order = None
        ratios = trainer.log_ratios(held_out, room.progress)
        metrics["held_out"] = _measure(ratios, held_out.columns["label"], step.beta)
    return run.done(trainer, rows, metrics)


def _balance(good: int, bad: int, step: Kto) -> list[str]:
    """What is to be said about how many answers are good: eq. 8 of the paper wants the two sides to weigh about the
    same, the good ones up to a third more.
    """
    if not good or not bad:
        return [f"all {good + bad} answers are {'good' if good else 'bad'}: there is nothing to tell apart"]
    share = good * step.desirable_weight / (bad * step.undesirable_weight)
    if 1 <= share <= 4 / 3:
        return []
    low, high = bad * step.undesirable_weight / good, 4 / 3 * bad * step.undesirable_weight / good
    return [
        f"{good} answers are good and {bad} bad, weighted {share:.2f} to 1; the paper wants 1 to 1.33: "
        f"set desirable_weight between {low:.2f} and {high:.2f}"
    ]


def _measure(ratios: list[float], labels: list[bool], beta: float) -> dict[str, Any]:
    """Mean reward of good answers beyond that of bad ones, and how often a good one has the higher reward."""
    good = torch.tensor([beta * r for r, label in zip(ratios, labels, strict=True) if label], dtype=torch.float64)
    bad = torch.tensor([beta * r for r, label in zip(ratios, labels, strict=True) if not label], dtype=torch.float64)
    if not len(good) or not len(bad):
        return {"good": len(good), "bad": len(bad)}
    beyond = good[:, None] - bad[None, :]
    return {
        "margin": float(good.mean() - bad.mean()),
        "ranked_right": float((beyond > 0).double().mean() + (beyond == 0).double().mean() / 2),
        "good": len(good),
        "bad": len(bad),
    }
