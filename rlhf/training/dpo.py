"""Direct preference optimization (arXiv 2305.18290), on TRL's `DPOTrainer`.

The reference is the parent: the model with its new adapter switched off, or a frozen copy of the adapter that is
trained on (`adapter: continue`), or log-probabilities worked out before the first step (`precompute_ref_log_probs`,
and always when all weights are trained: no second model is kept). Either way what it says is kept in the store
(`rlhf.training.reference`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from torch import Tensor
from trl import DPOConfig, DPOTrainer

from curation.progress import Progress
from rlhf.training import measuring
from rlhf.training.adapters import load_parent, lora_config
from rlhf.training.encoding import Encodings
from rlhf.training.lmhead import use_compact_head
from rlhf.training.pairs import encoded_pairs
from rlhf.training.reference import KeptReference, LogProbs, kept_reference
from rlhf.training.running import Ours, Run, dataset_of

if TYPE_CHECKING:
    from rlhf.recipe.step import Room
    from rlhf.steps.dpo import Dpo


class Trainer(Ours, DPOTrainer):
    """TRL's, with the overrides of `Ours`, on pairs that are encoded already."""

    def __init__(
        self,
        *args: Any,
        rows: Encodings,
        progress: Progress,
        kept: KeptReference,
        compact: bool = True,
        **kwargs: Any,
    ) -> None:
        self.rows, self.progress, self.kept, self.compact = rows, progress, kept, compact
        super().__init__(*args, **kwargs)
        self._use_compact_head()
        self.precompute_ref_logps = True  # what was not, `_compute_loss` brings along

    def _use_compact_head(self) -> None:
        if self.compact:
            use_compact_head(self.inner)
            self.compact = False

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        """TRL's, in batches of equal lengths, and in memory."""
        self._use_compact_head()
        chosen, rejected = self.reference(self.rows)
        return dataset.add_column("ref_chosen_logps", chosen).add_column("ref_rejected_logps", rejected)

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        """TRL's; what the reference says, if it was not worked out before, is worked out now, without dropout."""
        if "ref_chosen_logps" not in inputs:
            with measuring.measuring(self):
                found = self.compute_ref_log_probs(self.model, inputs)
            inputs["ref_chosen_logps"], inputs["ref_rejected_logps"] = found
        return super()._compute_loss(model, inputs, return_outputs)

    def compute_ref_log_probs(self, model: Any, inputs: dict[str, Any]) -> LogProbs:
        """TRL's, unless it was worked out before."""
        return self.kept(inputs, lambda: super(Trainer, self).compute_ref_log_probs(model, inputs))

    def reference(self, rows: Encodings, what: str = "reference") -> tuple[list[float], list[float]]:
        """Log-probabilities of the chosen and of the rejected answers under the reference, in the order of the rows.

        Where all weights are trained this holds before the first step only.
        """
        found: list[tuple[float, float]] = [(0.0, 0.0)] * len(rows)
        with measuring.measuring(self):
            for indices, batch in measuring.each(self, rows, self.progress, what):
                chosen, rejected = self.compute_ref_log_probs(self.model, batch)
                for i, c, r in zip(indices, chosen.tolist(), rejected.tolist(), strict=True):
                    found[i] = (c, r)
        return [c for c, _ in found], [r for _, r in found]

    def policy(self, rows: Encodings, what: str = "held-out pairs") -> tuple[list[float], list[float]]:
        """The same under the model as it is now."""
        found: list[tuple[float, float]] = [(0.0, 0.0)] * len(rows)
        with measuring.measuring(self):
            for indices, batch in measuring.each(self, rows, self.progress, what):
                mask = batch.pop("completion_mask")
                labels = batch["input_ids"].masked_fill(mask == 0, -100)
                out = self.model(**batch, labels=labels, use_cache=False, fused_lm_head=True)
                chosen, rejected = out.log_probs.sum(dim=1).chunk(2)
                for i, c, r in zip(indices, chosen.tolist(), rejected.tolist(), strict=True):
                    found[i] = (c, r)
        return [c for c, _ in found], [r for _, r in found]


def train(step: Dpo, room: Room, trainer_class: Callable[..., Trainer] = Trainer) -> dict[str, Any]:
    """Trains, measures and writes the policy to `room.out`; returns the fields of `Done`.

    Args:
        trainer_class: A variant's: a subclass of `Trainer`, its own arguments bound by `functools.partial`.
    """
    run = Run(step, room, step.policy)
    rows, held_out = encoded_pairs(step, run)
    model = load_parent(run.parent, step, run.device, run.training.attn_implementation)
    trainer = trainer_class(
        model=model,
        args=DPOConfig(
            **run.arguments(len(rows)),
            max_length=step.max_length,
            beta=step.beta,
            loss_type=[step.loss_type] if isinstance(step.loss_type, str) else list(step.loss_type),
            loss_weights=step.loss_weights,
            label_smoothing=step.label_smoothing,
            f_divergence_type=step.f_divergence_type,
            f_alpha_divergence_coef=step.f_alpha_divergence_coef,
            ld_alpha=step.ld_alpha,
            use_weighting=step.use_weighting,
            discopop_tau=step.discopop_tau,
            disable_dropout=step.disable_dropout,
            precompute_ref_log_probs=step.precomputes,
        ),
        train_dataset=dataset_of(rows.columns),
        processing_class=run.tokenizer,
        peft_config=lora_config(model, step) if run.new_adapter else None,
        rows=rows,
        progress=room.progress,
        kept=kept_reference(step, run, room.features),
        compact=not step.use_weighting,
    )
    reference = trainer.reference(held_out, "held-out reference") if held_out else None
    run.fit(trainer, rows)
    metrics = {}
    if held_out and reference:
        metrics["held_out"] = _measure(trainer.policy(held_out), reference, step.beta)
    return run.done(trainer, rows, metrics)


def _measure(
    policy: tuple[list[float], list[float]], reference: tuple[list[float], list[float]], beta: float
) -> dict[str, Any]:
    """Reward accuracy, margin and sigmoid loss, where an answer's reward is beta times its log-ratio."""
    ratios = [torch.tensor(p, dtype=torch.float64) - torch.tensor(r) for p, r in zip(policy, reference, strict=True)]
    margin: Tensor = beta * (ratios[0] - ratios[1])
    return {
        "accuracy": measuring.accuracy(margin.tolist()),
        "margin": float(margin.mean()),
        "loss": float(measuring.softplus(-margin).mean()),
    }
