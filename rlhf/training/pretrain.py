"""A small Llama and its tokenizer from scratch, in seconds on a CPU.

It learns the shape of the data (turns, end tokens, common words), not the world: enough to run a whole recipe where no
model can be had, and to test one. Everything is deterministic: the tokenizer by its training algorithm, the weights and
the order of the batches by the seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from curation.errors import UserError
from curation.frame import to_rows
from curation.models.lineage import Lineage
from curation.models.numerics import set_threads
from curation.models.saving import save_model
from rlhf.training.columns import training_rows

if TYPE_CHECKING:
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
    max_position_embeddings: int = 1024,
    seed: int = 42,
) -> LlamaForCausalLM:
    """A Llama with random weights for this tokenizer; half as many key-value heads as heads, tied embeddings."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=hidden_size * 2,
        num_hidden_layers=num_hidden_layers,
        num_attention_heads=num_attention_heads,
        num_key_value_heads=max(1, num_attention_heads // 2),
        max_position_embeddings=max_position_embeddings,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model


def train(
    model: LlamaForCausalLM,
    rows: Sequence[Sequence[int]],
    *,
    max_steps: int,
    global_batch_size: int = 16,
    learning_rate: float = 3e-3,
    pad: int = 0,
    seed: int = 42,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> list[float]:
    """Next-token prediction on every token of `rows` (token ids); returns the loss of each step, in nats a token.

    AdamW, a linear warm-up over a tenth of the steps, then a cosine to zero. Rows are drawn without replacement until
    all were seen, then in a new order.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.0)
    order = torch.Generator().manual_seed(seed)
    queue: list[int] = []
    losses = []
    model.train()
    for step in range(max_steps):
        while len(queue) < global_batch_size:
            queue += torch.randperm(len(rows), generator=order).tolist()
        taken, queue = queue[:global_batch_size], queue[global_batch_size:]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * _schedule(step, max_steps)
        loss = _loss(model, [rows[i] for i in taken], pad)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        on_step(step + 1, losses[-1])
    model.eval()
    return losses


def _schedule(step: int, steps: int) -> float:
    warm = max(1, round(steps * _WARM_UP))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _loss(model: LlamaForCausalLM, rows: Sequence[Sequence[int]], pad: int) -> torch.Tensor:
    length = max(map(len, rows))
    ids_BT = torch.full((len(rows), length), pad)
    labels_BT = torch.full((len(rows), length), -100)
    for i, row in enumerate(rows):
        ids_BT[i, : len(row)] = labels_BT[i, : len(row)] = torch.tensor(row)
    # Right padding under causal attention: real tokens never see it, so no mask is needed.
    logits_BTV = model(input_ids=ids_BT, use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits_BTV[:, :-1].flatten(0, 1), labels_BT[:, 1:].flatten())


def from_scratch(step: Pretrain, room: Room) -> dict[str, Any]:
    """Trains tokenizer and model and writes them to `room.out`; returns the fields of `Done`.

    Raises:
        UserError: there is no chat to learn from.
    """
    set_threads(room.profile.training.threads)
    chats = [[m.to_dict() for m in row.messages] for row in to_rows(training_rows(step.data))]
    if not chats:
        raise UserError("there is no chat to learn from", hint="is the part `train` of the data empty?")
    tokenizer = train_tokenizer((m["content"] for chat in chats for m in chat), step.vocab_size)
    texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
    rows = [tokenizer(text, add_special_tokens=False)["input_ids"][: step.max_length] for text in texts]
    model = new_llama(
        tokenizer,
        hidden_size=step.hidden_size,
        num_hidden_layers=step.num_hidden_layers,
        num_attention_heads=step.num_attention_heads,
        max_position_embeddings=step.max_length,
        seed=step.seed,
    )
    with room.progress.bar("training (pretrain)", total=step.max_steps, unit="steps") as bar:
        losses = train(
            model,
            rows,
            max_steps=step.max_steps,
            global_batch_size=step.global_batch_size,
            learning_rate=step.learning_rate,
            pad=tokenizer.pad_token_id,
            seed=step.seed,
            on_step=lambda _, loss: bar.advance(loss=loss),
        )
    save_model(room.out, model, tokenizer, Lineage(tune="full"))
    return {
        "metrics": {
            "steps": step.max_steps,
            "parameters": model.num_parameters(),
            "vocabulary": len(tokenizer),
            "loss_first": losses[0],
            "loss_last": losses[-1],
        },
        "curves": {"loss": [(i + 1, loss) for i, loss in enumerate(losses)]},
        "numerics": {"device": "cpu", "dtype": "float32", "processes": 1},
    }
