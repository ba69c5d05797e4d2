"""Letting a model answer many prompts: batches of like length, a shared beginning read once, ended rows out of the way.

What a prompt gets does not depend on its neighbours: its random numbers are its own (`curation.models.sampling`), and
padding lies on the left, outside of its attention. Only rounding differs with the batch that a row is in; the batches
are a function of the prompts and the batch size, so that the same call gives the same bits.

Prompts that begin alike (a system prompt, say) share that part of the key-value cache, and several samples of one
prompt share all of it.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from curation.errors import UserError
from curation.models.cache import fill_holes, new_cache, sees_everything, spread
from curation.models.reading import cache_name, common_beginning
from curation.models.sampling import choose, uniforms
from curation.models.settings import Sampling
from curation.models.template import Refused
from curation.progress import SILENT, Bar, Progress

if TYPE_CHECKING:
    from transformers.cache_utils import Cache

    from curation.conversation import Conversation
    from curation.models.loading import Loaded


@dataclass(frozen=True, slots=True)
class Request:
    """One answer to be written."""

    key: str
    """With the number of the sample it names the row's random numbers: the prompt's id."""
    prompt: tuple[int, ...]
    """Token ids, up to and including the header that asks for an answer."""
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer as it was written."""

    text: str
    tokens: tuple[int, ...]
    """Without the end token."""
    finished: bool
    """True when it ended by itself."""
    end: int | None = field(default=None, compare=False)
    """The end token that was drawn, where it was just now and is not from a journal."""


def prompt_key(conversation: Conversation) -> str:
    """The id of a conversation without its last answer: what names the random numbers of the answers to it."""
    return conversation.with_(messages=conversation.prompt).id


def ask(
    loaded: Loaded, conversations: Sequence[Conversation], samples: int = 1
) -> tuple[list[Request], dict[str, str]]:
    """Requests for the next answer to each prompt (the last assistant turn, if there is one, is what is asked for).

    Returns:
        The requests, `samples` of them a prompt and in the order of the prompts; and the id of each conversation that
        cannot be asked with the reason: `no_prompt`, `template_refuses`, `control_token` (its text holds one) or
        `prompt_too_long`.
    """
    control = loaded.tokenizer.all_special_tokens
    requests: list[Request] = []
    left_out: dict[str, str] = {}
    for conversation in conversations:
        prompt = conversation.prompt
        if not prompt:
            left_out[conversation.id] = "no_prompt"
            continue
        if any(token in message.content for message in prompt for token in control):
            left_out[conversation.id] = "control_token"
            continue
        try:
            ids = tuple(loaded.template.prompt_ids(prompt, conversation.tools))
        except Refused as refusal:
            left_out[conversation.id] = refusal.reason
            continue
        if len(ids) >= loaded.context:
            left_out[conversation.id] = "prompt_too_long"
            continue
        key = prompt_key(conversation)
        requests += [Request(key, ids, n) for n in range(samples)]
    return requests, left_out


def generate(
    loaded: Loaded,
    requests: Sequence[Request],
    how: Sampling,
    *,
    batch_size: int = 32,
    known: Mapping[int, Completion] | None = None,
    on_batch: Callable[[dict[int, Completion]], None] = lambda made: None,
    progress: Progress = SILENT,
    what: str = "sampling",
) -> list[Completion]:
    """One answer a request, in their order.

    Args:
        batch_size: Answers written at once.
        known: Answers that are there already (by place in `requests`), from a call that was cut off. The others come
            out as if the whole had been done at once.
        on_batch: Told of each finished batch, by place in `requests`.
        what: Name of the work, for people.
    """
    known = known or {}
    answers: dict[int, Completion] = {}
    if not requests:
        return []
    if too_long := next((r for r in requests if len(r.prompt) >= loaded.context), None):
        raise UserError(
            f"prompt {too_long.key} has {len(too_long.prompt)} tokens, the model reads {loaded.context}",
            hint="leave it out: `length: {max_tokens: ...}` before the step that asks, or `split_long`",
        )
    order = sorted(range(len(requests)), key=lambda i: (-len(requests[i].prompt), requests[i].key, requests[i].sample))
    prompts = {r.prompt for r in requests}
    shared = common_beginning(list(prompts), min(map(len, prompts)) - 1) if len(prompts) > 1 else 0
    writer = _Writer(loaded, how, requests[0].prompt[:shared])
    with torch.inference_mode(), progress.bar(what, total=len(requests), unit="answers") as bar:
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            if all(i in known for i in places):
                made = {i: known[i] for i in places}
                bar.advance(len(places))
            else:
                made = dict(zip(places, writer.write([requests[i] for i in places], bar), strict=True))
                on_batch(made)
            answers.update(made)
    return [answers[i] for i in range(len(requests))]


class NextToken:
    """Asks a model what comes next, whatever its class calls things."""

    def __init__(self, loaded: Loaded) -> None:
        self.model: Any = loaded.model
        self.inner = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        takes = inspect.signature(self.inner.forward).parameters
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        self._cache_name = cache_name(self.inner)

    def __call__(self, ids_BT: Tensor, positions_BT: Tensor, cache: Cache, mask_BT: Tensor | None = None) -> Tensor:
        """(rows, vocabulary) float32 logits after the last of these tokens; their keys and values go into the cache."""
        out = self.model(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            position_ids=positions_BT,
            use_cache=True,
            **{self._cache_name: cache},
            **self._last_only,
        )
        logits: Tensor = out.logits[:, -1].float()
        return logits


class _Writer:
    """Writes the answers of one batch after another."""

    def __init__(self, loaded: Loaded, how: Sampling, prefix: tuple[int, ...]) -> None:
        self.loaded, self.how, self.prefix = loaded, how, prefix
        self.device = loaded.device
        self.next_token = NextToken(loaded)
        self.inner = self.next_token.inner
        if not sees_everything(self.inner):
            self.prefix = ()  # padding would lie between the shared beginning and the rest, inside of the window
        self.stops = torch.tensor(sorted(loaded.template.ends), device=self.device)
        self.prefix_cache: Cache | None = None
        self.tokens, self.seconds = 0, 0.0

    def write(self, batch: Sequence[Request], bar: Bar) -> list[Completion]:
        """The answers of a batch, in its order."""
        began = time.perf_counter()
        longest = max(len(r.prompt) for r in batch)
        capacity = min(longest + self.how.max_completion_length, self.loaded.context)
        logits_BV, cache, mask_BT = self._read([r.prompt for r in batch], capacity)
        lengths = [min(self.how.max_completion_length, self.loaded.context - len(r.prompt)) for r in batch]
        chance = np.stack([uniforms(self.how.seed, r.key, r.sample, max(lengths)) for r in batch])
        precision = torch.float32 if self.device.type == "mps" else torch.float64
        chance_BN = torch.from_numpy(chance).to(self.device, precision)
        limits_B = torch.tensor(lengths, device=self.device)
        rows_B = torch.arange(len(batch), device=self.device)  # place in the batch of each row that still runs
        position_B1 = mask_BT.sum(1, keepdim=True)
        written: list[list[int]] = [[] for _ in batch]
        ends: list[int | None] = [None] * len(batch)
        for step in range(max(lengths)):
            next_B = choose(logits_BV, self.how, chance_BN[rows_B, step])
            ended_B = torch.isin(next_B, self.stops)
            alive_B = ~ended_B & (limits_B[rows_B] > step + 1)
            self.tokens += len(rows_B)
            for row, token, ended in zip(rows_B.tolist(), next_B.tolist(), ended_B.tolist(), strict=True):
                if ended:
                    ends[row] = token
                else:
                    written[row].append(token)
            running = int(alive_B.sum())
            if running < len(rows_B):
                speed = self.tokens / (self.seconds + time.perf_counter() - began)
                bar.advance(len(rows_B) - running, tokens_per_s=speed)
                if not running:
                    break
                keep = fill_holes(alive_B)
                cache.batch_select_indices(keep)
                rows_B, next_B, mask_BT, position_B1 = rows_B[keep], next_B[keep], mask_BT[keep], position_B1[keep]
            mask_BT = torch.cat([mask_BT, mask_BT.new_ones(running, 1)], 1)
            logits_BV = self.next_token(next_B[:, None], position_B1, cache, mask_BT)
            position_B1 = position_B1 + 1
        self.seconds += time.perf_counter() - began
        return [
            replace(completion(self.loaded, tokens, end is not None), end=end)
            for tokens, end in zip(written, ends, strict=True)
        ]

    def _read(self, prompts: Sequence[tuple[int, ...]], capacity: int) -> tuple[Tensor, Cache, Tensor]:
        """Reads the prompts, equal ones once: (logits of the first token, cache, attention mask), a row a prompt."""
        distinct = list(dict.fromkeys(prompts))
        place = {prompt: i for i, prompt in enumerate(distinct)}
        shared = len(self.prefix)
        longest = max(map(len, distinct)) - shared
        ids_UT = torch.zeros(len(distinct), longest, dtype=torch.long)  # what stands under padding is never looked at
        mask_UT = torch.zeros(len(distinct), shared + longest, dtype=torch.long)
        mask_UT[:, :shared] = 1
        for row, prompt in enumerate(distinct):
            own = prompt[shared:]
            ids_UT[row, longest - len(own) :] = torch.tensor(own)
            mask_UT[row, shared + longest - len(own) :] = 1
        ids_UT, mask_UT = ids_UT.to(self.device), mask_UT.to(self.device)
        positions_UT = (mask_UT.cumsum(1) - 1).clamp(min=0)[:, shared:]
        cache = self._begin(len(distinct), capacity)
        logits_UV = self.next_token(ids_UT, positions_UT, cache, mask_UT)
        if len(distinct) == len(prompts):
            return logits_UV, cache, mask_UT
        rows = torch.tensor([place[prompt] for prompt in prompts], device=self.device)
        return logits_UV[rows], spread(cache, rows, capacity), mask_UT[rows]

    def _begin(self, rows: int, capacity: int) -> Cache:
        if not self.prefix:
            return new_cache(self.inner, capacity)
        if self.prefix_cache is None:
            self.prefix_cache = new_cache(self.inner, len(self.prefix))
            ids_1T = torch.tensor([self.prefix], device=self.device)
            positions_1T = torch.arange(len(self.prefix), device=self.device)[None]
            self.next_token(ids_1T, positions_1T, self.prefix_cache)
        return spread(self.prefix_cache, torch.zeros(rows, dtype=torch.long, device=self.device), capacity)


def completion(loaded: Loaded, tokens: Sequence[int], finished: bool) -> Completion:
    """The answer that these tokens (without an end token) are."""
    text = loaded.tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    # A cut may fall inside a character, whose first bytes then decode to U+FFFD.
    return Completion(text if finished else text.rstrip("\ufffd"), tuple(tokens), finished)
