"""`toxicity`: how hateful, threatening or coarse a text is, from 0 to 1, by a classifier, or by a list of rude words.

Any sequence-classification model will do (`unitary/multilingual-toxic-xlm-roberta`, say). Without one the score comes
from the lists of `profanity`, works offline and sees coarse words alone: hatred in polite words gets 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from curation.artifact import InputFile
from curation.errors import UserError
from curation.models.pointer import NamesModel, OutsideModel
from curation.operator import Scorer
from curation.operators.phrases import Phrases, read_phrases
from curation.operators.profanity import rude, rude_words, unknown_language
from curation.operators.text import Of

if TYPE_CHECKING:
    import polars as pl

    from curation.conversation import Conversation
    from curation.models.text_classes import TextClassifier

_TOXIC = ("toxic", "toxicity")


class Toxicity(NamesModel, Scorer):
    """How toxic the last message is, from 0 to 1; by a model's probability, or by a list of rude words without one.

    By the list a text with n rude words gets n / (n + 1): 0, 0.5, 0.67 and on towards 1. That marks coarse language,
    not hatred.
    """

    op: Literal["toxicity"] = "toxicity"
    model_name_or_path: OutsideModel | None = None
    """A sequence-classification model: a folder, or a name on the Hub. None: the list of rude words."""
    model_revision: str | None = None
    """Commit, branch or tag of a model on the Hub."""
    labels: tuple[str, ...] = ()
    """The model's labels that mean toxic. Where they exclude each other their probabilities add up, else the likeliest
    counts. Empty: its label `toxic` or `toxicity`, or the only one that it has."""
    languages: tuple[str, ...] | None = None
    """Without a model: whose words are looked for, as in `profanity`. None: those of all languages there are."""
    file: InputFile | None = None
    """Without a model: a file of more words, one a line."""
    of: Of = "last"
    """`last` scores the last message: the answer, or the question of a prompt. `chat` scores all messages as one."""

    _listed: Phrases | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.model_name_or_path is not None and (self.languages is not None or self.file):
            raise PydanticCustomError("toxicity", "`languages` and `file` are words to look for without a model")
        if self.model_name_or_path is None and self.labels:
            raise PydanticCustomError("toxicity", "`labels` are those of a model: name it, `model_name_or_path`")
        if wrong := unknown_language(self.languages or ()):
            raise PydanticCustomError("language", "{text}", {"text": wrong})
        if self.languages == () and self.file is None:
            raise PydanticCustomError("nothing", "toxicity has no words to look for: name languages, a file or a model")
        return self

    @property
    def chunked(self) -> bool:  # type: ignore[override]
        """By a model, like other models; words are counted in passing."""
        return self.model_name_or_path is not None

    def prepare(self) -> None:
        if self.model_name_or_path is not None:
            self._model()
        elif self._listed is None:
            self._listed = rude(self.languages, read_phrases(self.file) if self.file else ())

    def score_frame(self, frame: pl.DataFrame) -> pl.Series:
        if self.model_name_or_path is not None:
            return super().score_frame(frame)
        self.prepare()
        assert self._listed is not None
        words = rude_words(frame, self._listed, self.of)
        return (words / (words + 1)).alias("score")

    def score(self, conversations: list[Conversation]) -> list[float]:
        if self.model_name_or_path is None:
            return super().score(conversations)
        from curation.models.text_classes import probabilities

        loaded, wanted = self._model()
        kept = [c.messages[-1:] if self.of == "last" else c.messages for c in conversations]
        return probabilities(loaded, ["\n\n".join(m.content for m in messages) for messages in kept], wanted)

    def _model(self) -> tuple[TextClassifier, list[int]]:
        from curation.models.opened import opened
        from curation.models.text_classes import load_text_classifier, outputs

        pointer: Any = self.model_name_or_path
        loaded = opened(("text classifier", pointer.identity()), lambda: load_text_classifier(pointer.local()))
        labels = self.labels or [label for label in loaded.labels if label.lower() in _TOXIC][:1]
        if not labels and len(loaded.labels) > 1:
            hint = f"name those that mean toxic, `labels: [...]`; it has {', '.join(loaded.labels[:20])}"
            raise UserError(f"{loaded.name} has no label that is called toxic", hint=hint)
        return loaded, outputs(loaded, labels) if labels else [0]
