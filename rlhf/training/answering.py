"""Answers that are written while training, and learned from at once: what `rloo`, `grpo` and `distill` share.

Answers are written by `curation.models.generation`, as everywhere else: prompts as the chat template has them, padded
on the left, each answer with random numbers of its own, the very tokens kept that were drawn, and any end token of the
model ends one. What is written depends on the seed, the prompt and the step, and not on how a batch is cut up or on
where a run was interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from curation.conversation import Conversation
from curation.models.generation import Completion, Request, ask, generate, prompt_key
from curation.models.loading import Loaded
from curation.progress import Bar
from rlhf.training import measuring
from rlhf.training.encoding import SHOWN, Counts, Encodings, rendered
from rlhf.training.order import PromptOrder
from rlhf.training.rewarding import answered
from rlhf.training.running import Ours

if TYPE_CHECKING:
    from rlhf.steps.answering import Answering as Settings


class Answering(Ours):
    """Mixed in before one of TRL's online trainers. A prompt is the number of its row."""

    def __init__(
        self, *args: Any, step: Settings, rows: Encodings, speaker: Loaded, decoded_at_once: int, **kwargs: Any
    ) -> None:
        self.step_settings, self.rows = step, rows
        self.speaker, self.decoded_at_once = speaker, decoded_at_once
        super().__init__(*args, **kwargs)
        self.speaker = replace(speaker, model=self.model)

    def _get_train_sampler(self, dataset: Any = None) -> PromptOrder:
        step = self.step_settings
        parts = step.at_once // (self.args.per_device_train_batch_size * self.args.world_size)
        repeats = parts * step.passes_over_answers
        at_once = step.at_once // step.answers_a_prompt
        return PromptOrder(len(self.rows), at_once, step.answers_a_prompt, repeats, step.seed)

    def write(self, prompts: Sequence[int]) -> tuple[list[list[int]], list[list[int]], list[Conversation]]:
        """(prompt tokens, answer tokens, whole chats) of an answer to each of these prompts; TRL's metrics of them."""
        asked: dict[int, int] = {}
        requests = []
        for i in prompts:
            requests.append(self.request(self.rows, i, asked.get(i, 0)))
            asked[i] = asked.get(i, 0) + 1
        made = self.speak(requests)
        chats = chats_of((self.rows.kept[i] for i in prompts), made)
        ids = [tokens_of(one) for one in made]
        prompt_ids = [list(request.prompt) for request in requests]
        lengths = torch.tensor([len(row) for row in ids], dtype=torch.float32)
        metrics = self._metrics["train"]
        metrics["completions/mean_length"].append(lengths.mean().item())
        metrics["ended"].append(sum(one.finished for one in made) / len(made))
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

    def tokens(self) -> tuple[int, int]:
        """(tokens of prompts and answers so far, those that were learned, as often as they were)."""
        step, state = self.step_settings, self.state
        generations = -(-state.global_step // step.steps_a_generation)
        both = int(state.num_input_tokens_seen)
        answers = both - self._get_train_sampler().seen(generations, self.rows.sizes)
        return both, answers * step.passes_over_answers


def chats_of(prompts: Iterable[Conversation], made: Sequence[Completion]) -> list[Conversation]:
    """The prompts' chats with these answers, as scorers see them."""
    return [answered(row, one.text, finished=one.finished) for row, one in zip(prompts, made, strict=True)]


def tokens_of(one: Completion) -> list[int]:
    """The very tokens that were drawn, the end token among them."""
    return [*one.tokens, one.end] if one.end is not None else list(one.tokens)


def for_online(
    rows: Iterable[Conversation],
    speaker: Loaded,
    answer: int,
    bar: Bar | None = None,
    *,
    max_prompt_length: int | None = None,
) -> Encodings:
    """Prompts by their number, and their tokens (`ids`).

    Args:
        answer: Tokens that an answer may have; a prompt that leaves less room in the model's context is left out.
        max_prompt_length: Longer prompts are left out too.
    """
    most = min(speaker.context - answer, max_prompt_length or speaker.context)
    counts = Counts()
    kept: dict[str, tuple[Conversation, list[int]]] = {}
    for row in rows:
        counts.rows += 1
        requests, refused = ask(speaker, [row])
        if bar:
            bar.advance()
        counts.longest = max(counts.longest, *(len(request.prompt) for request in requests), 0)
        if refused:
            counts.drop(refused[row.id], row.id)
        elif len(requests[0].prompt) > most:
            counts.drop("prompt_too_long", row.id)
        elif requests[0].key in kept:
            counts.drop("repeated_prompt", row.id)
        else:
            counts.used += 1
            kept[requests[0].key] = (row, list(requests[0].prompt))
    ids = [ids for _, ids in kept.values()]
    made = Encodings({"prompt": list(range(len(ids))), "ids": ids}, counts, kept=[row for row, _ in kept.values()])
    made.lengths = made.sizes = [len(row) for row in ids]
    made.learned = [0] * len(ids)
    counts.tokens = sum(made.sizes)
    for row in ids[:SHOWN]:
        made.shown.append({"title": "a prompt", "rendered": rendered(speaker.template, row, [False] * len(row))})
    return made
