"""KTO labels: one answer with a thumb up or down, TRL's unpaired preference.

    {"prompt": "...", "completion": "...", "label": true}
    {"messages": [...], "label": false}

The label belongs to the last answer. Besides true and false, 1 and 0 are read, and both as text (CSV has no other).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from curation.conversation import AnyRow
from curation.formats.completion import PromptCompletion
from curation.formats.fields import Refused, absent
from curation.formats.format import Format, Makes
from curation.formats.sharegpt import LISTS, chat


class KTO(Format):
    """Chats whose last answer is labelled good or bad."""

    reads: ClassVar[frozenset[str]] = frozenset({"prompt", "completion", *LISTS, "system", "tools", "label", "id"})
    decided_by: ClassVar[str] = ""

    op: Literal["kto"] = "kto"

    @classmethod
    def recognizes(cls, record: Mapping[str, Any]) -> bool:
        return "label" in record and ("completion" in record or any(name in record for name in LISTS))

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        label = _label(record.get("label"))
        if "completion" in record:
            return [row.with_(label=label) for row in PromptCompletion().parse(record, makes)]
        conversation = chat(record, LISTS)
        if conversation.messages[-1].role != "assistant":
            raise Refused(f"ends_on_{conversation.messages[-1].role}")
        return [conversation.with_(label=label)]


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
