"""KTO labels: one answer with a thumb up or down, TRL's unpaired preference.

    {"prompt": "...", "completion": "...", "label": true}
    {"messages": [...], "label": false}
    {"conversations": [...], "kto_tag": true}

The label belongs to the last answer. Besides true and false, 1 and 0 are read, and both as text (CSV has no other).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from curation.conversation import AnyRow
from curation.formats.completion import ANSWERS, PromptCompletion
from curation.formats.fields import SYSTEM, Refused, absent, first_of
from curation.formats.format import Format, Makes
from curation.formats.sharegpt import LISTS, chat

LABELS = ("label", "kto_tag")


class KTO(Format):
    """Chats whose last answer is labelled good or bad."""

    reads: ClassVar[frozenset[str]] = frozenset({"prompt", *ANSWERS, *LISTS, *SYSTEM, "tools", *LABELS, "id"})
    telling: ClassVar[frozenset[str]] = frozenset({*LABELS, *ANSWERS, *LISTS})
    decided_by: ClassVar[str] = ""

    op: Literal["kto"] = "kto"

    @classmethod
    def evidence(cls, record: Mapping[str, Any]) -> str:
        name = next((name for name in LABELS if name in record), None)
        beside = next((name for name in (*ANSWERS, *LISTS) if name in record), None)
        return f"`{name}` stands beside `{beside}`" if name and beside and _is_label(record[name]) else ""

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        label = _label(first_of(record, LABELS))
        if any(name in record for name in ANSWERS):
            return [row.with_(label=label) for row in PromptCompletion().parse(record, makes)]
        conversation = chat(record, LISTS)
        if conversation.messages[-1].role != "assistant":
            raise Refused(f"ends_on_{conversation.messages[-1].role}")
        return [conversation.with_(label=label)]


def _is_label(value: Any) -> bool:
    """Whether it is a thumb or nothing: other sets call a topic `label`."""
    try:
        return absent(value) or value == "" or _label(value) in (True, False)
    except Refused:
        return False


def _label(value: Any) -> bool:
    if absent(value) or value == "":
        raise Refused("no_label")
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in ("true", "1", "false", "0"):
        return word in ("true", "1")
    raise Refused("unknown_label")
