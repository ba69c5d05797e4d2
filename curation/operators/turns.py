"""How many turns a chat has. `turns` alone asks for a question and an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from curation.operator import Filter

if TYPE_CHECKING:
    import polars as pl


class Turns(Filter):
    """Keeps chats whose number of user and assistant messages lies in a range; system and tool messages do not count.

    Reasons: `too_few_turns`, `too_many_turns`.
    """

    op: Literal["turns"] = "turns"
    min: int = Field(2, ge=0)
    """Fewest messages of users and assistants together."""
    max: int | None = Field(None, ge=1)
    """Most of them; None: no bound."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max is not None and self.max < self.min:
            raise PydanticCustomError("range", "max is below min: no chat could stay")
        return self

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        role = pl.element().struct.field("role")
        turns = pl.col("messages").list.eval(role.is_in(["user", "assistant"])).list.sum()
        reason: Any = pl.when(turns < self.min).then(pl.lit("too_few_turns"))
        if self.max is not None:
            reason = reason.when(turns > self.max).then(pl.lit("too_many_turns"))
        return frame.select(reason.otherwise(pl.lit(None, dtype=pl.String)).alias("reason"))["reason"]
