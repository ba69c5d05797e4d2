"""Whether the roles of a chat follow each other as training needs them.

A good chat is an optional system message, then user and assistant in turn; an assistant may call tools, whose results
follow it. The roles are written as one letter each (`suaua`), so that every rule is a pattern over that word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from curation.operator import Filter

if TYPE_CHECKING:
    import polars as pl

_LETTERS = {"system": "s", "user": "u", "assistant": "a", "tool": "t"}

# (reason, pattern over the letters), tried in this order; `?` stands for a role that there is not.
_RULES = (
    ("no_messages", r"^s*$"),
    ("unknown_role", r"\?"),
    ("late_system", r".s"),
    ("first_not_user", r"^(?:s[^u]|[^su])"),
    ("stray_tool", r"[us]t|tu"),
    ("repeated_role", r"uu|aa"),
)


class Roles(Filter):
    """Drops chats whose roles are out of order, and chats with an empty message.

    Reasons, the first that applies: `no_messages`, `unknown_role`, `late_system` (a system message that is not the
    first), `first_not_user`, `stray_tool` (a tool result that no assistant asked for, or that none takes up),
    `repeated_role`, `last_not_assistant` or `last_not_user`, `empty_message` (an assistant that only calls tools is
    not empty).
    """

    op: Literal["roles"] = "roles"
    last: Literal["assistant", "user", "any"] | None = None
    """Who must have the last word. None: the assistant, and the user where `on: prompt`."""

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        message = pl.element().struct
        letters = pl.col("messages").list.eval(message.field("role").replace_strict(_LETTERS, default="?"))
        empty = (message.field("content").str.strip_chars() == "") & message.field("extra").is_null()
        word = pl.col("word")
        made = frame.select(
            letters.list.join("").alias("word"), pl.col("messages").list.eval(empty).list.any().alias("empty")
        )
        reason = pl.coalesce(
            *(pl.when(word.str.contains(pattern)).then(pl.lit(name)) for name, pattern in _RULES),
            *self._ending(word),
            pl.when("empty").then(pl.lit("empty_message")),
        )
        return made.select(reason.alias("reason"))["reason"]

    def _ending(self, word: pl.Expr) -> list[pl.Expr]:
        import polars as pl

        last = self.last or ("user" if self.on == "prompt" else "assistant")
        if last == "any":
            return []
        wrong = word.str.ends_with(_LETTERS[last]).not_()
        return [pl.when(wrong).then(pl.lit(f"last_not_{last}"))]
