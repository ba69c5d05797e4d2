"""`kill -9` of server, client and both while people answer: whatever the server took stands in the log in the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.heavy


def test_no_answer_is_ever_missing(tmp_path: Path, measuring: Any) -> None:
    outcome = measuring("kills").session(tmp_path, ["server", "client", "both"], people=3, count=60)
    assert outcome.taken > 20
    assert outcome.missing == []
    assert outcome.twice == []
