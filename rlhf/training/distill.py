"""On-policy distillation (arXiv 2306.13649), on TRL's `DistillationTrainer`.

The student answers prompts; the loss is the divergence of its next-token probabilities from the teacher's, averaged
over the tokens of those answers. The divergence is TRL's, which never holds all logits at once. Answers are written as
in `rlhf.training.answering`, and both models see each token at the position that it had when it was written.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from trl import DistillationConfig, DistillationTrainer
from trl.trainer.utils import add_fused_lm_head, pad

from curation.artifact import Conversations, Ref
from curation.errors import UserError
from curation.frame import to_rows
from curation.models.loading import Loaded, load_policy, load_tokenizer
from rlhf.training import measuring
from rlhf.training.adapters import load_parent, lora_config
from rlhf.training.answering import Answering, for_online
from rlhf.training.columns import held_out_rows
from rlhf.training.encoding import IGNORED, Encodings, for_sft
from rlhf.training.lmhead import use_compact_head
from rlhf.training.running import Run, dataset_of

if TYPE_CHECKING:
    from rlhf.recipe.step import Room
    from rlhf.steps.distill import Distill


class Trainer(Answering, DistillationTrainer):
    """TRL's, with answers of ours."""

    def _generate(self, prompts: list[int]) -> tuple[Any, ...]:
        prompt_ids, ids, _ = self.write(prompts)
        return prompt_ids, ids, None, None, []

    def _get_last_hidden_state(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int, **_: Any
    ) -> Tensor:
        """(N, C, D) hidden states that the answers' tokens are predicted from; padding on the left takes no place."""
        backbone = (model.get_base_model() if hasattr(model, "get_base_model") else model).base_model
        positions = (attention_mask.cumsum(1) - 1).clamp(min=0)
        hidden: Tensor = backbone(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=positions, use_cache=False
        ).last_hidden_state
        return hidden[:, -logits_to_keep - 1 : -1]

    def loss_per_token(self, model: Any, rows: Encodings) -> float:
        """Mean negative log-likelihood, in nats, of what the assistant says, under the student or the teacher."""
        total, count = 0.0, 0
        with measuring.measuring(self):
            for indices in measuring.batches(rows, self.args.per_device_eval_batch_size):
                columns = [[torch.tensor(rows.columns[n][i]) for i in indices] for n in ("input_ids", "labels")]
                ids_BT = pad(columns[0], padding_value=0).to(self.accelerator.device)
                labels_BT = pad(columns[1], padding_value=IGNORED).to(self.accelerator.device)
                seen_BT = pad([torch.ones_like(row) for row in columns[0]], padding_value=0).to(ids_BT.device)
                out = model(
                    input_ids=ids_BT, attention_mask=seen_BT, labels=labels_BT, use_cache=False, fused_lm_head=True
                )
                total -= float(out.log_probs.double().sum())
                count += int(out.label_mask.sum())
        return total / count


def train(step: Distill, room: Room) -> dict[str, Any]:
    """Trains, measures and writes the student to `room.out`; returns the fields of `Done`.

    Raises:
        UserError: the two do not share a vocabulary, or their output layers have different widths.
    """
    room.profile.generation.need_transformers()
    run = Run(step, room, step.policy)
    _one_vocabulary(run, step)
    attention = run.training.attn_implementation
    model = load_parent(run.parent, step, run.device, attention)
    speaker = Loaded(model, run.tokenizer, run.template, run.device, step.dtype, run.parent.name)
    teacher = load_policy(
        step.teacher.folder, dtype=step.dtype, where=run.device, merge=True, attn_implementation=attention
    ).model
    _one_width(model, teacher, step)

    def encode(rows: Any, bar: Any) -> Encodings:
        return for_online(to_rows(rows), speaker, step.max_completion_length, bar)

    refs: list[Ref[Conversations]] = [step.prompts]
    rows, _ = run.encode(refs, encode, max_length=None, what="prompts")
    trainer = Trainer(
        model=model,
        teacher_model=teacher,
        args=DistillationConfig(
            **run.arguments(len(rows)),
            beta=step.beta,
            temperature=step.temperature,
            top_p=step.top_p,
            top_k=step.top_k,
            max_completion_length=step.max_completion_length,
            disable_dropout=step.disable_dropout,
        ),
        train_dataset=dataset_of({"prompt": rows.columns["prompt"]}),
        processing_class=run.tokenizer,
        peft_config=lora_config(model, step) if run.new_adapter else None,
        step=step,
        rows=rows,
        speaker=speaker,
        decoded_at_once=room.profile.generation.per_device_eval_batch_size,
    )
    for one in (trainer.inner, teacher):
        add_fused_lm_head(one)
        use_compact_head(one)
    metrics: dict[str, Any] = {}
    test = held_out_rows(refs) if step.held_out_rows else None
    chats = for_sft(to_rows(test.head(step.held_out_rows)), run.template, max_length=None) if test is not None else None
    if chats:
        metrics["held_out_loss_before"] = trainer.loss_per_token(trainer.model, chats)
        metrics["held_out_loss_teacher"] = trainer.loss_per_token(teacher, chats)
    run.fit(trainer, rows)
    if chats:
        metrics["held_out_loss"] = trainer.loss_per_token(trainer.model, chats)
        before, after, goal = (metrics[f"held_out_loss{end}"] for end in ("_before", "", "_teacher"))
        if before > goal and math.isfinite(after):
            metrics["way_to_the_teacher"] = (before - after) / (before - goal)
    return run.done(trainer, rows, metrics, written=trainer.tokens())


def _one_vocabulary(run: Run, step: Distill) -> None:
    """Checks that a token means the same to both."""
    if load_tokenizer(step.teacher.folder).get_vocab() != run.tokenizer.get_vocab():
        raise UserError(
            f"the student and its teacher {step.teacher.step!r} have different vocabularies, so that their "
            "probabilities cannot be compared",
            hint="take both from one family of models; between others, `sample` from the teacher and train by `sft`",
        )


def _one_width(student: Any, teacher: Any, step: Distill) -> None:
    """Checks that both give as many probabilities: families pad the output layers of their larger models further."""
    widths = [model.config.get_text_config().vocab_size for model in (student, teacher)]
    if widths[0] != widths[1]:
        raise UserError(
            f"the output layer of the student is {widths[0]} wide and that of its teacher {step.teacher.step!r} "
            f"{widths[1]}, though their tokens are the same",
            hint="take two sizes whose `vocab_size` is the same; between others, `sample` from the teacher and train "
            "by `sft`",
        )
