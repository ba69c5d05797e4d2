"""Chats that came broken out of their export: nothing answered, nothing said, lists whose numbers were lost.

Vicuna's rule against wrong lists, and what else shows that a page was not read as it was written. Each rule is one
expression over single messages, and each can be left out. What the page wrote beside the text is
`sharegpt_noise`'s business, the order of roles that of `roles`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from pydantic import Field

from curation.operator import Filter
from curation.operators.text import said

if TYPE_CHECKING:
    import polars as pl

Check = Literal[
    "no_answer", "empty_message", "echo", "same_answer", "wrong_list", "plugin", "lost_letters", "open_fence"
]

_VISIBLE = r"[^\s\p{C}\x{115F}\x{1160}\x{2800}\x{3164}\x{FE0F}]"
"""A character that can be seen: no space, control or format character, filler, or sign that another follows."""
# An item numbered 1 whose next item is numbered 1 again; what is indented, and empty lines, belong to an item.
_WRONG_LIST = r"(?m)^1[.)] [^\n]*\n(?:[ \t]*\n|[ \t]+[^\n]*\n)*1[.)] "
_CITATION = r"【\d+(?::\d+)?†[^】\n]{0,60}】"
"""How browsing answers name the pages that they read."""
_ACTION = (
    r"(?m)^\s*(?:Finished browsing|Finished working|Browsing(?: the web)?(?:\.\.\.|…)|Searched (?:with Bing|the web)"
    r"|Reading content|Click(?:ed on| failed)(?::[^\n]{0,200})?|Scrolled down|Show work"
    r"|Used (?:unknown plugin|[A-Z][A-Za-z]{2,24}(?: [Pp]lugin)?))\s*$"
)
"""Lines that the page wrote for what a plug-in or the browser did, each alone on its line."""
_LONG = 32
"""Characters from which a text that comes again is no coincidence."""
_FENCE = r"(?m)^ {0,3}```[^`\n]*$"


class WrongFormat(Filter):
    """Drops chats that are broken.

    Reasons, the first that applies, each by its name in `checks`: `no_answer` (the assistant says nothing at all),
    `empty_message` (of user or assistant, with no visible character; one that only calls tools is not empty), `echo`
    (an answer is the question again), `same_answer` (two answers of a chat are the same), `wrong_list` (every item is
    number 1), `plugin` (marks of plug-ins and browsing), `lost_letters` (what a wrong decoding left: �), `open_fence`
    (a code block without end).
    """

    op: Literal["wrong_format"] = "wrong_format"
    checks: tuple[Check, ...] = Field(tuple(c for c in get_args(Check) if c != "open_fence"), min_length=1)
    """What is looked for. `open_fence` must be asked for: answers that were cut off in a code block have it, and so do
    some that were not. On prompts alone only `empty_message`, `wrong_list` and `lost_letters` are looked for."""

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        lines = said(frame).filter(pl.col("role").is_in(["user", "assistant"]))
        text, answer = pl.col("text"), pl.col("role") == "assistant"
        tidy = text.str.strip_chars()
        long, own = tidy.str.len_chars() >= _LONG, pl.col("row")
        asked = pl.when(pl.col("role").shift(1) == "user").then(tidy.shift(1)).over(own)
        found = {
            "empty_message": text.str.contains(_VISIBLE).not_() & pl.col("extra").is_null(),
            "echo": answer & long & (asked == tidy).fill_null(False),
            "same_answer": answer & long & pl.struct(own, "role", tidy).is_duplicated(),
            "wrong_list": text.str.contains(_WRONG_LIST),
            "plugin": answer & (text.str.contains(_CITATION) | text.str.contains(_ACTION)),
            "lost_letters": text.str.contains("�", literal=True),
            "open_fence": answer & (text.str.count_matches(_FENCE) % 2 == 1),
        }
        looked = [c for c in get_args(Check) if c in self.checks and (self.on != "prompt" or c in _OF_PROMPTS)]
        each = [found[c].any().alias(c) for c in looked if c in found]
        chats = lines.group_by("row").agg(answer.any().not_().alias("no_answer"), *each)
        rows = pl.int_range(len(frame), dtype=pl.UInt32, eager=True).alias("row").to_frame()
        chats = rows.join(chats, on="row", how="left", maintain_order="left")
        chats = chats.with_columns(pl.col("no_answer").fill_null(True))
        words = [pl.when(pl.col(c)).then(pl.lit(c)) for c in looked]
        return chats.select(pl.coalesce(*words, pl.lit(None, dtype=pl.String)).alias("reason"))["reason"]


_OF_PROMPTS = ("empty_message", "wrong_list", "lost_letters")
