"""What scorers that look through a language model share: which model it is, and how it is opened.

One model is open at a time in a process, so scorers that name the same one load it once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import model_validator

from curation.artifact import Policy, Ref
from curation.errors import UserError
from curation.models.pointer import NamesModel, OutsideModel
from curation.models.settings import DType
from curation.operator import Scorer

if TYPE_CHECKING:
    from curation.conversation import Conversation
    from curation.models import Loaded


class ByPolicy(NamesModel, Scorer):
    """A scorer that asks a causal language model; in fixed chunks, through the score cache."""

    chunked: ClassVar[bool] = True

    policy: Ref[Policy] | None = None
    """The step that made the model; this or `model_name_or_path`."""
    model_name_or_path: OutsideModel | None = None
    """A model from outside: a folder, a .gguf file, or a name on the Hub."""
    model_revision: str | None = None
    """Commit, branch or tag of a model on the Hub; a full commit sha is looked up nowhere."""
    dtype: DType = "float32"
    """How finely the weights are kept."""

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if (self.policy is None) == (self.model_name_or_path is None):
            raise ValueError(f"`{self.op}` needs a model: `policy` (a step) or `model_name_or_path`, one of them")
        return self

    def prepare(self) -> None:
        self._model()

    def _model(self) -> Loaded:
        return open_policy(self.policy or self.model_name_or_path, self.dtype)


def open_policy(source: Any, dtype: str, *, chats: bool = True) -> Loaded:
    """The model behind a bound pointer, kept open for the next chunk.

    Args:
        chats: False: it need not have a chat template, because it is shown plain text.
    """
    from curation.models import load_model
    from curation.models.opened import opened

    key = ("policy", source.identity(), dtype, chats)
    return opened(key, lambda: load_model(source, dtype=dtype, merge=True, **({} if chats else {"chats": False})))


def tokenizer_folder(operator: Any) -> Path:
    """Where the tokenizer of the model lies that an operator names (`policy`, `model_name_or_path`); no weights come.

    Raises:
        UserError: it cannot be had, or it is a GGUF file, which only the step `base` reads.
    """
    outside: OutsideModel = operator.model_name_or_path
    folder: Path = operator.policy.folder if operator.policy else outside.local(weights=False)
    if folder.suffix == ".gguf":
        hint = "name the step that read the file, `policy: base`"
        raise UserError(f"{operator.op} cannot read a tokenizer from {folder.name}", hint=hint)
    return folder


def ends_on_answer(conversation: Conversation, op: str) -> Conversation:
    """The conversation, if it ends on an assistant turn.

    Raises:
        UserError: it does not, so there is no answer to score.
    """
    if not conversation.messages or conversation.messages[-1].role != "assistant":
        raise UserError(
            f"conversation {conversation.id} does not end on an answer, so `{op}` has nothing to score",
            hint="put `roles` before it",
        )
    return conversation


def unreadable(op: str, conversation: Conversation, why: str) -> UserError:
    """The error for a chat that cannot be written in a model's template."""
    return UserError(
        f"conversation {conversation.id} cannot be scored by `{op}`: {why}",
        hint="clean or drop such rows with an operator before this one",
    )
