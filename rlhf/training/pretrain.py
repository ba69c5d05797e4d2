"""A Llama and its tokenizer from scratch.

A small one learns in seconds on a CPU the shape of the data (turns, end tokens, common words), not the world: enough to
run a whole recipe where no model can be had, and to test one. A larger one is trained by the same loop as Cerebras-GPT
was (arXiv 2304.03208): muP, packed rows, 20 tokens a parameter. Everything is deterministic: the tokenizer by its
training algorithm, the weights and the order of the batches by the seed; a run that was killed goes on from its last
checkpoint and ends in the same bytes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from curation.durable import put
from curation.errors import UserError
from curation.frame import to_rows
from curation.models.lineage import Lineage
from curation.models.numerics import compute_dtype, numerics_class, set_threads, use_device
from curation.models.saving import save_model
from rlhf.training import mup
from rlhf.training.checkpoints import EVERY_SECONDS
from rlhf.training.columns import training_rows
from rlhf.training.following import thinned

if TYPE_CHECKING:
    import polars as pl

    from rlhf.recipe.step import Room
    from rlhf.steps.pretrain import Pretrain

CHATML = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['role'] == 'assistant' %}
{%- generation %}
{{- message['content'] + '<|im_end|>' }}
{%- endgeneration %}
{{- '\\n' }}
{%- else %}
{{- message['content'] + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
"""OpenAI's ChatML, with the marks that say which tokens the assistant wrote."""
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
_SMALLEST_VOCABULARY = 256 + 3
_WARM_UP = 0.1
_SEEN_OFTEN = 4
"""Passes over the same data beyond which new ones teach little (arXiv 2305.16264)."""
_LEARNED_FROM = 200_000_000
"""Characters that the tokenizer learns its merges from, at most."""
_SLICE = 10_000
"""Chats that are rendered at once."""


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer (GPT-2's kind: no text is unknown) with a ChatML template.

    Args:
        texts: What it learns its merges from; the same texts in the same order give the same tokenizer.
        vocab_size: Tokens in all, the 256 bytes and 3 special ones included. Fewer come out when the texts hold fewer
            pairs that repeat.
    """
    if vocab_size < _SMALLEST_VOCABULARY:
        raise ValueError(f"a byte-level vocabulary has at least {_SMALLEST_VOCABULARY} tokens, not {vocab_size}")
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[PAD, START, END],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=PAD, eos_token=END, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = CHATML
    return tokenizer


def new_llama(
    tokenizer: PreTrainedTokenizerFast,
    *,
    hidden_size: int = 64,
    num_hidden_layers: int = 2,
    num_attention_heads: int = 4,
    intermediate_size: int | None = None,
    max_position_embeddings: int = 1024,
    initializer_range: float = 0.02,
    seed: int = 42,
    mup_multipliers: tuple[float, float] | None = None,
) -> PreTrainedModel:
    """A Llama with random weights for this tokenizer; half as many key-value heads as heads, tied embeddings.

    Args:
        intermediate_size: None: twice `hidden_size`.
        mup_multipliers: (of the width, of the embeddings): muP, which makes it a Granite (`rlhf.training.mup`).
    """
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden_size,
        "intermediate_size": intermediate_size or hidden_size * 2,
        "num_hidden_layers": num_hidden_layers,
        "num_attention_heads": num_attention_heads,
        "num_key_value_heads": max(1, num_attention_heads // 2),
        "max_position_embeddings": max_position_embeddings,
        "initializer_range": initializer_range,
        "tie_word_embeddings": True,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
    }
    model: PreTrainedModel
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if mup_multipliers is None:
            model = LlamaForCausalLM(LlamaConfig(**shape))
        else:
            width, embeddings = mup_multipliers
            model = mup.new_granite(multiplier=width, embedding_multiplier=embeddings, **shape)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model


def train(
    model: PreTrainedModel,
    rows: Sequence[Sequence[int]],
    *,
    max_steps: int,
    global_batch_size: int = 16,
    learning_rate: float = 3e-3,
    pad: int = 0,
    seed: int = 42,
    optimizer: torch.optim.Optimizer | None = None,
    at_once: int | None = None,
    computed_in: torch.dtype = torch.float32,
    saved: Saved | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> list[float]:
    """Next-token prediction on every token of `rows` (token ids); returns the loss of each step, in nats a token.

    A linear warm-up over a tenth of the steps, then a cosine to zero. Rows are drawn without replacement until all were
    seen, then in a new order.

    Args:
        optimizer: Its rates are the highest ones. None: AdamW on all weights, with `learning_rate`.
        at_once: Rows in memory at once; None: the whole batch.
        computed_in: bfloat16 for autocast.
        saved: Where checkpoints go, and from where the run goes on.
        on_step: Told the step's number, from 1, and its loss.

    Raises:
        UserError: the loss is no number.
    """
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)
    for group in optimizer.param_groups:
        group["highest"] = group["lr"]
    order = torch.Generator().manual_seed(seed)
    queue: list[int] = []
    losses: list[float] = []
    if saved and (state := saved.read()):
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        order.set_state(state["order"])
        queue, losses = state["queue"], state["losses"]
    at_once = at_once or global_batch_size
    model.train()
    for step in range(len(losses), max_steps):
        while len(queue) < global_batch_size:
            queue += torch.randperm(len(rows), generator=order).tolist()
        taken, queue = queue[:global_batch_size], queue[global_batch_size:]
        for group in optimizer.param_groups:
            group["lr"] = group["highest"] * _schedule(step, max_steps)
        batch = [rows[i] for i in taken]
        parts = [batch[start : start + at_once] for start in range(0, len(batch), at_once)]
        learned = [sum(len(row) - 1 for row in part) for part in parts]
        total = 0.0
        for part, tokens in zip(parts, learned, strict=True):
            with torch.autocast(model.device.type, torch.bfloat16, enabled=computed_in == torch.bfloat16):
                loss = _loss(model, part, pad) * (tokens / sum(learned))
            loss.backward()
            total += loss.item()
        if not math.isfinite(total):
            raise UserError(f"the loss is {total} at step {step + 1} of {max_steps}", hint="lower learning_rate")
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
        on_step(step + 1, total)
        if saved and saved.due(step + 1) and step + 1 < max_steps:
            saved.write(
                {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "order": order.get_state(),
                    "queue": queue,
                    "losses": losses,
                }
            )
    model.eval()
    return losses


class Saved:
    """The one checkpoint of a run, replaced by rename: a kill leaves the last whole one.

    Args:
        path: Its file.
        every_steps: Steps between two; None goes by time.
    """

    def __init__(self, path: Path, every_steps: int | None) -> None:
        self.path, self.every_steps = path, every_steps
        self._last = time.monotonic()

    def due(self, step: int) -> bool:
        if self.every_steps:
            return step % self.every_steps == 0
        return time.monotonic() - self._last >= EVERY_SECONDS

    def write(self, state: dict[str, Any]) -> None:
        half = self.path.with_suffix(".half")
        torch.save(state, half)
        put(half, self.path)
        self._last = time.monotonic()

    def read(self) -> dict[str, Any] | None:
        """What was written last."""
        if not self.path.exists():
            return None
        found: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        return found


class Packed(Sequence[Sequence[int]]):
    """Rows of `length` tokens, cut out of one file of tokens that is not read into memory."""

    def __init__(self, path: Path, length: int) -> None:
        self.length = length
        self.tokens = np.memmap(path, dtype=np.uint32, mode="r") if path.stat().st_size else np.zeros(0, np.uint32)

    def __len__(self) -> int:
        return len(self.tokens) // self.length

    def __getitem__(self, i: Any) -> Sequence[int]:
        if not 0 <= i < len(self):
            raise IndexError(i)
        found: list[int] = self.tokens[i * self.length : (i + 1) * self.length].tolist()
        return found


def _schedule(step: int, steps: int) -> float:
    warm = max(1, round(steps * _WARM_UP))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _loss(model: PreTrainedModel, rows: Sequence[Sequence[int]], pad: int) -> torch.Tensor:
    length = max(map(len, rows))
    ids_BT = torch.full((len(rows), length), pad)
    labels_BT = torch.full((len(rows), length), -100)
    for i, row in enumerate(rows):
        ids_BT[i, : len(row)] = labels_BT[i, : len(row)] = torch.tensor(row)
    ids_BT, labels_BT = ids_BT.to(model.device), labels_BT.to(model.device)
    # Right padding under causal attention: real tokens never see it, so no mask is needed.
    logits_BTV = model(input_ids=ids_BT, use_cache=False).logits.float()
    return torch.nn.functional.cross_entropy(logits_BTV[:, :-1].flatten(0, 1), labels_BT[:, 1:].flatten())


def from_scratch(step: Pretrain, room: Room) -> dict[str, Any]:
    """Trains tokenizer and model and writes them to `room.out`; returns the fields of `Done`.

    Raises:
        UserError: there is no chat to learn from, or too few for one packed row.
    """
    training = room.profile.training
    set_threads(training.threads)
    where = use_device(training.device)
    frame = training_rows(step.data)
    if not len(frame):
        raise UserError("there is no chat to learn from", hint="is the part `train` of the data empty?")
    tokenizer = train_tokenizer(_up_to(_LEARNED_FROM, _said(frame)), step.vocab_size)
    rows: Sequence[Sequence[int]]
    if step.packing:
        rows = Packed(_tokens(frame, tokenizer, room.work / "tokens.bin"), step.max_length)
        if not rows:
            raise UserError(
                f"the chats do not fill one row of max_length {step.max_length} tokens",
                hint="lower max_length, or leave out packing",
            )
    else:
        rows = [ids[: step.max_length] for ids in _rendered(frame, tokenizer)]
    muped = step.parametrization == "mup"
    model = new_llama(
        tokenizer,
        hidden_size=step.hidden_size,
        num_hidden_layers=step.num_hidden_layers,
        num_attention_heads=step.num_attention_heads,
        intermediate_size=step.intermediate_size,
        max_position_embeddings=step.max_length,
        initializer_range=step.initializer_range,
        seed=step.seed,
        mup_multipliers=(step.width_multiplier, step.embedding_multiplier) if muped else None,
    ).to(where)
    size = model.num_parameters()
    steps = step.steps(size)
    passes = steps * step.global_batch_size / len(rows)
    if step.tokens_per_parameter is not None and passes > _SEEN_OFTEN:
        room.warn(
            f"the data are read {passes:.0f} times; beyond {_SEEN_OFTEN} passes little is learned that new data would "
            "not teach better"
        )
    with room.progress.bar("training (pretrain)", total=steps, unit="steps") as bar:
        seen = 0

        def follow(number: int, loss: float) -> None:
            nonlocal seen
            bar.advance(number - seen, loss=loss)
            seen = number

        losses = train(
            model,
            rows,
            max_steps=steps,
            global_batch_size=step.global_batch_size,
            pad=tokenizer.pad_token_id,
            seed=step.seed,
            optimizer=_optimizer(model, step),
            at_once=training.per_device_train_batch_size,
            computed_in=compute_dtype(step.dtype, where),
            saved=Saved(room.work / "checkpoint.pt", training.save_steps),
            on_step=follow,
        )
    save_model(room.out, model.cpu(), tokenizer, Lineage(tune="full"))
    read = steps * step.global_batch_size * step.max_length
    packed = {"tokens_per_parameter": read / size, "trained_tokens": read} if step.packing else {}
    return {
        "metrics": {
            "steps": steps,
            "parameters": size,
            "compute_optimal_tokens": step.compute_optimal(size),
            **packed,
            "passes": passes,
            "vocabulary": len(tokenizer),
            "loss_first": losses[0],
            "loss_last": losses[-1],
        },
        "curves": {"loss": thinned([(i + 1, loss) for i, loss in enumerate(losses)])},
        "numerics": numerics_class(step.dtype, where),
    }


def _optimizer(model: PreTrainedModel, step: Pretrain) -> torch.optim.Optimizer:
    weights: Any = model.parameters()
    if step.parametrization == "mup":
        weights = mup.rates(model, step.learning_rate, step.width_multiplier)
    return torch.optim.AdamW(
        weights, lr=step.learning_rate, betas=(0.9, step.adam_beta2), weight_decay=step.weight_decay
    )


def _chats(frame: pl.DataFrame) -> Iterator[list[dict[str, Any]]]:
    for part in frame.iter_slices(_SLICE):
        yield from ([m.to_dict() for m in row.messages] for row in to_rows(part))


def _said(frame: pl.DataFrame) -> Iterator[str]:
    return (m["content"] for chat in _chats(frame) for m in chat)


def _up_to(characters: int, texts: Iterable[str]) -> Iterator[str]:
    """The first texts, until they have so many characters."""
    for text in texts:
        if characters <= 0:
            return
        characters -= len(text)
        yield text


def _rendered(frame: pl.DataFrame, tokenizer: PreTrainedTokenizerFast) -> Iterator[list[int]]:
    """The tokens of each chat."""
    for chat in _chats(frame):
        text = tokenizer.apply_chat_template(chat, tokenize=False)
        yield tokenizer(text, add_special_tokens=False)["input_ids"]


def _tokens(frame: pl.DataFrame, tokenizer: PreTrainedTokenizerFast, path: Path) -> Path:
    """The file of all tokens, one chat behind the other; it is there already where a run was cut off later."""
    if not path.exists():
        half = path.with_suffix(".half")
        with half.open("wb") as out:
            for ids in _rendered(frame, tokenizer):
                np.asarray(ids, dtype=np.uint32).tofile(out)
        put(half, path)
    return path
