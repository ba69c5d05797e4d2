"""What people are shown is whole and inert: by other parsers than ours there is no tag, picture or script in it."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from curation.conversation import Message
from curation.labeling.showing import BREAK, cell, inert, readable, restored, transcript


class Tags(HTMLParser):
    """Every tag with its attributes, and whatever else is no text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment", {}))

    def handle_decl(self, decl: str) -> None:
        self.found.append(("declaration", {}))

    def handle_pi(self, data: str) -> None:
        self.found.append(("instruction", {}))


DRAWN = {"p", "em", "strong", "code", "pre", "ul", "ol", "li", "blockquote", "hr", "br", "a"} | {
    f"h{n}" for n in range(1, 7)
}
"""Tags that Markdown alone makes."""


def check(text: str) -> None:
    safe = inert(text)
    assert safe.replace(BREAK, "") == text.replace("\x00", "\u2400").replace(BREAK, ""), "people read the same text"
    assert Tags(safe).found == []
    for tag, attributes in Tags(MarkdownIt("commonmark", {"html": True}).render(safe)).found:
        assert tag in DRAWN, (tag, safe)
        assert set(attributes) <= {"href", "title", "class", "start"}
        if tag == "a":
            # markdown-it writes the space of no width as %E2%80%8B: a path beside the page, and no scheme.
            assert str(attributes["href"]).lower().startswith(("http://", "https://", "#", "%e2%80%8b")), attributes


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "a <!-- comment --> <!DOCTYPE html> <?php x ?> </p>",
        "[x](javascript:alert(1)) [y]( JaVaScRiPt:alert(1)) [z](<javascript:alert(1)>)",
        "[x](java&#115;cript:alert(1))",
        "[x]\n\n[x]: javascript:alert(1)",
        "[x][y]\n\n[y]:\njavascript:alert(1)",
        "![](http://tracker.example/x.png) ![a][b]\n\n[b]: http://tracker.example/y.png",
        "<javascript:alert(1)> <a@b.example>",
        "[x](data:text/html,<script>alert(1)</script>)",
        "[docs](https://example.org/a) and [here](#part)",
        "```\n<b>code</b>\n``` `<i>` 1 < 2 > 0 & a<b",
        "<<script>alert(1)</script>",
        "<\x00script>alert(1)</script>",
        "<\u200bscript>",
    ],
)
def test_nothing_in_a_text_is_drawn_but_markdown(text: str) -> None:
    check(text)


PIECES = [
    "<",
    ">",
    "!",
    "[",
    "]",
    "(",
    ")",
    ":",
    "/",
    "?",
    "script",
    "javascript:",
    "http://x",
    " ",
    "\n",
    "`",
    "a",
    "\x00",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_no_mixture_of_what_is_dangerous_is_drawn(text: str) -> None:
    check(text)


def test_links_to_the_web_and_comparisons_stay_as_they_are() -> None:
    for text in ("[docs](https://example.org/a)", "1 < 2", "a <- b", "x<3", "if (a<=b)"):
        assert inert(text) == text


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=30))
def test_a_cell_that_is_copied_is_the_text_again(text: str) -> None:
    assert restored(cell(text)) == text or text.startswith("'")


def test_an_answer_that_only_calls_a_tool_is_shown_by_its_call() -> None:
    call = '{"tool_calls":[{"function":{"arguments":"{\\"a\\":1}","name":"add"},"id":"1","type":"function"}]}'
    assert readable(Message("assistant", "", call)) == '[calls] {"arguments": "{\\"a\\":1}", "name": "add"}'
    assert readable(Message("assistant", "Wait.", call)).startswith("Wait.\n\n[calls] ")
    assert transcript([Message("user", "Hi"), Message("assistant", "Hello")]) == "[user]\nHi\n\n[assistant]\nHello"
