"""Takes off what a chat has before its first question and behind its last answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from curation.operator import Filter, Mapper
from curation.operators.whole_chats import WholeChats

if TYPE_CHECKING:
    import polars as pl


class Trim(WholeChats, Mapper, Filter):
    """Cuts a chat down to what lies between its first question and its last answer; a system message stays in front.

    Exports begin with an answer where a chat was split, and end on a question that nobody answered. A chat without a
    question that is answered is dropped. Reasons: `no_exchange`.
    """

    op: Literal["trim"] = "trim"
    leading: bool = True
    """Whether everything before the first user message goes, system messages excepted."""
    trailing: bool = True
    """Whether everything behind the last assistant message goes. Turn it off for prompts that are to be answered."""

    def map_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        role = pl.element().struct.field("role")
        stays = pl.lit(True)
        if self.leading:
            stays = stays & ((role == "system") | ((role == "user").cum_sum() > 0))
        if self.trailing:
            stays = stays & ((role == "assistant").cum_sum(reverse=True) > 0)
        return frame.with_columns(pl.col("messages").list.eval(pl.element().filter(stays)))

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        roles = pl.col("messages").list.eval(pl.element().struct.field("role"))
        needed = [who for who, wanted in (("user", self.leading), ("assistant", self.trailing)) if wanted]
        whole = pl.all_horizontal(pl.lit(True), *(roles.list.contains(who) for who in needed))
        return frame.select(pl.when(~whole).then(pl.lit("no_exchange")).alias("reason"))["reason"]
