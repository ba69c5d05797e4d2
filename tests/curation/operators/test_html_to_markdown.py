"""Answers as a page showed them become Markdown, and whoever talks about tags is left alone."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.conversation import Answer, Candidates, Conversation, Message
from curation.engines.batch import Batch, through
from curation.frame import to_frame, to_rows
from curation.operators.html_to_markdown import HtmlToMarkdown, converted

WRAPPED = '<div class="markdown prose w-full break-words dark:prose-invert dark">{}</div>'
CODE = "def f(x):\n    return   x &lt; 3 &amp;&amp; y\n\n\n    # two empty lines above\n"
PLAIN = html.unescape(CODE)


def block(above: str, attributes: str = ' class="!whitespace-pre-wrap hljs"', code: str = CODE) -> str:
    return f'<pre><div class="bg-black">{above}<div class="p-4"><code{attributes}>{code}</code></div></div></pre>'


@pytest.mark.parametrize(
    ("source", "markdown"),
    [
        ("<p>Hello <strong>world</strong> and <em>you</em></p>", "Hello **world** and *you*"),
        (WRAPPED.format("<p>One.</p><p>Two.</p>"), "One.\n\nTwo."),
        ("<p>a &amp; b &lt; c&nbsp;&gt; d &quot;e&quot; &#39;f&#39; &#x4f60;&#22909; &eacute;</p>",
         "a & b < c > d \"e\" 'f' 你好 é"),
        ("<h2>Title</h2><p>Text</p>", "## Title\n\nText"),
        ("<ol><li>one</li><li>two<ul><li>a</li><li>b</li></ul></li></ol>", "1. one\n2. two\n   - a\n   - b"),
        ('<ol start="3"><li>c</li></ol>', "3. c"),
        ("<table><thead><tr><th>A</th><th>B</th></tr></thead><tbody><tr><td>1</td><td>x|y</td></tr></tbody></table>",
         "| A | B |\n| --- | --- |\n| 1 | x\\|y |"),
        ("<blockquote><p>quoted</p></blockquote>", "> quoted"),
        ('<p>See <a href="https://example.org/a?b=1&amp;c=2">here</a>.</p>', "See [here](https://example.org/a?b=1&c=2)."),
        ("<p>Use <code>&lt;b&gt;</code>, not &lt;i&gt;.</p>", "Use `<b>`, not <i>."),
        ("<p>snake_case and 2 * 3 * 4</p>", "snake_case and 2 * 3 * 4"),
        ("<p>x<sup>2</sup> and H<sub>2</sub>O</p>", "x^2 and H_2O"),
        ("<p>Xin chào các bạn</p><p>مرحبا</p><p>你好，世界</p>", "Xin chào các bạn\n\nمرحبا\n\n你好，世界"),
        ("<p>a</p><script>alert(1)</script><style>p { color: red }</style><p>b</p>", "a\n\nb"),
        ("<p>a</p><!-- b --><p>c</p>", "a\n\nc"),
        ("<p>a</p>\n<ul>\n<li>b</li>\n<li>c</li>\n</ul>\n", "a\n\n- b\n- c"),  # as Markdown renderers write it
        ("<p>not closed<p>at all<br>", "not closed\n\nat all"),
    ],
)  # fmt: skip
def test_an_answer_as_the_page_showed_it_becomes_markdown(source: str, markdown: str) -> None:
    assert converted(source) == markdown == converted(markdown)


@pytest.mark.parametrize(
    ("source", "language"),
    [
        (f'<pre><code class="language-python">{CODE}</code></pre>', "python"),
        (f'<pre><code class="hljs language-c++">{CODE}</code></pre>', "c++"),
        (f"<pre><code>{CODE}</code></pre>", ""),
        (block("<div><span>python</span><button><svg><path/></svg>Copy code</button></div>"), "python"),
        (block("<div><span>c#</span><button>Copy code</button></div>"), "c#"),
        (block("<div><span>scss</span><button>Copy</button></div>", ' class="hljs language-python"'), "python"),
        (block("<div><span>an example</span></div>"), ""),
    ],
)
def test_a_code_block_keeps_its_language_and_every_space(source: str, language: str) -> None:
    assert converted(WRAPPED.format(f"<p>So:</p>{source}<p>Done.</p>")) == f"So:\n\n```{language}\n{PLAIN}```\n\nDone."


def test_highlighted_code_is_code_and_a_fence_inside_of_it_closes_nothing() -> None:
    source = '<pre><code class="language-md"><span class="hljs-k">```</span>\n<span>x</span>\n```</code></pre>'
    assert converted(source) == "````md\n```\nx\n```\n````"


def test_a_page_that_is_shown_as_code_comes_out_as_code() -> None:
    page = '<!DOCTYPE html>\n<html>\n  <body onload="f()">{{ x }}</body>\n</html>'
    source = f'<p>So:</p><pre><code class="language-html">{html.escape(page)}</code></pre>'
    assert converted(source) == f"So:\n\n```html\n{page}\n```"


def test_formulas_come_back_as_tex() -> None:
    katex = (
        '<span class="katex"><span class="katex-mathml"><math><semantics><mrow><mi>a</mi><mi>b</mi></mrow>'
        '<annotation encoding="application/x-tex">\\frac{a}{b}</annotation></semantics></math></span>'
        '<span class="katex-html" aria-hidden="true"><span><span>a</span><span>b</span></span></span></span>'
    )
    assert converted(f"<p>It is {katex} here.</p>") == "It is $\\frac{a}{b}$ here."


@pytest.mark.parametrize(
    "text",
    [
        "Use <b>bold</b> sparingly.",
        "<p>This</p> is how you write it.",
        "The tag is <div>",
        "```html\n<p>a</p>\n```",
        "<div>\n```html\n<p>a</p>\n```\n</div>",
        "<!DOCTYPE html><html><body><p>a</p></body></html>",
        '<div class="a">\n  <p>one</p>\n  <p>two</p>\n</div>',
        '<div className="a"><p>one</p></div>',
        '<div><Button onClick={go} /></div>',
        '<div onclick="go()">one</div>',
        "<div><p>{{ user.name }}</p></div>",
        "<div><form><label>Name</label></form></div>",
        "<div><my-element>one</my-element></div>",
        "<p><?php echo 1; ?></p>",
        "<thinking>hm</thinking><p>a</p>",
        "x < y and y > z",
        "<p></p>",
        "<div><script>alert(1)</script></div>",
        "Đây là <div>",
        "",
    ],
)  # fmt: skip
def test_text_about_tags_and_source_of_pages_stay(text: str) -> None:
    assert converted(text) == text
    row = Conversation(messages=(Message("user", "q"), Message("assistant", text)))
    assert HtmlToMarkdown().map(row)[0] == row


def test_markup_that_swallows_text_leaves_it_as_it_was() -> None:
    deep = "<div>" * 3000 + "deep" + "</div>" * 3000
    assert converted(deep) == deep


def test_only_the_named_roles_are_looked_at_and_an_edit_is_counted() -> None:
    source = "<p>a</p>"
    row = Conversation(messages=(Message("user", source), Message("assistant", source, '{"name":"n"}')))
    batch = through(Batch(to_frame([row, row.with_(messages=row.messages[:1])], Conversation)), [HtmlToMarkdown()])
    assert sorted(m.content for r in to_rows(batch.frame) for m in r.messages) == [source, source, "a"]
    assert batch.entries[0].edited == 1
    both = HtmlToMarkdown(roles=("user", "assistant")).map(row)[0]
    assert both.messages == (Message("user", "a"), Message("assistant", "a", '{"name":"n"}'))


def test_answers_of_candidates() -> None:
    row = Candidates(prompt=(Message("user", "q"),), answers=(Answer("<p>a</p>"), Answer("b")))
    batch = through(Batch(to_frame([row], Candidates)), [HtmlToMarkdown(on="reply")])
    assert [a.content for a in to_rows(batch.frame)[0].answers] == ["a", "b"]


WORDS = st.text(st.sampled_from("abc đâyế你好 &<>_*`1.|\n"), min_size=1, max_size=12)
TAGS = st.sampled_from(["p", "div", "h2", "li", "td", "strong", "code", "pre", "blockquote", "ul", "span"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(TAGS, WORDS), min_size=1, max_size=5))
def test_no_letter_is_lost_whatever_the_tags(pieces: list[tuple[str, str]]) -> None:
    source = "<div>" + "".join(f"<{tag}>{html.escape(text)}</{tag}>" for tag, text in pieces) + "</div>"
    made = converted(source)
    if made != source:
        assert re.findall(r"[^\W_]", html.unescape(made)) == re.findall(r"[^\W_]", "".join(text for _, text in pieces))
