"""Messages that are HTML, written as Markdown: what an export of a rendered chat holds becomes what the model wrote.

Exports such as ShareGPT's keep an answer as the page showed it (`<div class="markdown"><p>...`). Such a message is
markup from its first character to its last, and its tags are those of prose: paragraphs, lists, tables, code blocks.
An answer that talks about tags, has them in a fence, or is a program for a page (`<html>`, forms, templates, tags on
lines of their own) is no such message, and stays to the character.

The conversion is html-to-markdown's. What is decided here is which messages it sees, how a code block gets its
language, that formulas come back as TeX, and that a conversion which loses text is not used.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from curation.operator import Mapper
from curation.operators.rewriting import rewritten, where

if TYPE_CHECKING:
    import polars as pl

_BLOCKS = "p|div|section|article|blockquote|ul|ol|h[1-6]|table|pre|figure|hr|details"
_STARTS = rf"(?is)\A\s*<(?:{_BLOCKS})\b[^<]*>.*>\s*$"
"""A message without a match is not HTML as a whole (in the syntax that Rust and Python share)."""
_PAGE = re.compile(
    r"<(?:!doctype|html|head|body|meta|link|base|form|input|select|textarea|template|iframe|canvas|"
    r"main|nav|header|footer)\b"
    r"|<[a-z]+-[a-z-]+[\s>]|<[A-Z][a-z]+\w*[\s/>]|className=|\son[a-z]+=|\sv-\w+=|\{\{|\{%|<%|<\?|^[ \t]*(?:```|~~~)",
    re.MULTILINE,
)
"""Programs for pages: what a rendered answer has not. Components are written with a capital letter or a hyphen."""
_INDENTED = re.compile(r"\n[ \t]+</?(?:div|p|ul|ol|li|h[1-6]|table|tr|td|section|span|a|img|button|script|style)\b")
_CODE = re.compile(r"<pre\b.*?</pre\s*>", re.IGNORECASE | re.DOTALL)
_UNSEEN = ("script", "style", "template", "noscript", "button", "svg")
"""Elements whose text is not that of the page."""


class HtmlToMarkdown(Mapper):
    """Writes messages that are HTML as Markdown: lists, tables, links, code blocks with their language, TeX.

    Scripts, styles and buttons go; entities become characters. A message that is not HTML from its first character to
    its last, or that is the source of a page, stays as it is.
    """

    op: Literal["html_to_markdown"] = "html_to_markdown"
    roles: tuple[Literal["system", "user", "assistant", "tool"], ...] = ("assistant",)
    """Whose messages are looked at. What users paste is source more often than it is an answer that was rendered."""

    def map_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        return rewritten(frame, lambda texts: where(texts, _STARTS, converted), frozenset(self.roles))


def converted(text: str) -> str:
    """The message as Markdown if it is HTML, else as it is."""
    if not is_html(text):
        return text
    import html_to_markdown

    source = _prepared(text)
    try:
        made: str = html_to_markdown.convert(source, _options()).content or ""
    except html_to_markdown.ConversionError:
        return text  # it stays as it was, for filters to judge
    made = made.strip()
    # Markup that nobody could have meant (thousands of levels, say) can swallow text. Formulas are in there twice.
    return made if made and _letters(made) >= 0.4 * _letters(visible(source)) else text


def is_html(text: str) -> bool:
    """Whether a message that begins and ends with a tag is an answer as a page showed it."""
    if not re.match(_STARTS, text):
        return False
    outside = _each_block(text, lambda _: "<pre></pre>")
    return not _PAGE.search(outside) and len(_INDENTED.findall(outside)) < 2 and bool(visible(text).strip())


def visible(source: str) -> str:
    """About what a browser would show of it, as one text."""
    for name in _UNSEEN:
        if f"</{name}" in source:  # else a search for the end of each would go through the whole text
            source = re.sub(rf"(?is)<{name}\b.*?</{name}\s*>", " ", source)
    source = re.sub(r"(?s)<!--.*?-->", " ", source) if "-->" in source else source
    return html.unescape(re.sub(r"<[^<>]*>", " ", source))


def _letters(text: str) -> int:
    return sum(c.isalnum() for c in text)


def _prepared(text: str) -> str:
    """The HTML with code blocks that begin with their code, formulas as TeX, and raised text that stays apart."""
    text = _each_block(text, _block)
    text = re.sub(r"<span class=[\"']katex-mathml[\"'].*?</math>\s*</span>", _formula, text, flags=re.DOTALL)
    return re.sub(r"<(su[pb])>([\w+-]{1,6})</\1>", lambda m: ("^" if m[1] == "sup" else "_") + m[2], text)


def _each_block(text: str, edit: Callable[[str], str]) -> str:
    """The HTML with its blocks of code edited."""
    end = text.rfind("</pre") + 1
    return _CODE.sub(lambda found: edit(found[0]), text[: end + 8]) + text[end + 8 :] if end else text


def _block(pre: str) -> str:
    """A code block without the line above the code, where pages show the language and buttons."""
    found = re.fullmatch(r"(<pre\b[^>]*>)(.*?)<code\b([^>]*)>(.*?)</code\s*>.*", pre, re.IGNORECASE | re.DOTALL)
    if not found:
        return pre
    opening, above, attributes, code = found.groups()
    label = visible(above).strip()
    if "language-" not in attributes and re.fullmatch(r"[\w+#.-]{1,20}", label):
        attributes = f' class="language-{html.escape(label)}"'
    return f"{opening}<code{attributes}>{code}</code></pre>"


def _formula(found: re.Match[str]) -> str:
    tex = re.search(r"<annotation\b[^>]*>(.*?)</annotation>", found[0], re.DOTALL)
    return f"${tex[1].strip()}$" if tex else found[0]


@cache
def _options() -> Any:
    from html_to_markdown import ConversionOptions, InlineDataMedia, PreprocessingOptions

    return ConversionOptions(
        extract_metadata=False,
        exclude_selectors=["button", ".katex-html"],
        inline_data_media=InlineDataMedia.ALT_TEXT_ONLY,
        compact_tables=True,
        br_in_tables=True,
        preprocessing=PreprocessingOptions(enabled=False),
    )
