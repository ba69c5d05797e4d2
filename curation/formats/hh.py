r"""Anthropic's HH: two transcripts in plain text that part at the last answer, the one that people preferred first.

    {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello!", "rejected": "\n\nHuman: Hi\n\nAssistant: Go away."}

https://github.com/anthropics/hh-rlhf. One space after the speaker's colon belongs to the markup; all else is text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from curation.conversation import AnyRow, Message
from curation.formats.fields import Refused, record_id, text
from curation.formats.format import Makes
from curation.formats.preference import Pairs, made, shared

_SPEAKER = re.compile(r"\n\n(Human|Assistant): ?")
_ROLE = {"Human": "user", "Assistant": "assistant"}


class HH(Pairs):
    """Pairs of transcripts, decided by people. As conversations: the chosen transcript, or each of the two."""

    makes: ClassVar[frozenset[Makes]] = frozenset({"conversations", "candidates", "preferences"})
    reads: ClassVar[frozenset[str]] = frozenset({"chosen", "rejected", "id"})
    telling: ClassVar[frozenset[str]] = frozenset({"chosen", "rejected"})
    decided_by: ClassVar[str] = "people"

    op: Literal["hh"] = "hh"

    @classmethod
    def evidence(cls, record: Mapping[str, Any]) -> str:
        both = (record.get("chosen"), record.get("rejected"))
        found = "prompt" not in record and all(isinstance(t, str) and t.lstrip().startswith("Human:") for t in both)
        return "`chosen` and `rejected` begin with Human:" if found else ""

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        chosen = transcript(text(record.get("chosen"), "no_chosen"))
        rejected = transcript(text(record.get("rejected"), "no_rejected"))
        both = self.answers == "both"
        return made(*shared(chosen, rejected), makes, record_id(record), self.decided_by, both=both)


def transcript(said: str) -> tuple[Message, ...]:
    """The turns of a transcript.

    Raises:
        Refused: `not_a_transcript` when it does not open with a speaker, `ends_on_user` without a last answer.
    """
    if not said.startswith("\n\n"):
        said = "\n\n" + said.lstrip("\n")
    before, *pieces = _SPEAKER.split(said)
    if before or not pieces:
        raise Refused("not_a_transcript")
    turns = tuple(Message(_ROLE[who], what) for who, what in zip(pieces[::2], pieces[1::2], strict=True))
    if turns[-1].role != "assistant":
        raise Refused("ends_on_user")
    return turns
