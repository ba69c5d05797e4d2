"""Reward models: a number for a chat, read at its last token.

That token is the end token of the last answer. The head is always computed in float32: rounded to eight bits, rewards
would tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from curation.errors import UserError
from curation.models.lineage import chain_of
from curation.models.loading import generation_config, load_policy, load_tokenizer, merged, title, whole_model
from curation.models.numerics import compute_dtype, device
from curation.models.reading import batches, read
from curation.models.scoring import BATCH
from curation.models.template import ChatTemplate
from curation.progress import SILENT, Progress

if TYPE_CHECKING:
    from curation.conversation import Conversation
    from curation.models.loading import Loaded


@dataclass(frozen=True)
class LoadedReward:
    """A reward model in memory: the layers, and the head that makes a number of a hidden state."""

    layers: nn.Module
    head: nn.Linear
    template: ChatTemplate
    device: torch.device
    dtype: str
    name: str
    context: int


def load_reward(folder: Path, *, dtype: str = "float32", where: torch.device | None = None) -> LoadedReward:
    """A reward model from its artifact, merged.

    Raises:
        UserError: the folder holds no reward model, it is damaged, or a parent is gone.
    """
    where = where or device()
    chain = chain_of(folder)
    base = chain[0]
    if len(chain) > 1:
        under = load_policy(chain[-2], dtype="float32", where=torch.device("cpu"), merge=True)
        model = merged(_classifier(under.model), folder)
    else:
        model = whole_model(AutoModelForSequenceClassification, folder, torch.float32)
    head = getattr(model, "score", None)
    if not isinstance(head, nn.Linear) or head.out_features != 1:
        raise UserError(
            f"{title(folder)} is no reward model", hint="a reward model gives one number a chat; the step is `reward`"
        )
    template = ChatTemplate(load_tokenizer(folder), generation_config(base))
    context = int(getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2**31 - 1)
    layers = model.base_model.to(device=where, dtype=compute_dtype(dtype, where)).eval().requires_grad_(False)
    return LoadedReward(layers, head.to(where).requires_grad_(False), template, where, dtype, title(folder), context)


def _classifier(policy: Any) -> Any:
    """A sequence classifier with one output on the policy's layers; the adapter brings the head's weights."""
    config = policy.config.__class__.from_dict({**policy.config.to_dict(), "num_labels": 1})
    config._attn_implementation = policy.config._attn_implementation
    with torch.device("meta"):
        model: Any = AutoModelForSequenceClassification.from_config(config)
    setattr(model, model.base_model_prefix, policy.base_model)
    model.score = nn.Linear(config.get_text_config().hidden_size, 1, bias=False)
    return model


def chat_ids(loaded: LoadedReward | Loaded, conversation: Conversation) -> list[int]:
    """The chat up to and including the last answer's end token, whether the answer was finished or not.

    Trainers show a reward model whole answers only, so a cut one is closed like the others. A chat that is longer than
    the model reads loses its beginning.

    Raises:
        Refused: the chat cannot be written in the model's template (`curation.models.template`).
    """
    encoded = loaded.template.encode(conversation.messages, conversation.tools)
    return encoded.ids[: encoded.end][-loaded.context :]


def rewards_of(
    loaded: LoadedReward,
    rows: Sequence[Sequence[int]],
    *,
    batch_size: int = BATCH,
    progress: Progress = SILENT,
    what: str = "rewards",
) -> list[float]:
    """The reward of each row of token ids."""
    found = [0.0] * len(rows)
    with torch.inference_mode(), progress.bar(what, total=len(rows)) as bar:
        for places in batches([len(row) for row in rows], batch_size):
            batch = [rows[i] for i in places]
            hidden_BTD, start = read(loaded.layers, batch, min(map(len, batch)) - 1, loaded.device)
            last_B = torch.tensor([len(row) - 1 - start for row in batch], device=loaded.device)
            hidden_BD = hidden_BTD[torch.arange(len(places), device=loaded.device), last_B].float()
            values_B = nn.functional.linear(hidden_BD, loaded.head.weight.float())[:, 0]
            for i, value in zip(places, values_B.tolist(), strict=True):
                found[i] = value
            bar.advance(len(places))
    return found
