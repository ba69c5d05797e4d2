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
Who = Literal["answers", "chat", "last"]

_SINGLE = r"\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_FIRST = rf"[[\p{{L}}\p{{N}}_]--[{_SINGLE}]]"
_REST = rf"[[\p{{L}}\p{{M}}\p{{N}}_]--[{_SINGLE}]]"
WORD = rf"[{_SINGLE}&&[\p{{L}}\p{{N}}]]|{_FIRST}{_REST}*(?:['’.]{_REST}+|,\p{{Nd}}+)*"
"""One word, in the syntax of Rust's regex crate."""

MAY_COMPOSE = (
    r"\p{M}\p{M}|[\u{300}-\u{338}\u{5B4}-\u{5C2}\u{653}-\u{655}\u{93C}\u{9BC}-\u{9BE}\u{9D7}\u{A3C}\u{B3C}-\u{B57}"
    r"\u{BBE}\u{BD7}\u{C56}\u{CC2}-\u{CD6}\u{D3E}\u{D57}\u{DCA}-\u{DDF}\u{F71}-\u{FBC}\u{102E}\u{1B35}\u{3099}\u{309A}"
    r"\u{11000}-\u{119FF}\u{340}-\u{387}\u{958}-\u{95F}\u{9DC}-\u{9DF}\u{A33}-\u{A5E}\u{B5C}\u{B5D}\u{F43}-\u{F69}\u{1100}-\u{11FF}"
    r"\u{1F00}-\u{1FFF}\u{2000}\u{2001}\u{2126}\u{212A}\u{212B}\u{2329}\u{232A}\u{2ADC}\u{F900}-\u{FAFF}"
    r"\u{FB1D}-\u{FB4F}\u{1D15E}-\u{1D1C0}\u{2F800}-\u{2FA1D}]"
)
"""Every character that composing Unicode could touch, some more, and marks side by side, whose order it may change.

A text without any is composed already. In Hindi, Thai and Arabic most marks stand alone: such texts are not touched.
"""


def contents(of: Of = "chat") -> pl.Expr:
    """The texts of a conversation: a list of one (`last`: the last message, whoever wrote it) or of all messages."""
    import polars as pl

    texts = pl.col("messages").list.eval(pl.element().struct.field("content"))
    return texts.list.tail(1) if of == "last" else texts


def said(frame: pl.DataFrame, who: Who = "chat") -> pl.DataFrame:
    """One message a line: `row` (index of its chat), `role`, `text` and `extra`, in order.

    Args:
        who: `chat` is all messages, `answers` those of the assistant, `last` the last one, whoever wrote it.
    """
    import polars as pl

    chosen = pl.col("messages").list.tail(1) if who == "last" else pl.col("messages")
    flat = frame.select(chosen.alias("message")).with_row_index("row").explode("message", empty_as_null=False)
    message = pl.col("message").struct
    fields = (message.field("role"), message.field("content").alias("text"), message.field("extra"))
    lines = flat.select("row", *fields)
    return lines.filter(pl.col("role") == "assistant") if who == "answers" else lines


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


def composed(texts: pl.Series) -> pl.Series:
    """The texts in NFC. Composing is slow, so only those that may need it go through it."""
    places = texts.str.contains(MAY_COMPOSE).arg_true()
    if not len(places):
        return texts
    return texts.clone().scatter(places, texts.gather(places).str.normalize("NFC"))


def squeezed(text: pl.Expr) -> pl.Expr:
    """NFC, every run of white space one space, none at the ends: for comparing texts by what they say."""
    import polars as pl

    one_space = text.str.replace_all(r"[^\S ]\s*| \s+", " ").str.strip_chars()  # leaves single spaces alone
    return one_space.map_batches(composed, return_dtype=pl.String, is_elementwise=True)


def squeezed_chat(column: str) -> pl.Expr:
    """A column of messages or answers as one text: roles, squeezed contents and extras, framed."""
    import polars as pl

    from curation.frame import netstring

    message = pl.element().struct
    names = ["content", "extra"] if column == "answers" else ["role", "content", "extra"]
    # In two steps: within one, what netstring() names twice would be computed twice.
    tidy = pl.struct(squeezed(message.field(n)).alias(n) if n == "content" else message.field(n) for n in names)
    framed = netstring(*(message.field(n) for n in names))
    return pl.col(column).list.eval(tidy).list.eval(framed).list.join("").fill_null("")
