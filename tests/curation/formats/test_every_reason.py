"""The page for people who bring data tells every format, and every word that a record can be refused with."""

from __future__ import annotations

import re
from pathlib import Path

from curation.formats import BUILTIN

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "bring-your-data.md").read_text(encoding="utf-8")
CODE = "\n".join(
    path.read_text(encoding="utf-8")
    for folder in ("formats", "sources")
    for path in sorted((ROOT / "curation" / folder).glob("*.py"))
)
WORDS = {
    *re.findall(r'(?:Refused|Broken|Lost)\((?:\w+, )?"([a-z_]+)"', CODE),
    *re.findall(r'"((?:no|not|unknown|too|cut|wrong)_[a-z_]+)"', CODE),
}


def test_every_format_and_every_reason_stand_on_the_page() -> None:
    assert {"cut_off", "duplicate_key", "no_chosen", "unknown_role", "uneven_lists"} <= WORDS
    told = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert WORDS - told == set()
    assert set(BUILTIN) - told == set()
