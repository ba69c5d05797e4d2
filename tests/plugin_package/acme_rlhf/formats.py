from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from curation.conversation import AnyRow, Conversation, Message
from curation.formats import Format, Makes, Refused


class QA(Format):
    """`{"q": "What is up?", "a": "The sky."}`: one question and its answer."""

    op: Literal["acme/qa"] = "acme/qa"

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        if not record.get("q") or not record.get("a"):
            raise Refused("no_question_or_answer")
        return [Conversation(messages=(Message("user", record["q"]), Message("assistant", record["a"])))]
