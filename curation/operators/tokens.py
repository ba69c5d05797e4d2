"""`tokens`: how long a chat is for the model that it is meant for, in that model's own tokens.

Words say little about it: the same text takes one token a word in English and one a letter or more in a script that
the tokenizer hardly saw. What counts against `max_length` in training is the chat as the model's template writes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import PrivateAttr, model_validator

from curation.artifact import Policy, Ref
from curation.models.pointer import NamesModel, OutsideModel
from curation.operator import Scorer
from curation.operators.by_policy import tokenizer_folder, unreadable

if TYPE_CHECKING:
    import polars as pl

    from curation.conversation import Conversation


class Tokens(NamesModel, Scorer):
    """Counts tokens by a model's tokenizer. Only the tokenizer is read, never the weights."""

    asks_model: ClassVar[bool] = False
    op: Literal["tokens"] = "tokens"
    policy: Ref[Policy] | None = None
    """The step that made the model; this or `model_name_or_path`."""
    model_name_or_path: OutsideModel | None = None
    """A model from outside: a folder, a .gguf file, or a name on the Hub."""
    model_revision: str | None = None
    """Commit, branch or tag of a model on the Hub; a full commit sha is looked up nowhere."""
    of: Literal["chat", "last", "text"] = "chat"
    """`chat`: the whole chat as the model's template writes it, with roles and control tokens, which is what training
    sees. `text`: the contents of all messages alone. `last`: the content of the last message alone. Only the first
    needs a model with a chat template."""

    _tokenizer: Any = PrivateAttr(None)

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if (self.policy is None) == (self.model_name_or_path is None):
            raise ValueError("`tokens` needs a model: `policy` (a step) or `model_name_or_path`, one of them")
        return self

    def prepare(self) -> None:
        if self._tokenizer is None:
            from curation.models.loading import load_tokenizer

            self._tokenizer = load_tokenizer(tokenizer_folder(self))

    def score(self, conversations: list[Conversation]) -> list[float]:
        if self.of == "chat":
            return self._counts(self._written(conversations))
        texts = [[m.content for m in c.messages] for c in conversations]
        return self._totals(texts if self.of == "text" else [contents[-1:] for contents in texts])

    def score_frame(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        from curation.operators.text import contents

        if self.of == "chat":
            return super().score_frame(frame)
        texts = frame.select(contents("chat" if self.of == "text" else "last").alias("texts"))["texts"]
        return pl.Series("score", self._totals(texts.to_list()), dtype=pl.Float64)

    def _totals(self, texts: list[list[str]]) -> list[float]:
        """Of each list of texts, each counted by itself."""
        counts = iter(self._counts([text for some in texts for text in some]))
        return [float(sum(next(counts) for _ in some)) for some in texts]

    def _counts(self, texts: list[str]) -> list[float]:
        if not texts:
            return []
        self.prepare()
        return [float(len(ids)) for ids in self._tokenizer(texts, add_special_tokens=False)["input_ids"]]

    def _written(self, conversations: list[Conversation]) -> list[str]:
        from curation.models import ChatTemplate, Refused

        self.prepare()
        template, texts = ChatTemplate(self._tokenizer), []
        for conversation in conversations:
            try:
                texts.append(str(template.text(conversation.messages, conversation.tools)))
            except Refused as refusal:
                raise unreadable(self.op, conversation, refusal.why) from refusal
        return texts
