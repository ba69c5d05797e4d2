"""Learning from rewards of one's own answers: what `rloo` and `grpo` share, on TRL's trainers.

Advantages and losses are TRL's; how answers are written is ours (`rlhf.training.answering`). Rewards are scorers, which
see the whole chat with what came with its prompt.

Log-probabilities are worked out on rows that are padded on the right: models that count positions see the same ones as
when the answer was written, and the answers to one prompt share it (`rlhf.training.sharing`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from trl.trainer.utils import add_fused_lm_head

from curation.artifact import Conversations, Ref
from curation.conversation import Conversation
from curation.frame import to_rows
from curation.models.generation import Request, prompt_key
from curation.models.loading import Loaded
from rlhf.training.adapters import load_parent, lora_config
from rlhf.training.answering import Answering, chats_of, for_online
from rlhf.training.encoding import IGNORED, Encodings
from rlhf.training.lmhead import use_compact_head
from rlhf.training.rewarding import Rewards
from rlhf.training.running import Run, dataset_of

if TYPE_CHECKING:
    from rlhf.recipe.step import Room
    from rlhf.steps.grpo import Grpo
    from rlhf.steps.rloo import Rloo


class Online(Answering):
    """Mixed in before one of TRL's two trainers that learn from rewards."""

    def __init__(self, *args: Any, rewards: Rewards, **kwargs: Any) -> None:
        self.rewards = rewards
        super().__init__(*args, **kwargs)
        if self.temperature == 1.0:
            use_compact_head(self.inner)

    def keep_reference(self, beta: float, reference: Any) -> None:
        """Measures the distance from a frozen model, where there is no adapter to switch off."""
        self.beta, self.ref_model = beta, reference
        add_fused_lm_head(reference, temperature=self.temperature)
        if self.temperature == 1.0:
            use_compact_head(reference)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: list[Conversation], ids: Any) -> Tensor:
        """(answers, rewards) of all processes."""
        scored = self.rewards(completions)
        columns = list(zip(*scored.parts.values(), strict=True))
        here = torch.tensor(columns, dtype=torch.float32, device=self.accelerator.device)
        found: Tensor = self.accelerator.gather(here)
        return found

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **_: Any,
    ) -> tuple[Tensor, Tensor | None, None]:
        """(N, C) log-probabilities of the answers' tokens, from rows (N, P + C) of a prompt and an answer.

        What stands under padding means nothing. Entropies, which would take logits of the whole vocabulary, are zero.
        """
        found = []
        size = batch_size or len(input_ids)
        before = attention_mask[:, :-logits_to_keep].sum(1)
        for start in range(0, len(input_ids), size):
            part = slice(start, start + size)
            kept_BT = attention_mask[part].bool()
            lengths_B = kept_BT.sum(1)
            width = int(lengths_B.max())
            place_BT = torch.arange(width, device=input_ids.device)
            mask_BT = place_BT < lengths_B[:, None]
            ids_BT = input_ids.new_zeros(mask_BT.shape).masked_scatter(mask_BT, input_ids[part][kept_BT])
            labels_BT = ids_BT.masked_fill(~mask_BT | (place_BT < before[part, None]), IGNORED)
            with self.accelerator.autocast():
                out = model(
                    input_ids=ids_BT,
                    attention_mask=mask_BT.long(),
                    labels=labels_BT,
                    use_cache=False,
                    fused_lm_head=True,
                )
            columns = before[part, None] - 1 + torch.arange(logits_to_keep, device=input_ids.device)
            found.append(out.log_probs.gather(1, columns.clamp(max=width - 2)))
        logps_NC = torch.cat(found)
        return logps_NC, torch.zeros_like(logps_NC) if compute_entropy else None, None

    def rewarded(self, rows: Encodings) -> dict[str, Any]:
        """Mean rewards of an answer to each of these prompts, and how many ended by themselves."""
        prompts = zip(rows.kept, rows.columns["ids"], strict=True)
        made = self.speak([Request(prompt_key(row), tuple(ids)) for row, ids in prompts])
        chats = chats_of(rows.kept, made)
        scored = self.rewards(chats)
        count = len(made)
        return {
            "reward": sum(scored.total) / count,
            "finished": sum(one.finished for one in made) / count,
            "prompts": count,
            **({name: sum(values) / count for name, values in scored.parts.items()} if len(scored.parts) > 1 else {}),
        }


def train(
    step: Rloo | Grpo, room: Room, trainer_class: type[Any], config_class: type[Any], own: Sequence[str]
) -> dict[str, Any]:
    """Trains, measures and writes the policy to `room.out`; returns the fields of `Done`.

    Args:
        trainer_class: One of TRL's with `Online` before it.
        config_class: Its config.
        own: Names of the settings that the method has beside the shared ones.
    """
    room.profile.generation.need_transformers()
    run = Run(step, room, step.policy)
    model = load_parent(run.parent, step, run.device, run.training.attn_implementation)
    speaker = Loaded(model, run.tokenizer, run.template, run.device, step.dtype, run.parent.name)

    def encode(rows: Any, bar: Any) -> Encodings:
        return for_online(to_rows(rows), speaker, step.max_completion_length, bar)

    refs: list[Ref[Conversations]] = [step.prompts]
    rows, held_out = run.encode(refs, encode, max_length=None, what="prompts")
    reference = None
    if step.tune == "full" and step.beta:
        reference = copy.deepcopy(model).requires_grad_(False)
    rewards = Rewards(step.rewards, step.reward_weights)
    shared = (
        "num_generations generation_batch_size num_iterations max_completion_length temperature top_p top_k epsilon "
        "epsilon_high mask_truncated_completions reward_weights disable_dropout"
    )
    arguments = {name: getattr(step, name) for name in [*shared.split(), *own]}
    trainer = trainer_class(
        model=model,
        reward_funcs=[_named(scorer.column) for scorer in step.rewards],
        args=config_class(
            **run.arguments(len(rows)),
            **arguments | {"generation_batch_size": step.at_once} | ({"beta": 0.0} if reference is not None else {}),
        ),
        train_dataset=dataset_of({"prompt": rows.columns["prompt"]}),
        processing_class=run.tokenizer,
        peft_config=lora_config(model, step) if run.new_adapter else None,
        step=step,
        rows=rows,
        rewards=rewards,
        speaker=speaker,
        decoded_at_once=room.profile.generation.per_device_eval_batch_size,
    )
    if reference is not None:
        trainer.keep_reference(step.beta, reference)
    metrics: dict[str, Any] = {}
    if held_out:
        metrics["held_out_before"] = trainer.rewarded(held_out)
    run.fit(trainer, rows, multiple=step.steps_a_generation)
    if held_out:
        metrics["held_out"] = trainer.rewarded(held_out)
    return run.done(trainer, rows, metrics, written=trainer.tokens())


def _named(column: str) -> Callable[..., list[float]]:
    """TRL asks each reward for its name; `Online` scores all of them together."""

    def reward(**_: Any) -> list[float]:
        raise RuntimeError(f"the reward {column!r} is scored with the others")

    reward.__name__ = column
    return reward
