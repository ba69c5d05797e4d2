"""Whether the records of a file can be asked about in the chosen way; if not, which line, and which way fits it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curation.conversation import AnyRow
    from curation.formats.format import Format

_LOOKS_AT = 10_000
NEEDS = {
    "compare": '`compare` needs several answers to a prompt: {"prompt": ..., "answers": [..., ...]}, or `chosen` and '
    "`rejected`",
    "rate": '`rate` needs chats that end on an answer: {"messages": [...]}, or `prompt` and `response`',
    "review": '`review` needs chats that end on an answer: {"messages": [...]}, or `prompt` and `response`',
}


def look(path: Path, question: str, form: Format) -> str:
    """Reads a file before anything is put up.

    Returns:
        What to warn of: how many records are left out, and why the first one is; empty when all will do.

    Raises:
        UserError: none of them can be asked about; it names the first line, what it holds, and which question fits it.
    """
    from curation.errors import UserError

    bad: list[tuple[int, Any]] = []
    good = 0
    for number, record in islice(_numbered(path), _LOOKS_AT):
        if _fits(record, question, form):
            good += 1
        else:
            bad.append((number, record))
    if not bad:
        return ""
    number, record = bad[0]
    at = f"{path.name}, {'line' if _by_line(path) else 'record'} {number}"
    ways = [name for name in NEEDS if name != question and _fits(record, name, form)]
    fits = f"; `--question {' or '.join(ways)}` would fit it" if ways else ""
    if good:
        others = f" and {len(bad) - 1:,} more are" if len(bad) > 1 else " is"
        return f"{at}{others} left out: it holds {_holds(record)}, and {NEEDS[question]}{fits}"
    raise UserError(
        f"{at}: it holds {_holds(record)}, which `{question}` cannot ask about", hint=NEEDS[question] + fits
    )


def _fits(record: Any, question: str, form: Format) -> bool:
    from curation.conversation import Candidates
    from rlhf.recipe.asking import QUESTIONS

    makes: Any = QUESTIONS[question]
    if makes not in form.makes:
        return False
    rows: Any = _rows(record, form, makes)
    if question == "compare":
        return any(isinstance(row, Candidates) and len(row.answers) > 1 for row in rows)
    return any(row.reply for row in rows)


def _rows(record: Any, form: Format, makes: Any) -> list[AnyRow]:
    from curation.formats.auto import Auto, recognized

    if not isinstance(record, dict):
        return []
    if isinstance(form, Auto) and ((kind := recognized(record)) is None or makes not in kind.makes):
        return []
    found = form.rows(record, makes)
    return [] if isinstance(found, str) else list(found)


def _by_line(path: Path) -> bool:
    return path.suffix.lower() in (".jsonl", ".ndjson")


def _numbered(path: Path) -> Iterator[tuple[int, Any]]:
    """Each record with its line, where a line is one."""
    from curation.sources.files import Records

    if not _by_line(path):
        yield from enumerate(Records(path), 1)
        return
    with path.open("rb") as file:
        places = (number for number, line in enumerate(file, 1) if line.strip())
        yield from zip(places, Records(path), strict=False)


def _holds(record: Any) -> str:
    from curation.errors import keys_in_words

    if not isinstance(record, dict):
        raw = getattr(record, "raw", record)
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
        return f"no JSON object but {text.strip()[:40]!r}"
    return keys_in_words(record)
