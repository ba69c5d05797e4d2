"""Any sequence classifier as a judge of the last answer: reward models of every make, sentiment, helpfulness ...

What a classifier reads was settled when it was trained. Where its tokenizer has a chat template, that is the chat as
the template writes it; where not, it is two texts, as for models like BERT: all that was said before, and the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from curation.errors import UserError, did_you_mean
from curation.models.loading import load_tokenizer, title, whole_model
from curation.models.numerics import compute_dtype, device
from curation.models.reading import batches
from curation.models.scoring import BATCH
from curation.models.template import ChatTemplate, end_tokens, separate_pad

if TYPE_CHECKING:
    from curation.conversation import Conversation


@dataclass(frozen=True)
class LoadedClassifier:
    """A classifier in memory, with what is needed to show it a chat."""

    model: Any
    tokenizer: Any
    template: ChatTemplate | None
    """None for one that reads two texts."""
    device: torch.device
    output: int | None
    """The class whose probability is the score; None for the one output that there is, as it is."""
    pad: int
    context: int

    def ids(self, conversation: Conversation) -> dict[str, list[int]]:
        """What the model is shown: `input_ids`, and `token_type_ids` where it wants them.

        A chat that is longer than the model reads loses its beginning; two texts are cut at their ends.

        Raises:
            Refused: the chat cannot be written in the model's template.
        """
        if self.template is not None:
            text = self.template.text(conversation.messages, conversation.tools)
            whole = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            return {"input_ids": list(whole[-self.context :])}
        before = "\n\n".join(m.content for m in conversation.messages[:-1])
        made = self.tokenizer(before, conversation.messages[-1].content, truncation=True, max_length=self.context)
        return {name: list(made[name]) for name in ("input_ids", "token_type_ids") if name in made}


def load_classifier(
    folder: Path, *, label: str | None = None, dtype: str = "float32", where: torch.device | None = None
) -> LoadedClassifier:
    """A classifier from a folder.

    Args:
        label: Name or number of the class that is meant, of a classifier with several.

    Raises:
        UserError: the folder holds none, or it has no such class.
    """
    where = where or device()
    model = whole_model(AutoModelForSequenceClassification, folder, compute_dtype(dtype, where))
    head = getattr(model, "score", None)
    if isinstance(head, nn.Linear):
        head.float()  # rounded to eight bits, rewards would tie
        head.register_forward_pre_hook(lambda _, given: (given[0].float(),))
    tokenizer: Any = load_tokenizer(folder)
    tokenizer.padding_side = "right"
    output = _output(model.config, label, title(folder))
    ends = end_tokens(tokenizer)
    pad = separate_pad(tokenizer, ends) if isinstance(head, nn.Linear) else int(tokenizer.pad_token_id or 0)
    model.config.pad_token_id = pad  # decoders read the last token that is not this one
    limits = [getattr(model.config.get_text_config(), "max_position_embeddings", None), tokenizer.model_max_length]
    context = min(int(limit) for limit in limits if limit)
    if "roberta" in str(model.config.model_type) and limits[0] == context:
        context -= 2  # its positions begin behind that of padding
    template = ChatTemplate(tokenizer) if tokenizer.chat_template else None
    return LoadedClassifier(
        model.to(where).eval().requires_grad_(False), tokenizer, template, where, output, pad, context
    )


def _output(config: Any, label: str | None, name: str) -> int | None:
    names = {str(n): i for i, n in config.id2label.items()}
    if config.num_labels == 1:
        if label is not None:
            raise UserError(f"{name} has one output, so there is no class {label!r}", hint="take `label` out")
        return None
    if label is None:
        raise UserError(
            f"{name} knows {config.num_labels} classes, so it must be said which is good",
            hint=f"set `label` to one of: {', '.join(names)}",
        )
    if label in names:
        return int(names[label])
    if label.isdecimal() and int(label) < config.num_labels:
        return int(label)
    raise UserError(f"{name} has no class {label!r}", hint=did_you_mean(label, names))


def values_of(loaded: LoadedClassifier, rows: Sequence[dict[str, list[int]]]) -> list[float]:
    """The output, or the probability of the class, for each row; longest first they go through in batches."""
    found = [0.0] * len(rows)
    with torch.inference_mode():
        for places in batches([len(row["input_ids"]) for row in rows], BATCH):
            batch = [rows[i] for i in places]
            longest = max(len(row["input_ids"]) for row in batch)
            given = {
                name: _padded([row[name] for row in batch], loaded.pad if name == "input_ids" else 0, longest)
                for name in batch[0]
            }
            ones = [[1] * len(row["input_ids"]) for row in batch]
            given["attention_mask"] = _padded(ones, 0, longest)
            logits = loaded.model(**{k: v.to(loaded.device) for k, v in given.items()}).logits.float()
            values = logits[:, 0] if loaded.output is None else logits.softmax(-1)[:, loaded.output]
            for i, value in zip(places, values.tolist(), strict=True):
                found[i] = value
    return found


def _padded(rows: list[list[int]], pad: int, longest: int) -> torch.Tensor:
    return torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])
