"""What the peers that know no chats get: one text a chat, after the rules of the slice that are about roles and words.

Needs nothing but Python, so that every peer's environment can import it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

REFUSAL = (
    r"as an ai language model|i'm sorry, but i can|i cannot (?:assist|help)|i apologize, but i am unable"
    r"|against my guidelines"
)
"""In lower case."""
CHARACTERS = (100, 100_000)
_REFUSAL = re.compile(REFUSAL)


def text(conversations: list[dict[str, str]]) -> str | None:
    """The turns put together; None where they are too few, out of order, too short, endless or refuse."""
    if len(conversations) < 2:
        return None
    if any((turn["from"] == "human") != (i % 2 == 0) for i, turn in enumerate(conversations)):
        return None
    joined = "\n".join(turn["value"] for turn in conversations)
    if not CHARACTERS[0] <= len(joined) <= CHARACTERS[1] or _REFUSAL.search(joined.lower()):
        return None
    return joined


def records(path: str) -> Iterator[tuple[dict[str, Any], str]]:
    """(record, its text) of the rows that stay."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            if (joined := text(record["conversations"])) is not None:
                yield record, joined
