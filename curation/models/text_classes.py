"""Classifiers of single texts: how likely a text is of some classes, by any sequence-classification model.

`curation.models.classifying` shows a model a question and its answer; what is looked at here is what one text says.

Encoders read a few hundred tokens, so a longer text is read in windows of 512 at most, and what one window holds the
text holds: of the windows the highest probability counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from curation.errors import UserError, did_you_mean
from curation.models.loading import load_tokenizer, title, whole_model
from curation.models.numerics import device
from curation.models.reading import batches
from curation.models.scoring import BATCH

_WINDOW = 512


@dataclass(frozen=True)
class TextClassifier:
    """A classifier in memory."""

    model: nn.Module
    tokenizer: Any
    device: torch.device
    labels: tuple[str, ...]
    each_by_itself: bool
    """Whether a text may be of several classes at once."""
    window: int
    name: str


def load_text_classifier(folder: Path, *, where: torch.device | None = None) -> TextClassifier:
    """A classifier from its folder, in float32.

    Raises:
        UserError: the folder holds none.
    """
    if folder.suffix == ".gguf":
        raise UserError(f"{folder.name} is no text classifier", hint="name a folder or a model on the Hub")
    where = where or device()
    model = whole_model(AutoModelForSequenceClassification, folder, torch.float32)
    model = model.to(where).eval().requires_grad_(False)
    config, tokenizer = model.config, load_tokenizer(folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id
    labels = tuple(str(config.id2label[i]) for i in range(config.num_labels))
    alone = config.num_labels == 1 or config.problem_type == "multi_label_classification"
    positions = int(getattr(config.get_text_config(), "max_position_embeddings", None) or _WINDOW)
    if "roberta" in str(config.model_type):
        positions -= 2  # its positions begin behind that of padding
    window = min(_WINDOW, positions, tokenizer.model_max_length)
    return TextClassifier(model, tokenizer, where, labels, alone, window, title(folder))


def outputs(loaded: TextClassifier, labels: Sequence[str]) -> list[int]:
    """Which of the model's outputs these labels are; case counts for nothing.

    Raises:
        UserError: it has no such label.
    """
    known = {label.lower(): i for i, label in enumerate(loaded.labels)}
    for label in labels:
        if label.lower() not in known:
            hint = did_you_mean(label, loaded.labels) or f"it has {', '.join(loaded.labels[:20])}"
            raise UserError(f"{loaded.name} has no label {label!r}", hint=hint)
    return sorted({known[label.lower()] for label in labels})


def probabilities(loaded: TextClassifier, texts: Sequence[str], wanted: Sequence[int]) -> list[float]:
    """How likely each text is of one of the classes wanted: the highest of its windows.

    Classes that exclude each other add up; of those that do not, the likeliest counts.
    """
    if not texts:
        return []
    cut = loaded.tokenizer(
        list(texts),
        truncation=True,
        max_length=loaded.window,
        return_overflowing_tokens=True,
        return_attention_mask=False,
    )
    windows, owners = cut["input_ids"], cut["overflow_to_sample_mapping"]
    found = [0.0] * len(texts)
    pad = loaded.tokenizer.pad_token_id or 0
    columns = list(wanted)
    with torch.inference_mode():
        for places in batches([len(ids) for ids in windows], BATCH):
            width = max(1, *(len(windows[i]) for i in places))
            ids_BT = torch.full((len(places), width), pad)
            mask_BT = torch.zeros_like(ids_BT)
            for row, i in enumerate(places):
                ids_BT[row, : len(windows[i])] = torch.tensor(windows[i], dtype=torch.long)
                mask_BT[row, : max(1, len(windows[i]))] = 1
            logits_BC = loaded.model(
                input_ids=ids_BT.to(loaded.device), attention_mask=mask_BT.to(loaded.device)
            ).logits
            if loaded.each_by_itself:
                values_B = torch.sigmoid(logits_BC.float())[:, columns].amax(dim=1)
            else:
                values_B = torch.softmax(logits_BC.float(), dim=1)[:, columns].sum(dim=1)
            for i, value in zip(places, values_B.tolist(), strict=True):
                found[owners[i]] = max(found[owners[i]], min(1.0, value))
    return found
