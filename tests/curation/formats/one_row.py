"""What a format makes of one record that is one chat."""

from __future__ import annotations

from typing import Any

from curation.conversation import Conversation
from curation.formats.format import Format


def one(format: Format, record: Any) -> Conversation:
    rows = format.rows(record)
    assert not isinstance(rows, str), rows
    (row,) = rows
    assert isinstance(row, Conversation)
    return row
