"""A reward model from pairs: `-log sigmoid(r+ - r-)` (Bradley and Terry, 1952), on TRL's `RewardTrainer`.

The reward is read at the answer's last token, its end token. A padding token that is also an end token would hide it (a
sequence classifier reads the last token that is not padding), so such a tokenizer gets another one to pad with.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutputWithPast
from trl import RewardConfig, RewardTrainer

from curation.artifact import Preferences, Ref
from curation.frame import to_rows
from curation.models.template import separate_pad
from curation.progress import Progress
from rlhf.training import measuring
from rlhf.training.adapters import as_reward_model, load_parent, lora_config
from rlhf.training.encoding import Encodings, for_reward
from rlhf.training.running import Ours, Run, dataset_of
from rlhf.training.sharing import hidden_at

if TYPE_CHECKING:
    from rlhf.recipe.step import Room
    from rlhf.steps.reward import Reward


class Trainer(Ours, RewardTrainer):
    """TRL's, with the overrides of `Ours`."""

    def __init__(self, *args: Any, progress: Progress, l2: float | None = None, **kwargs: Any) -> None:
        self.progress, self.l2 = progress, l2
        super().__init__(*args, **kwargs)
        _read_last(self.inner)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's, and what OpenAssistant adds (arXiv 2304.07327): `l2 / 2 * (r+^2 + r-^2)`."""
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if self.l2 is not None:
            chosen, rejected = outputs.logits.squeeze(-1).chunk(2)
            loss = loss + self.l2 / 2 * (chosen**2 + rejected**2).mean()
        return (loss, outputs) if return_outputs else loss

    def margins(self, rows: Encodings, what: str = "held-out pairs") -> list[float]:
        """Reward of the chosen answer beyond that of the rejected one, in the order of the rows."""
        found = [0.0] * len(rows)
        with measuring.measuring(self):
            for indices, batch in measuring.each(self, rows, self.progress, what):
                chosen, rejected = self.model(**batch, use_cache=False).logits.squeeze(-1).float().chunk(2)
                for i, margin in zip(indices, (chosen - rejected).tolist(), strict=True):
                    found[i] = margin
        return found


def _read_last(model: PreTrainedModel) -> None:
    """Lets the model's head look at each row's last token only, as the mask tells it, and rows share their prompts."""
    config = model.config.get_text_config()

    def forward(
        self: Any, input_ids: Tensor, attention_mask: Tensor, use_cache: Any = None, **others: Any
    ) -> SequenceClassifierOutputWithPast:
        rows, last = torch.arange(len(input_ids), device=input_ids.device), attention_mask.sum(1) - 1
        hidden_BD = hidden_at(
            self.base_model, config, rows, last, input_ids=input_ids, attention_mask=attention_mask, **others
        )
        return SequenceClassifierOutputWithPast(logits=self.score(hidden_BD))

    model.forward = types.MethodType(forward, model)


def train(step: Reward, room: Room, trainer_class: Callable[..., Trainer] = Trainer) -> dict[str, Any]:
    """Trains, measures and writes the reward model to `room.out`; returns the fields of `Done`.

    Args:
        trainer_class: A variant's: a subclass of `Trainer`, its own arguments bound by `functools.partial`.
    """
    run = Run(step, room, step.policy)
    pad = separate_pad(run.tokenizer, run.template.ends)
    run.tokenizer.pad_token = run.tokenizer.convert_ids_to_tokens(pad)

    def encode(rows: Any, bar: Any) -> Encodings:
        return for_reward(to_rows(rows), run.template, max_length=step.max_length, bar=bar)

    refs: list[Ref[Preferences]] = step.data
    rows, held_out = run.encode(refs, encode, max_length=step.max_length, what="pairs")
    model = as_reward_model(load_parent(run.parent, step, run.device, run.training.attn_implementation), pad, step.seed)
    trainer = trainer_class(
        model=model,
        args=RewardConfig(
            **run.arguments(len(rows)),
            max_length=step.max_length,
            center_rewards_coefficient=step.center_rewards_coefficient,
            disable_dropout=step.disable_dropout,
        ),
        train_dataset=dataset_of(rows.columns),
        processing_class=run.tokenizer,
        peft_config=lora_config(model, step, "SEQ_CLS") if run.new_adapter else None,
        progress=room.progress,
        l2=step.rewards_l2_coefficient,
    )
    run.fit(trainer, rows)
    metrics: dict[str, Any] = {}
    if held_out:
        metrics["held_out"] = {
            "accuracy": measuring.accuracy(trainer.margins(held_out)),
            "length_accuracy": measuring.accuracy(measuring.length_margins(held_out.kept)),
        }
    return run.done(trainer, rows, metrics)
