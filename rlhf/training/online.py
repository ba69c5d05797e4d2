"""Learning from rewards of one's own answers: what `rloo` and `grpo` share, on TRL's trainers.

Advantages and losses are TRL's. Answers are written by `curation.models.generation`, as everywhere here: prompts as the
chat template writes them, padded on the left, each answer with random numbers of its own, the very tokens kept that
were drawn, and any end token of the model ends one. What is written depends on the seed, the prompt and the step, and
not on how a batch is cut up or on where a run was interrupted. Rewards are scorers, which see the whole chat with what
came with its prompt.

Log-probabilities are worked out on rows that are padded on the right: models that count positions see the same ones as
when the answer was written, and the answers to one prompt share it (`rlhf.training.sharing`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather
from torch import Tensor
from trl.trainer.utils import add_fused_lm_head

from curation.artifact import Conversations, Ref
from curation.conversation import Conversation
from curation.errors import UserError
from curation.frame import to_rows
from curation.models.generation import Completion, Request, ask, generate, prompt_key
from curation.models.loading import Loaded
from curation.progress import Bar
from rlhf.training import measuring
from rlhf.training.adapters import load_parent, lora_config
from rlhf.training.encoding import IGNORED, SHOWN, Counts, Encodings, rendered
from rlhf.training.lmhead import use_compact_head
from rlhf.training.order import PromptOrder
from rlhf.training.rewarding import Rewards, answered
from rlhf.training.running import Ours, Run, dataset_of

if TYPE_CHECKING:
    from rlhf.recipe.step import Room
    from rlhf.steps.grpo import Grpo
    from rlhf.steps.online import Online as Settings
    from rlhf.steps.rloo import Rloo


class Online(Ours):
    """Mixed in before one of TRL's two trainers. A prompt is the number of its row."""

    def __init__(
        self,
        *args: Any,
        step: Settings,
        rows: Encodings,
        rewards: Rewards,
        speaker: Loaded,
        at_once: int,
        **kwargs: Any,
    ) -> None:
        self.step_settings, self.rows, self.rewards = step, rows, rewards
        self.speaker, self.decoded_at_once = speaker, at_once
        super().__init__(*args, **kwargs)
        self.speaker = replace(speaker, model=self.model)
        if step.temperature == 1.0:
            use_compact_head(self.inner)

    def keep_reference(self, beta: float, reference: Any) -> None:
        """Measures the distance from a frozen model, where there is no adapter to switch off."""
        self.beta, self.ref_model = beta, reference
        add_fused_lm_head(reference, temperature=self.temperature)
        if self.temperature == 1.0:
            use_compact_head(reference)

    def _get_train_sampler(self, dataset: Any = None) -> PromptOrder:
        step = self.step_settings
        repeats = self.args.steps_per_generation * step.num_iterations
        at_once = step.at_once // step.num_generations
        return PromptOrder(len(self.rows), at_once, step.num_generations, repeats, step.seed)

    def write(self, prompts: Sequence[int]) -> tuple[list[list[int]], list[list[int]], list[Conversation]]:
        """(prompt tokens, answer tokens, whole chats) of an answer to each of these prompts; TRL's metrics of them."""
        asked: dict[int, int] = {}
        requests = []
        for i in prompts:
            requests.append(self.request(self.rows, i, asked.get(i, 0)))
            asked[i] = asked.get(i, 0) + 1
        made = self.speak(requests)
        chats = _chats((self.rows.kept[i] for i in prompts), made)
        ids = [tokens_of(one) for one in made]
        prompt_ids = [list(request.prompt) for request in requests]
        lengths = torch.tensor([len(row) for row in ids], dtype=torch.float32)
        metrics = self._metrics["train"]
        metrics["completions/mean_length"].append(lengths.mean().item())
        metrics["completions/clipped_ratio"].append(sum(not one.finished for one in made) / len(made))
        self.state.num_input_tokens_seen += sum(map(len, prompt_ids)) + sum(map(len, ids))
        metrics["num_tokens"] = [self.state.num_input_tokens_seen]
        return prompt_ids, ids, chats

    def request(self, rows: Encodings, place: int, sample: int) -> Request:
        """An answer to a prompt; the step that training stands at is part of what its random numbers are drawn by."""
        key = f"{self.state.global_step} {prompt_key(rows.kept[place])}"
        return Request(key, tuple(rows.columns["ids"][place]), sample)

    def speak(self, requests: Sequence[Request]) -> list[Completion]:
        """Answers by the model as it is now."""
        with measuring.measuring(self):
            return generate(self.speaker, requests, self.step_settings, batch_size=self.decoded_at_once)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: list[Conversation], ids: Any) -> Tensor:
        """(answers, rewards) of all processes."""
        scored = self.rewards(completions)
        columns = list(zip(*scored.parts.values(), strict=True))
        found: Tensor = gather(torch.tensor(columns, dtype=torch.float32, device=self.accelerator.device))
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

    def tokens(self) -> tuple[int, int]:
        """(tokens of prompts and answers so far, those that were learned, as often as they were)."""
        step, state = self.step_settings, self.state
        generations = -(-state.global_step // step.steps_a_generation)
        both = int(state.num_input_tokens_seen)
        answers = both - self._get_train_sampler().seen(generations, self.rows.sizes)
        return both, answers * step.num_iterations

    def rewarded(self, rows: Encodings) -> dict[str, Any]:
        """Mean rewards of an answer to each of these prompts, and how many ended by themselves."""
        prompts = zip(rows.kept, rows.columns["ids"], strict=True)
        made = self.speak([Request(prompt_key(row), tuple(ids)) for row, ids in prompts])
        chats = _chats(rows.kept, made)
        scored = self.rewards(chats)
        count = len(made)
        return {
            "reward": sum(scored.total) / count,
            "finished": sum(one.finished for one in made) / count,
            "prompts": count,
            **({name: sum(values) / count for name, values in scored.parts.items()} if len(scored.parts) > 1 else {}),
        }


def _chats(prompts: Iterable[Conversation], made: Sequence[Completion]) -> list[Conversation]:
    return [answered(row, one.text, finished=one.finished) for row, one in zip(prompts, made, strict=True)]


def tokens_of(one: Completion) -> list[int]:
    """The very tokens that were drawn, the end token among them."""
    return [*one.tokens, one.end] if one.end is not None else list(one.tokens)


def for_online(rows: Iterable[Conversation], speaker: Loaded, answer: int, bar: Bar | None = None) -> Encodings:
    """Prompts by their number, and their tokens (`ids`); `answer` is the room that an answer needs."""
    counts = Counts()
    kept: dict[str, tuple[Conversation, list[int]]] = {}
    for row in rows:
        counts.rows += 1
        requests, refused = ask(speaker, [row])
        if bar:
            bar.advance()
        if refused:
            counts.drop(refused[row.id], row.id)
        elif len(requests[0].prompt) + answer > speaker.context:
            counts.drop("prompt_too_long", row.id)
        elif requests[0].key in kept:
            counts.drop("repeated_prompt", row.id)
        else:
            counts.used += 1
            kept[requests[0].key] = (row, list(requests[0].prompt))
            counts.longest = max(counts.longest, len(requests[0].prompt))
    ids = [ids for _, ids in kept.values()]
    made = Encodings({"prompt": list(range(len(ids))), "ids": ids}, counts, kept=[row for row, _ in kept.values()])
    made.lengths = made.sizes = [len(row) for row in ids]
    made.learned = [0] * len(ids)
    counts.tokens = sum(made.sizes)
    for row in ids[:SHOWN]:
        made.shown.append({"title": "a prompt", "rendered": rendered(speaker.template, row, [False] * len(row))})
    return made


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
        at_once=room.profile.generation.per_device_eval_batch_size,
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
        raise UserError(f"the reward {column!r} is scored with the others")

    reward.__name__ = column
    return reward
