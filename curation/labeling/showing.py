"""How texts are shown to people: whole, readable, and with nothing in them that a page or a spreadsheet would run."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from curation.conversation import Message

BREAK = "\u200b"
"""A space of no width: invisible, and what stands behind it is no tag, no address and no formula any more."""
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_IMAGE = re.compile(r"!(?=\[)")
_LINK = re.compile(r"(\](?:\(|:)\s*<?)(?!\s|<|https?://|#)", re.IGNORECASE)


def readable(message: Message) -> str:
    """The text of a message, and the calls of tools in it, which are all that some answers consist of."""
    extra = json.loads(message.extra) if message.extra else {}
    calls = extra.get("tool_calls") or ()
    lines = [json.dumps(call.get("function", call), ensure_ascii=False, sort_keys=True) for call in calls]
    return "\n\n".join(filter(None, [message.content, *(f"[calls] {line}" for line in lines)]))


def transcript(messages: Sequence[Message]) -> str:
    """Messages as people read them: the text alone of one turn of a user or an assistant, else each with its role."""
    if len(messages) == 1 and messages[0].role in ("user", "assistant"):
        return readable(messages[0])
    return "\n\n".join(f"[{m.role}]\n{readable(m)}" for m in messages)


def inert(text: str) -> str:
    """Markdown that draws no tag, loads no picture and leads nowhere but to the web.

    Argilla renders chats as Markdown, raw HTML included, and leaves it to a sanitizer in the page to take out what
    runs. A tag is one only while `<` is followed by a letter, `/`, `!` or `?` (HTML Living Standard, 13.2.5.6), so a
    space of no width behind it makes text of it, in code too, where `&lt;` would be shown as such.
    """
    text = _TAG.sub("<" + BREAK, text.replace("\x00", "\u2400"))
    return _LINK.sub(r"\1" + BREAK, _IMAGE.sub("!" + BREAK, text))


def cell(text: str) -> str:
    """Text that a spreadsheet shows as it is: it takes what begins like this for a formula and may run it."""
    return "'" + text if text.lstrip()[:1] in ("=", "+", "-", "@") and text.strip() else text


def restored(text: str) -> str:
    """The reverse of `cell`, for text that a person copied from one cell and worked on in another."""
    return text[1:] if text[:1] == "'" and cell(text[1:]) != text[1:] else text
