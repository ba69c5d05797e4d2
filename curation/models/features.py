"""What a policy makes of an answer before it says anything: the hidden state at the answer's last token.

A linear head on these states is a reward model that is fitted in milliseconds, which is what choosing the next question
for people needs (`curation.labeling.acquisition`). The states are those of the last layers, side by side: the very last
one is about the next token, those below it more about what was read. One forward pass an answer, nothing is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from curation.conversation import digest
from curation.errors import UserError
from curation.models.reading import batches, read
from curation.models.rewards import chat_ids
from curation.models.scoring import BATCH
from curation.models.template import Refused
from curation.progress import SILENT, Progress

if TYPE_CHECKING:
    from curation.conversation import Conversation
    from curation.models.loading import Loaded

LAYERS = 4
"""Last layers whose states are kept."""
_MADE_BY = "1"
"""Raised when the same model and chat would give other features."""


class Kept(Protocol):
    """Vectors by model and content, on the disk when `put` returns."""

    def get(self, key: str, ids: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]: ...

    def put(self, key: str, vectors: Mapping[str, np.ndarray[Any, Any]]) -> None: ...


def features_of(
    conversations: Sequence[Conversation],
    model: str,
    load: Callable[[], Loaded],
    kept: Kept,
    *,
    dtype: str = "float32",
    progress: Progress = SILENT,
) -> np.ndarray[Any, Any]:
    """The features of each chat, from the cache where they are, else from the model; a kill costs one batch.

    Args:
        model: What the model is known by: the digest of its content.
        load: Opens it. Not called when all features are known.
        dtype: What the model is loaded in.

    Returns:
        (conversations, layers x width) float32.
    """
    key = f"features-{digest('features', _MADE_BY, str(LAYERS), model, dtype)}"
    distinct = {chat.id: chat for chat in conversations}
    known = kept.get(key, list(distinct))
    if missing := [chat for i, chat in distinct.items() if i not in known]:
        for places, states in answer_features(load(), missing, progress=progress):
            batch = {missing[i].id: row for i, row in zip(places, states, strict=True)}
            kept.put(key, batch)
            known |= batch
    return np.stack([known[chat.id] for chat in conversations])


def answer_features(
    loaded: Loaded,
    conversations: Sequence[Conversation],
    *,
    layers: int = LAYERS,
    batch_size: int = BATCH,
    progress: Progress = SILENT,
    what: str = "features",
) -> Iterator[tuple[list[int], Any]]:
    """The states of each chat's last token, batch by batch, longest chats first.

    Args:
        layers: How many of the last layers; fewer where the model has fewer.

    Yields:
        (places in `conversations`, (places, layers x width) float32 states). A batch that was given need not be
        computed again when the rest is lost.

    Raises:
        UserError: a chat cannot be written in the model's template.
    """
    rows = [_ids(loaded, chat) for chat in conversations]
    model: Any = loaded.model
    inner = (model.get_base_model() if hasattr(model, "get_base_model") else model).base_model
    with torch.inference_mode(), progress.bar(what, total=len(rows)) as bar, _listening(inner, layers) as heard:
        for places in batches([len(row) for row in rows], batch_size):
            batch = [rows[i] for i in places]
            _, start = read(inner, batch, min(map(len, batch)) - 1, loaded.device)
            last_B = torch.tensor([len(row) - 1 - start for row in batch], device=loaded.device)
            every_B = torch.arange(len(batch), device=loaded.device)
            states_BF = torch.cat([heard[k][every_B, last_B].float() for k in sorted(heard)], dim=-1)
            yield places, np.asarray(states_BF.cpu().numpy(), dtype=np.float32)
            bar.advance(len(places))


def _ids(loaded: Loaded, chat: Conversation) -> list[int]:
    try:
        return chat_ids(loaded, chat)
    except Refused as refusal:
        what = f"an answer cannot be read by the model whose features are used: {refusal.why}"
        raise UserError(what, hint="clean or drop such rows before people are asked about them") from refusal


@contextmanager
def _listening(inner: nn.Module, layers: int) -> Iterator[dict[int, Tensor]]:
    """Place of a layer -> what it gave at the last forward pass, (rows, tokens, width)."""
    blocks = _blocks(inner)
    heard: dict[int, Tensor] = {}

    def listener(k: int) -> Any:
        def hear(_: nn.Module, __: Any, given: Any) -> None:
            heard[k] = given if isinstance(given, Tensor) else given[0]

        return hear

    first = max(0, len(blocks) - layers)
    hooks = [blocks[k].register_forward_hook(listener(k)) for k in range(first, len(blocks))]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def _blocks(inner: nn.Module) -> nn.ModuleList:
    """The layers of a language model, bottom up: its only list of as many modules as its config counts.

    Raises:
        UserError: it has none, so it is built in a way that is not known here.
    """
    config: Any = inner.config
    count = config.get_text_config(decoder=True).num_hidden_layers
    for module in inner.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise UserError(
        f"the layers of a {config.model_type!r} model cannot be told apart", hint="take features of another policy"
    )
