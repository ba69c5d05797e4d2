"""What a chat's page wrote goes, and the same words in somebody's text stay."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.conversation import Answer, Candidates, Conversation, Message, Preference
from curation.engines.batch import Batch, through
from curation.frame import to_frame, to_rows
from curation.operators.sharegpt_noise import SharegptNoise

LIMIT = "Too many requests in 1 hour. Try again later."
WARNING = (
    "This content may violate our content policy. If you believe this to be in error, please submit your feedback — "
    "your input will aid our research in this area."
)


def chat(*texts: str, first: str = "user") -> Conversation:
    roles = ("user", "assistant") * len(texts) if first == "user" else ("assistant", "user") * len(texts)
    return Conversation(messages=tuple(Message(r, t) for r, t in zip(roles, texts, strict=False)))


def asked(text: str) -> str:
    return SharegptNoise().map(chat(text, "Fine."))[0].messages[0].content  # type: ignore[no-any-return]


def answered(text: str, **settings: Any) -> str:
    return SharegptNoise(**settings).map(chat("q", text))[0].reply  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("So:\n```\npython\nCopy code\nx = 1\n```\nDone.", "So:\n```python\nx = 1\n```\nDone."),
        ("```python\nCopy code\nx = 1\n\ny = 2\n```", "```python\nx = 1\n\ny = 2\n```"),
        ("```python\npython\nCopy code\nx\n```", "```python\nx\n```"),
        ("```\npythonCopy code\n  x = 1\n```", "```python\n  x = 1\n```"),
        ("```\nbashCopy code`npm install`\n```", "```bash\nnpm install\n```"),
        ("```\nc++Copy codeint main();\n```", "```c++\nint main();\n```"),
        ("```\nCopy code\nx = 1\n```", "```\nx = 1\n```"),
        ("   ```\n   yaml\n   Copy code\n   a: 1\n   ```", "   ```yaml\n   a: 1\n   ```"),
        ("~~~\nsql\nCopy code\nselect 1\n~~~", "~~~sql\nselect 1\n~~~"),
        ("```\njs\nCopy code\na\n```\nand\n```\ncss\nCopy code\nb\n```", "```js\na\n```\nand\n```css\nb\n```"),
        ("```\npython\nCopy code\nx = 1", "```python\nx = 1"),  # cut off
        ("A:\n\nyaml\nCopy code\nopenapi: 3.0.0", "A:\n\nopenapi: 3.0.0"),
        ("A:\npythonCopy code\nx = 1", "A:\nx = 1"),
        ("```\npython\nCopier le code\nx = 1\n```", "```python\nx = 1\n```"),
        ("```\npython\n复制代码\nx = 1\n```", "```python\nx = 1\n```"),
        ("```\npython\nSao chép mã\nx = 1\n```", "```python\nx = 1\n```"),
        ("```\npython\nコードをコピーする\nx = 1\n```", "```python\nx = 1\n```"),
        ("```\npython\nCopy\nEdit\nx = 1\n```", "```python\nx = 1\n```"),
    ],
)
def test_the_button_of_a_code_block_goes_and_its_language_stays(before: str, after: str) -> None:
    assert answered(before) == asked(before) == after == answered(after)


@pytest.mark.parametrize(
    "text",
    [
        "Click on “Copy code” to copy the code.",
        "Copy code",
        "python\nCopy code",
        "Buttons:\nCopy code\nEdit",
        "The `Dockerfile` has an unnecessary `sqlCopy code` line. Remove that line.",
        "```html\n<button>Copy code</button>\n```",
        "```\nCopy code\n```",  # a block that shows the words
        "```python\nx = 1\n```\nCopy code from above and run it.",
        "```text\na\n```\n\nCopy code\n\n```text\nb\n```",
        "```python\nprint('a')\npython\nCopy code\n```",  # inside of a program
        "Copy the code:\n```\nCopy this file\n```",
    ],
)
def test_talk_about_that_button_stays(text: str) -> None:
    assert answered(text) == asked(text) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Add a joke at the end\n2 / 2", "Add a joke at the end"),
        ("how the group remembered him.\n\n9 / 9\n", "how the group remembered him."),
        ("Thêm một câu đùa\n3 / 3", "Thêm một câu đùa"),
        ("Simplify this fraction\n2 / 4", None),
        ("How much is\n1 / 1", None),
        ("How much is:\n2 / 2", None),
        ("2 / 2", None),
        ("Score 2 / 2", None),
        ("The date:\n12/12", None),
        ("on the last line\n2/2", None),  # pages put spaces around it
        ("2 / 2\nis one", None),
    ],
)
def test_the_mark_of_a_page_goes_and_fractions_stay(before: str, after: str | None) -> None:
    assert asked(before) == answered(before) == (before if after is None else after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("I already have a thesis statementShare Prompt", "I already have a thesis statement"),
        ("source 2\nShare Prompt", "source 2"),
        ("What does the button do? It says Share Prompt", None),
        ("Share Prompt", None),
        ("Share Prompt is what it says", None),
        (f"Can you tell who wrote this?{WARNING}", "Can you tell who wrote this?"),
        (f"He blushes\n{WARNING}", "He blushes"),
        (f"Can you tell?\n2 / 2\n{WARNING}", "Can you tell?"),
        (f"Why does it say “{WARNING}”?", None),
        (WARNING, None),
        ("Regenerate response", None),  # a user may say so
    ],
)
def test_what_the_page_wrote_into_a_question_goes(before: str, after: str | None) -> None:
    assert asked(before) == (before if after is None else after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("It is 4.\n\nRegenerate response", "It is 4."),
        ("It is 4.\nStop generating\n", "It is 4."),
        ("It is 4.\nRegenerate response\nChatGPT may produce inaccurate information", "It is 4."),
        ("It is 4.\nChatGPT can make mistakes. Check important info.", "It is 4."),
        ("It is 4.\nCopy123 chars / 21 words", "It is 4."),
        ("It is 4.\n\nnetwork error", "It is 4."),
        ("It is 4.\n\nThere was an error generating a response", "It is 4."),
        ("It is 4.\n\nRegenerate response\n2 / 2", "It is 4."),
        ("Press “Regenerate response”.", None),
        ("The button below is called:\nRegenerate response", None),
        ("Regenerate response", None),
        ("The log said:\n\nnetwork error", None),
        ("It may be a\nnetwork error", None),
        ("Note that ChatGPT can make mistakes. Check important info.", None),
        ('Return 429 with "Too many requests in 1 hour. Try again later."', None),
    ],
)  # fmt: skip
def test_what_stands_below_an_answer_goes(before: str, after: str | None) -> None:
    assert answered(before) == (before if after is None else after)


def run(rows: list[Any], **settings: Any) -> tuple[list[Any], Any, Batch]:
    batch = through(Batch(to_frame(rows, type(rows[0]))), [SharegptNoise(**settings)])
    assert batch.entries[0].problem() is None
    return to_rows(batch.frame), batch.entries[0], batch


@pytest.mark.parametrize(
    "error",
    [
        LIMIT,
        f"  {LIMIT}\n",
        "network error",
        "network error\n\nOnly one message at a time. Please allow any other responses to complete before sending "
        "another message, or wait one minute.",
        "There was an error generating a response",
        "Something went wrong. If this issue persists please contact us through our help center at help.openai.com.",
        "You've reached the current usage cap for GPT-4. You can continue with the default model now, or try again "
        "after 3:00 PM.",
        "Error in message stream",
    ],
)
def test_an_error_goes_with_its_question_and_the_chat_goes_on(error: str) -> None:
    rows, entry, _ = run([chat("one", "1", "two", error, "two?", "2"), chat("one", "1", "two", error)])
    assert rows == [chat("one", "1", "two?", "2"), chat("one", "1")]
    assert (entry.kept, entry.edited) == (2, 2)
    rows, entry, batch = run([chat("one", error), chat("one", error, "two")])
    assert (rows, entry.dropped) == ([], {"error_reply": 2})
    assert batch.dropped[0]["evidence"].to_list() == [error.strip()] * 2
    rows, entry, _ = run([chat("one", error)], errors=False)
    assert rows == [chat("one", error)] and entry.edited == 0


@pytest.mark.parametrize(
    "text",
    [
        f"{LIMIT} means that you sent too many.",
        "A network error occurs when a machine cannot be reached.",
        "Lỗi mạng: network error",
        "Error in message streams are rare.",
    ],
)
def test_an_answer_about_errors_stays(text: str) -> None:
    assert run([chat("one", text)])[0] == [chat("one", text)]


def test_a_user_may_quote_an_error() -> None:
    assert run([chat(LIMIT, "Wait an hour.")])[0] == [chat(LIMIT, "Wait an hour.")]


def test_a_pair_or_a_candidate_that_is_an_error_goes() -> None:
    ask = (Message("user", "q"),)

    def pair(chosen: str) -> Preference:
        return Preference(prompt=ask, chosen=(Message("assistant", chosen),), rejected=(Message("assistant", "b"),))

    batch = through(
        Batch(to_frame([pair("a\nRegenerate response"), pair(LIMIT)], Preference)), [SharegptNoise(on="chosen")]
    )
    assert to_rows(batch.frame) == [pair("a")]
    assert batch.entries[0].dropped == {"error_reply": 1}
    row = Candidates(prompt=ask, answers=(Answer("a"), Answer(LIMIT)))
    batch = through(Batch(to_frame([row], Candidates)), [SharegptNoise(on="reply")])
    assert to_rows(batch.frame) == [row.with_(answers=(Answer("a"),))]


PIECES = st.sampled_from(
    ["```", "```python", "python", "Copy code", "`", "2 / 2", "x = 1", "", "Regenerate response", "network error",
     LIMIT, "~~~", "Share Prompt", WARNING, "đây là", "Copy\nEdit"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=7).map("\n".join), min_size=2, max_size=6))
def test_no_text_disappears_and_the_frame_path_is_the_row_path(texts: list[str]) -> None:
    row = chat(*texts)
    made = SharegptNoise().map_frame(to_frame([row, chat("a", "b")], Conversation))
    assert to_rows(made)[0] == SharegptNoise().map(row)[0]
    untouched = SharegptNoise(errors=False).map(row)[0]
    for before, after in zip(row.messages, untouched.messages, strict=True):
        assert bool(after.content.strip()) == bool(before.content.strip())
        words = [w for w in before.content.split() if w in ("x", "đây", "là", "=", "1")]
        assert [w for w in after.content.split() if w in ("x", "đây", "là", "=", "1")] == words


def test_texts_without_noise_are_not_touched() -> None:
    frame = to_frame([chat("Xin chào", "你好"), Conversation(messages=())], Conversation)
    made = SharegptNoise().map_frame(frame)
    assert made.equals(frame)
    assert SharegptNoise().map_frame(to_frame([], Conversation)).is_empty()
    assert SharegptNoise().reasons(frame).equals(pl.Series("reason", [None, None], dtype=pl.String))
