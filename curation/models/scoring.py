"""How likely a model finds an answer: log-probabilities of its tokens, given the prompt.

The output layer is asked only where a token of the answer is to be predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from curation.conversation import Message
from curation.models.reading import batches, read
from curation.progress import SILENT, Progress

if TYPE_CHECKING:
    from curation.conversation import Conversation
    from curation.models.loading import Loaded

BATCH = 16
"""Rows looked at at once."""
_LOGITS_AT_ONCE = 512
"""Tokens that the output layer is asked for at once: 100 MB at a vocabulary of 49,152."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model thinks of one answer."""

    log_prob: float
    """Sum over the answer's tokens, natural logarithm."""
    tokens: int
    """Tokens of the answer, its end token included where it has one."""


def answer_ids(loaded: Loaded, conversation: Conversation) -> tuple[list[int], list[int]]:
    """(tokens of the prompt, tokens of the last assistant turn up to and including its end token).

    An answer that was cut off (`meta.finished` is false) has no end token. A chat that is longer than the model reads
    loses the beginning of its prompt; an answer that is itself too long is cut.

    Raises:
        Refused: the chat cannot be written in the model's template (`curation.models.template`).
    """
    finished = conversation.meta.get("finished") is not False
    encoded = loaded.template.encode(conversation.messages, conversation.tools, finished=finished, piecewise=True)
    prompt, answer = encoded.ids[: encoded.prompt], encoded.ids[encoded.prompt : encoded.end]
    answer = answer[: loaded.context - 1]
    return prompt[max(0, len(prompt) + len(answer) - loaded.context) :], answer


def header_ids(loaded: Loaded) -> list[int]:
    """The tokens that a template puts before an answer, and nothing of what was asked; at least one.

    The token that begins every text of the model stands before them where it has one. A template without such a header
    gives that token alone, or else an end token, after which a text begins as well.
    """
    asked = [Message("user", "?")]
    before, after = loaded.template.text(asked), loaded.template.text(asked, ask=True)
    header = after[len(before) :] if after.startswith(before) else ""
    ids = list(loaded.tokenizer(header, add_special_tokens=False)["input_ids"])
    begin = loaded.tokenizer.bos_token_id
    if begin is not None and loaded.template.prompt_ids(asked)[:1] == [begin]:
        ids = [begin, *ids]
    return ids or [begin if begin is not None else min(loaded.template.ends)]


def log_probs(
    loaded: Loaded,
    rows: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    batch_size: int = BATCH,
    progress: Progress = SILENT,
    what: str = "scoring",
) -> list[Scored]:
    """Log-probability of each answer given its prompt.

    Args:
        rows: (prompt ids, answer ids), no prompt empty; longest first they go through in batches of `batch_size`.
    """
    found: list[Scored] = [Scored(0.0, 0)] * len(rows)
    with torch.inference_mode(), progress.bar(what, total=len(rows)) as bar:
        for places in batches([len(p) + len(a) for p, a in rows], batch_size):
            sums = _sums(loaded, [rows[i] for i in places])
            for i, value in zip(places, sums, strict=True):
                found[i] = Scored(value, len(rows[i][1]))
            bar.advance(len(places))
    return found


def _sums(loaded: Loaded, rows: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[float]:
    model: Any = loaded.model
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    whole = [[*prompt, *answer] for prompt, answer in rows]
    hidden_BTD, start = read(inner.base_model, whole, min(len(prompt) for prompt, _ in rows) - 1, loaded.device)
    owner = [i for i, (_, answer) in enumerate(rows) for _ in answer]
    place = [len(prompt) - 1 - start + k for prompt, answer in rows for k in range(len(answer))]
    targets_N = torch.tensor([token for _, answer in rows for token in answer], device=loaded.device)
    owner_N, place_N = torch.tensor(owner, device=loaded.device), torch.tensor(place, device=loaded.device)
    sums_B = torch.zeros(len(rows), dtype=torch.float64)
    for begin in range(0, len(owner), _LOGITS_AT_ONCE):
        part = slice(begin, begin + _LOGITS_AT_ONCE)
        logits_NV = output_logits(inner, hidden_BTD[owner_N[part], place_N[part]])
        logprobs_N = logits_NV.gather(-1, targets_N[part, None])[:, 0] - logits_NV.logsumexp(-1)
        sums_B.index_add_(0, owner_N[part].cpu(), logprobs_N.double().cpu())
    return [float(x) for x in sums_B]


def output_logits(model: Any, hidden_ND: Tensor) -> Tensor:
    """(N, vocabulary) float32 logits for hidden states, with the scaling or capping that some models apply."""
    logits_NV: Tensor = model.get_output_embeddings()(hidden_ND).float()
    config = model.config.get_text_config()
    if scale := getattr(config, "logit_scale", None):  # Cohere
        logits_NV = logits_NV * scale
    if scale := getattr(config, "logits_scaling", None):  # Granite
        logits_NV = logits_NV / scale
    if cap := getattr(config, "final_logit_softcapping", None):  # Gemma
        logits_NV = torch.tanh(logits_NV / cap) * cap
    return logits_NV
