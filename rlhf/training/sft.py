"""Supervised fine-tuning: the likelihood of what the assistant said, on TRL's `SFTTrainer`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trl import SFTConfig, SFTTrainer

from curation.artifact import Conversations, Ref
from curation.frame import to_rows
from rlhf.training import measuring
from rlhf.training.adapters import load_parent, lora_config
from rlhf.training.encoding import Encodings, for_sft
from rlhf.training.lmhead import use_compact_head
from rlhf.training.running import Ours, Run, dataset_of

if TYPE_CHECKING:
    from rlhf.recipe.step import Room
    from rlhf.steps.sft import Sft


class Trainer(Ours, SFTTrainer):
    """TRL's, with the overrides of `Ours`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        use_compact_head(self.inner)


def train(step: Sft, room: Room, trainer_class: Callable[..., Trainer] = Trainer) -> dict[str, Any]:
    """Trains, measures and writes the policy to `room.out`; returns the fields of `Done`.

    Args:
        trainer_class: A variant's: a subclass of `Trainer`, its own arguments bound by `functools.partial`.
    """
    run = Run(step, room, step.policy)

    def encode(rows: Any, bar: Any) -> Encodings:
        return for_sft(
            to_rows(rows),
            run.template,
            max_length=step.max_length,
            assistant_only_loss=step.assistant_only_loss,
            bar=bar,
        )

    refs: list[Ref[Conversations]] = step.data
    rows, held_out = run.encode(refs, encode, max_length=step.max_length, what="chats")
    model = load_parent(run.parent, step, run.device, run.training.attn_implementation)
    trainer = trainer_class(
        model=model,
        args=SFTConfig(
            **run.arguments(len(rows)),
            max_length=step.max_length,
            packing=step.packing,
            loss_type=step.loss_type,
            dataset_kwargs=None if step.packing else {"skip_prepare_dataset": True},
        ),
        train_dataset=dataset_of(rows.columns),
        processing_class=run.tokenizer,
        peft_config=lora_config(model, step) if run.new_adapter else None,
    )
    if step.packing:
        rows.lengths = [len(ids) for ids in trainer.train_dataset["input_ids"]]
        rows.learned = [sum(label != -100 for label in labels) for labels in trainer.train_dataset["labels"]]
    run.fit(trainer, rows)
    metrics: dict[str, Any] = {}
    if held_out is not None:
        metrics["held_out_loss"] = measuring.loss_per_token(trainer, held_out, room.progress)
        with run.as_parent(trainer) as parent:
            if parent:
                metrics["held_out_loss_before"] = measuring.loss_per_token(trainer, held_out, room.progress)
    return run.done(trainer, rows, metrics)
