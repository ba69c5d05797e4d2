"""One run of a TRL trainer, from rows and a parent to an artifact. What differs by method is in sft, reward and dpo.

The trainers are TRL's, with its own switches, and small overrides for all of them: the order of the batches is a
function of (seed, epoch) and groups rows by length; on a CPU the output layer answers only where a label is
(`rlhf.training.lmhead`); nothing is sent anywhere and no card is written.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.data_loader import prepare_data_loader
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from peft import PeftModel
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, Trainer
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.utils import logging as transformers_logging

from curation.artifact import Policy, Ref
from curation.errors import UserError
from curation.models.lineage import chain_of
from curation.models.loading import generation_config, load_tokenizer, title
from curation.models.numerics import compute_dtype, numerics_class, set_threads, use_device
from curation.models.pointer import check_folder
from curation.models.template import ChatTemplate
from curation.progress import Bar
from rlhf.training import ranks
from rlhf.training.adapters import (
    keep_beginning,
    let_through,
    need_bitsandbytes,
    save_result,
    trainable_parameters,
)
from rlhf.training.checkpoints import KEPT, Checkpoints, newest
from rlhf.training.columns import held_out_rows, training_rows
from rlhf.training.encoding import IGNORED, Encodings
from rlhf.training.following import POINTS, Follow, curves
from rlhf.training.leaks import alike, refuse_overlap
from rlhf.training.lmhead import UNMEASURED
from rlhf.training.order import BatchOrder
from rlhf.training.preflight import Findings, judge, misfits
from rlhf.training.settings import cut_batch, optimizer_steps, step_advice
from rlhf.training.tracking import keep_events, reporting

if TYPE_CHECKING:
    import polars as pl

    from rlhf.recipe.profile import Training
    from rlhf.recipe.step import Room
    from rlhf.training.settings import Optimizing

BEGINNING = "beginning"
"""Folder in the work folder, of an adapter before training."""
Encode = Callable[["pl.DataFrame", Bar], Encodings]


class Ours(Trainer):
    """The overrides that all trainers share; mixed in before TRL's class."""

    order: BatchOrder
    """Set before `train`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shares: list[float] = []
        if ranks.count() > 1:
            self.accelerator.gather = ranks.gather
        let_through(self.model)

    @property
    def inner(self) -> PreTrainedModel:
        """The model without its PEFT wrapper."""
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    def _get_train_sampler(self, train_dataset: Any = None) -> BatchOrder:
        return self.order

    def get_train_dataloader(self) -> Any:
        """In several processes, this one's parts of each optimizer step."""
        if ranks.count() == 1:
            return super().get_train_dataloader()
        rows = self._remove_unused_columns(self.train_dataset, description="Training")
        parts = ranks.Parts.mine(self.order, self._train_batch_size)
        loader = DataLoader(
            rows, batch_sampler=parts, collate_fn=self.data_collator, pin_memory=self.args.dataloader_pin_memory
        )
        return prepare_data_loader(
            loader, self.accelerator.device, num_processes=1, process_index=0, put_on_device=True
        )

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        """The parts of an optimizer step, in which every row is going to weigh the same.

        Trainers that write answers draw prompts in an order of their own, always in equal parts.
        """
        order = self._get_train_sampler()
        if isinstance(order, BatchOrder):
            parts = ranks.Parts.mine(order, self._train_batch_size)
            rows, mine = parts.rows(self.state.global_step)
            self._shares = [rows / (n * parts.count) if n else math.inf for n in mine]
            epoch_iterator = ranks.without_labels(epoch_iterator, mine, IGNORED)
        return super().get_batch_samples(epoch_iterator, num_batches, device)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """Transformers divides the mean loss of each part by their number; parts may differ in size."""
        if self._shares:
            self.current_gradient_accumulation_steps = self._shares.pop(0)
        return super().training_step(model, inputs, num_items_in_batch)

    def _send_telemetry(self) -> None:
        """TRL reports the kind of each run to its makers; this one reports nothing."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Cards are made from manifests."""

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        for measured in self._metrics.values():
            for name in UNMEASURED:
                measured.pop(name, None)
        super().log(logs, start_time)


class Run:
    """What a training step does before and after its trainer.

    Args:
        step: The step's settings.
        room: Where it works.
        policy: What it starts from.
    """

    def __init__(self, step: Optimizing, room: Room, policy: Ref[Policy] | None) -> None:
        if policy is None:
            raise UserError("there is no policy to start from", hint="name a step with `policy:`, or give a `base:`")
        self.step, self.room = step, room
        self.training: Training = room.profile.training
        self.parent: Path = policy.folder
        chain = chain_of(self.parent)
        check_folder(chain[0], title(chain[0]))
        Findings(misfits(step, chain)).stop()
        self.device = use_device(self.training.device)
        set_threads(self.training.threads)
        seed_everything(step.seed)
        disable_progress_bar()
        transformers_logging.disable_progress_bar()
        self.tokenizer = load_tokenizer(self.parent)
        self.template = ChatTemplate(self.tokenizer, generation_config(chain[0]))

    @property
    def new_adapter(self) -> bool:
        """True when the trainer puts a new adapter on the parent."""
        return self.step.tune == "lora" and self.step.adapter != "continue"

    @property
    def begins_in_weights(self) -> bool:
        """True when the new adapter takes something out of the frozen weights."""
        return self.new_adapter and self.step.splits_weights

    def encode(
        self, refs: Sequence[Ref[Any]], encode: Encode, *, max_length: int | None, what: str
    ) -> tuple[Encodings, Encodings | None]:
        """(rows to train on, rows held out or None), looked over by the preflight.

        Raises:
            UserError: what the preflight found, or an overlap of the two.
        """
        rows = training_rows(refs)
        test = held_out_rows(refs) if self.step.held_out_rows else None
        if test is not None:
            refuse_overlap(rows, test)
        with self.room.progress.bar(f"reading {what}", total=len(rows)) as bar:
            found = encode(rows, bar)
        findings = judge(found.counts, self.template, max_length=max_length, what=what)
        findings.stop()
        leaks = alike(rows, test) if test is not None and ranks.first() else []  # its warnings are those that stay
        for text in [*findings.warnings, *leaks, *step_advice(len(found), self.step)]:
            self.room.warn(text)
        measured = encode(test.head(self.step.held_out_rows), Bar()) if test is not None else None
        return found, measured if measured else None

    def arguments(self, rows: int) -> dict[str, Any]:
        """The keyword arguments of the trainer's config that do not depend on the method.

        Raises:
            UserError: the batch does not divide, or the profile asks for what is not there.
        """
        step, training = self.step, self.training
        if "8bit" in step.optim or "paged" in step.optim:
            need_bitsandbytes(f"the optimizer {step.optim} needs")
        per_device, accumulation = cut_batch(step.global_batch_size, training)
        same = (
            "learning_rate num_train_epochs max_steps lr_scheduler_type warmup_steps optim weight_decay "
            "adam_beta1 adam_beta2 adam_epsilon max_grad_norm seed"
        )
        return {
            **{name: getattr(step, name) for name in same.split()},
            "output_dir": str(self.room.work),
            "per_device_train_batch_size": per_device,
            "per_device_eval_batch_size": per_device,
            "gradient_accumulation_steps": accumulation,
            "use_cpu": self.device.type == "cpu",
            "bf16": compute_dtype(step.dtype, self.device) == torch.bfloat16,
            "gradient_checkpointing": training.gradient_checkpointing,
            "logging_steps": max(1, optimizer_steps(rows, step) // (2 * POINTS)),
            "logging_nan_inf_filter": False,  # a loss that is no number stops the run
            "save_strategy": "no",  # `Checkpoints` says when
            "save_total_limit": KEPT,
            "report_to": reporting(training.report_to) or "none",
            "run_name": self.room.name,
            "disable_tqdm": True,
            "dataloader_pin_memory": self.device.type == "cuda",
        }

    def fit(self, trainer: Ours, rows: Encodings, *, multiple: int = 1) -> None:
        """Trains to the end, from the last whole checkpoint in the work folder if there is one.

        Args:
            multiple: Checkpoints are written only after a multiple of this many steps.
        """
        step, progress = self.step, self.room.progress
        by_length = step.train_sampling_strategy == "group_by_length"
        trainer.order = BatchOrder(rows.lengths, step.global_batch_size, step.seed, by_length=by_length)
        for weights in trainer.model.parameters():
            if weights.requires_grad and weights.dtype != torch.float32:  # TRL rounds adapters on quantized bases
                weights.data = weights.data.float()
        if self.begins_in_weights:
            with ranks.first_goes_first():
                if ranks.first():
                    keep_beginning(trainer.model, self.room.work / BEGINNING)
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        with ranks.first_goes_first():
            checkpoint = newest(self.room.work)
        if checkpoint:
            progress.say(f"going on from step {checkpoint.name.rpartition('-')[2]}")
        with progress.bar("training", unit="steps") as bar:
            trainer.add_callback(Follow(bar))
            keep_events(trainer.callback_handler.callbacks, self.room.tracking)
            trainer.add_callback(Checkpoints(self.training.save_steps, multiple))
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    @contextlib.contextmanager
    def as_parent(self, trainer: Ours) -> Iterator[bool]:
        """The model as it was before training, if that can be had: with its new adapter switched off."""
        if not self.new_adapter or self.step.splits_weights:
            yield False
            return
        with trainer.model.disable_adapter():
            yield True

    def done(
        self, trainer: Ours, rows: Encodings, metrics: dict[str, Any], *, written: tuple[int, int] | None = None
    ) -> dict[str, Any]:
        """Writes the artifact; returns the fields of `Done`.

        Args:
            written: (tokens that were read, tokens that were learned), where the rows alone do not tell.
        """
        state = trainer.state
        found = curves(state)
        trained, learned = written or (
            trainer.order.seen(state.global_step, rows.sizes),
            trainer.order.seen(state.global_step, rows.learned),
        )
        parameters = trainable_parameters(trainer.model)
        beginning = self.room.work / BEGINNING if self.begins_in_weights else None
        ranks.gathered(trainer.model)
        if ranks.first():
            save_result(self.room.out, trainer.model, self.tokenizer, self.parent, self.step, beginning)
        return {
            "metrics": {
                "steps": state.global_step,
                "trained_tokens": trained,
                "learned_tokens": learned,
                "trainable_parameters": parameters,
                "loss_first": found["loss"][0][1],
                "loss_last": found["loss"][-1][1],
                "data": rows.counts.as_metrics(),
                **metrics,
            },
            "curves": found,
            "examples": rows.shown,
            "tokens": {"trained": trained},
            "numerics": {
                **numerics_class(self.step.dtype, self.device),
                "processes": ranks.count(),
                "per_device_train_batch_size": trainer.args.per_device_train_batch_size,
                "gradient_accumulation_steps": trainer.args.gradient_accumulation_steps,
            },
        }


def seed_everything(seed: int) -> None:
    """Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def dataset_of(columns: dict[str, list[Any]]) -> Dataset:
    """The columns as TRL takes them, in memory."""
    return Dataset.from_dict(columns)


os.environ.setdefault("TQDM_DISABLE", "1")  # there is one live view, and it is ours
