"""What operators mean by text, words and characters, as Polars expressions.

**Words** follow the rules of Unicode's word segmentation (UAX 29) as far as one regular expression can: a run of
letters, marks and digits is a word, apostrophes and full stops inside it included (`can't`, `32.3`). Scripts that put
no spaces between words (Chinese characters, hiragana, Thai, Lao, Khmer, Burmese) count one word a letter; katakana
and hangul form runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import polars as pl

Of = Literal["last", "chat"]

_SINGLE = r"\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_FIRST = rf"[[\p{{L}}\p{{N}}_]--[{_SINGLE}]]"
_REST = rf"[[\p{{L}}\p{{M}}\p{{N}}_]--[{_SINGLE}]]"
WORD = rf"[{_SINGLE}&&[\p{{L}}\p{{N}}]]|{_FIRST}{_REST}*(?:['’.]{_REST}+|,\p{{Nd}}+)*"
"""One word, in the syntax of Rust's regex crate."""


def contents(of: Of = "chat") -> pl.Expr:
    """The texts of a conversation: a list of one (`last`: the last message, whoever wrote it) or of all messages."""
    import polars as pl

    texts = pl.col("messages").list.eval(pl.element().struct.field("content"))
    return texts.list.tail(1) if of == "last" else texts


def words(texts: pl.Expr) -> pl.Expr:
    """How many words a list of texts has."""
    import polars as pl

    return texts.list.eval(pl.element().str.count_matches(WORD)).list.sum()


def chars(texts: pl.Expr) -> pl.Expr:
    """How many characters (Unicode code points) a list of texts has."""
    import polars as pl

    return texts.list.eval(pl.element().str.len_chars()).list.sum()


def reply() -> pl.Expr:
    """Text of the last message if the assistant wrote it, else the empty string."""
    import polars as pl

    last = pl.col("messages").list.last().struct
    return pl.when(last.field("role") == "assistant").then(last.field("content")).otherwise(pl.lit("")).fill_null("")


def count_words(texts: Sequence[str]) -> list[int]:
    """How many words each text has."""
    import polars as pl

    return pl.Series("text", texts, dtype=pl.String).str.count_matches(WORD).to_list()


def squeezed(text: pl.Expr) -> pl.Expr:
    """NFC, every run of white space one space, none at the ends: for comparing texts by what they say."""
    return text.str.normalize("NFC").str.replace_all(r"\s+", " ").str.strip_chars()


def squeezed_chat(column: str) -> pl.Expr:
    """A column of messages or answers as one text: roles, squeezed contents and extras, framed."""
    import polars as pl

    from curation.frame import netstring

    message = pl.element().struct
    fields = [squeezed(message.field("content")), message.field("extra")]
    if column != "answers":
        fields.insert(0, message.field("role"))
    framed = pl.concat_str([netstring(f) for f in fields])
    return pl.col(column).list.eval(framed).list.join("").fill_null("")
