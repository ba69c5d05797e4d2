"""The system message of chats: given to those that have none, given to all, or taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from curation.artifact import InputFile
from curation.operator import Mapper
from curation.operators.whole_chats import WholeChats

if TYPE_CHECKING:
    import polars as pl


class SystemPrompt(WholeChats, Mapper):
    """Sets, replaces or removes the system message of chats, prompts of pairs and prompts of candidates.

    Whatever it does, a chat has at most one system message afterwards where it had one or none, and it stands first.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"conversations", "candidates", "preferences"})
    op: Literal["system_prompt"] = "system_prompt"
    action: Literal["add", "replace", "remove"] = "add"
    """`add` gives the text to chats that have no system message, `replace` to all of them in place of what they have,
    `remove` takes all system messages away."""
    text: str | None = None
    """What the message says."""
    file: InputFile | None = None
    """A file with that text, in place of `text`; white space at its ends does not count."""

    @model_validator(mode="after")
    def _one_text(self) -> Self:
        given = (self.text is not None) + (self.file is not None)
        if self.action == "remove" and given:
            raise PydanticCustomError("text", "action: remove takes neither `text` nor `file`")
        if self.action != "remove" and given != 1:
            raise PydanticCustomError("text", "system_prompt needs one of `text` and `file`, or `action: remove`")
        if self.text is not None and not self.text.strip():
            raise PydanticCustomError("text", "an empty system message says nothing; `action: remove` takes it away")
        return self

    def map_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        column = "messages" if "messages" in frame.columns else "prompt"
        chat, role = pl.col(column), pl.element().struct.field("role")
        others = chat.list.eval(pl.element().filter(role != "system"))
        if self.action == "remove":
            return frame.with_columns(others.alias(column))
        dtype = frame.schema[column]
        said = self.text if self.text is not None else self.file.text().strip()  # type: ignore[union-attr]
        message = pl.lit(pl.Series([[{"role": "system", "content": said, "extra": None}]], dtype=dtype))
        made = pl.concat_list(message, others)
        if self.action == "add":
            made = pl.when(chat.list.eval(role == "system").list.any()).then(chat).otherwise(made)
        return frame.with_columns(made.cast(dtype).alias(column))
