"""The pieces that records are made of: text, values, lists of messages. Every piece comes out clean or is refused.

Clean means: text is valid UTF-8 (a lone surrogate, which JSON can spell and no encoding can write, becomes U+FFFD),
values are plain JSON without NaN, roles are the four of `curation.conversation`. Nothing else is changed: spaces, empty
turns and odd orders are for operators to judge.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from curation.conversation import Message, canonical_json

MAX_DEPTH = 100
"""Levels of nesting in values that are kept as JSON."""

ROLES = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bing", "bard", "model", "chatbot", "bot", "ai"), "assistant"),
    **dict.fromkeys(("claude", "gemini", "function_call", "tool_call"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function", "observation", "function_response", "tool_response", "ipython"), "tool"),
}
"""What exports call a role -> what it is called here."""

KEPT = ("tool_calls", "tool_call_id", "name", "reasoning_content", "thinking")
"""Keys of a message that travel with it, besides role and content."""

SYSTEM = ("system", "system_prompt")
"""Columns with the system turn of a chat."""

_CALLS = ("function_call", "tool_call")
"""Roles of turns that are a call and no text."""
SPEAKERS = {name: role for name, role in ROLES.items() if name not in _CALLS}
"""Roles of turns that say something."""
_TEXT_PARTS = {None, "text", "input_text", "output_text"}
_OTHER_PARTS = {"image_url": "image", "input_image": "image", "input_audio": "audio", "video_url": "video"}
_MEDIA = ("image", "audio", "video", "file")


class Refused(Exception):
    """This record gives no row.

    Args:
        reason: One snake_case word; it becomes a counter in the ledger.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def clean(text: str) -> str:
    """The text as valid UTF-8: paired surrogates become their character, lone ones U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()  # the quickest way to ask
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def text(value: Any, reason: str) -> str:
    """A text field.

    Raises:
        Refused: with `reason` when nothing is there, with `not_text` when something else is.
    """
    if isinstance(value, str):
        return clean(value)
    raise Refused(reason if absent(value) else "not_text")


def filled(value: Any, reason: str) -> str:
    """A text field that may not be blank."""
    found = text(value, reason)
    if not found.strip():
        raise Refused(reason)
    return found


def absent(value: Any) -> bool:
    """None, or the NaN that tables write for it."""
    return value is None or (isinstance(value, float) and value != value)


def number(value: Any) -> float | None:
    """A finite number, also one that is written as text (`"4"`); None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if found - found == 0 else None


def plain(value: Any, depth: int = 0) -> Any:
    """The value as plain JSON: keys whose value is None left out, text clean.

    Raises:
        Refused: `too_deep`, or `not_plain` for what JSON cannot hold.
    """
    if depth > MAX_DEPTH:
        raise Refused("too_deep")
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise Refused("not_plain")
        return value
    if isinstance(value, Mapping):
        return {clean(str(k)): plain(v, depth + 1) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [plain(v, depth + 1) for v in value]
    if hasattr(value, "isoformat"):  # dates and times of Parquet
        return str(value.isoformat())
    raise Refused("not_plain")


def unpacked(value: Any) -> Any:
    """The list or object that a text column holds as JSON (CSV and many Parquet files have no other way)."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def first_of(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The value of the first of these columns that holds something, else None."""
    return next((record[name] for name in names if not absent(record.get(name)) and record[name] not in ("", [])), None)


def with_system(turns: tuple[Message, ...], record: Mapping[str, Any]) -> tuple[Message, ...]:
    """The turns behind the column `system` (or `system_prompt`), where there is one and they have no such turn.

    Raises:
        Refused: `no_text` or `not_text` when the column holds something else.
    """
    system = first_of(record, SYSTEM) if "system" in record or "system_prompt" in record else None
    if system is None or (turns and turns[0].role == "system"):
        return turns
    return (Message("system", filled(system, "no_text")), *turns)


def messages(value: Any) -> tuple[Message, ...]:
    """A list of turns, in any of the usual spellings (`role`/`content`, `from`/`value`).

    Raises:
        Refused: `no_messages`, `not_a_message`, or what `message` says.
    """
    if type(value) is list and value:  # nearly all are; asking what else it could be takes longer than the rest
        return tuple([_usual(turn) or message(turn) for turn in value])
    turns = unpacked(value)
    if isinstance(turns, Mapping):
        turns = [turns]
    if not isinstance(turns, Sequence) or isinstance(turns, str | bytes) or not turns:
        raise Refused("no_messages")
    return tuple(message(turn) for turn in turns)


def message(turn: Any) -> Message:
    """One turn.

    Raises:
        Refused: `not_a_message`, `no_role`, `unknown_role`, `not_plain`, `too_deep`, or what `content` says.
    """
    if not isinstance(turn, Mapping):
        raise Refused("not_a_message")
    written = turn.get("role")
    if absent(written):  # a column of Arrow has both names, one of them empty
        written = turn.get("from")
    if not isinstance(written, str):
        raise Refused("no_role")
    role = ROLES.get(written) or ROLES.get(written.strip().lower())
    if role is None:
        raise Refused("unknown_role")
    said = None
    for key in ("content", "value", "text"):
        if not absent(said := turn.get(key)):
            break
    extra = {}
    if len(turn) > 2:  # the usual turn has who and what, and nothing else
        extra = {key: plain(turn[key]) for key in KEPT if not absent(turn.get(key)) and turn[key] not in ([], "")}
        if "tool_calls" not in extra and (calls := _called(turn.get("function_call"))):
            extra["tool_calls"] = calls
        if absent(said) and not absent(turn.get("refusal")):
            said = turn["refusal"]
    if written.strip().lower() in _CALLS and (calls := _called(said)):
        return Message(role, "", canonical_json({**extra, "tool_calls": calls}))
    if absent(said) and "tool_calls" in extra:
        said = ""
    return Message(role, content(said), canonical_json(extra) if extra else None)


def _usual(turn: Any) -> Message | None:
    """The turn as nearly all are, who and what and nothing else; None for one that must be looked at closely."""
    if type(turn) is not dict or len(turn) != 2:
        return None
    try:
        who, said = (turn["from"], turn["value"]) if "from" in turn else (turn["role"], turn["content"])
        role = SPEAKERS[who]
    except (KeyError, TypeError):
        return None
    if type(said) is not str:
        return None
    return Message(role, said if said.isascii() else clean(said))


def content(said: Any) -> str:
    """The text of a turn; a list of text parts is joined.

    Raises:
        Refused: `no_text`; `image_part`, `audio_part`, `video_part`, `file_part` for a part that is none, because a
            chat without its image is another chat; `not_text` for anything else.
    """
    if isinstance(said, list):
        return "".join(map(_part, said))
    return text(said, "no_text")


def _part(part: Any) -> str:
    if not isinstance(part, Mapping):
        return text(part, "not_text")
    kind = part.get("type")
    if not isinstance(kind, str | None):
        raise Refused("not_text")
    if kind in _TEXT_PARTS:
        return text(part.get("text"), "not_text")
    if kind == "refusal":
        return text(part.get("refusal"), "not_text")
    kind = _OTHER_PARTS.get(kind or "", kind)
    raise Refused(f"{kind}_part" if kind in _MEDIA else "not_text")


def _called(said: Any) -> list[dict[str, Any]]:
    """The tool calls that a `function_call` spells out, in OpenAI's form; none when it spells none."""
    found = unpacked(said)
    calls = [found] if isinstance(found, Mapping) else found if isinstance(found, list) else []
    if not all(isinstance(call, Mapping) and isinstance(call.get("name"), str) for call in calls):
        return []
    return [
        {
            "type": "function",
            "function": {"name": clean(call["name"]), "arguments": plain(call.get("arguments", {}))},
        }
        for call in calls
    ]


def tools(value: Any) -> str | None:
    """The list of tools as canonical JSON; None when there is none.

    Raises:
        Refused: `bad_tools` when it is no list of objects.
    """
    if value is None:
        return None
    found = unpacked(value)
    if absent(found) or found in ("", []):
        return None
    if not isinstance(found, list) or not all(isinstance(tool, Mapping) for tool in found):
        raise Refused("bad_tools")
    return canonical_json(plain(found))


def record_id(record: Mapping[str, Any]) -> dict[str, Any]:
    """`{"id": ...}` for `meta` where a record has an id of its own, so that people find it again."""
    own = record.get("id")
    return {"id": plain(own)} if isinstance(own, str | int) and not isinstance(own, bool) else {}
