"""Forms that people fill in with any spreadsheet or editor: CSV or JSONL files in one folder a question.

A form is written once and never again, so nothing that a person wrote in it can be lost; records that come later get a
form of their own. What matters on reading is the record's code, the verdict and the annotator: columns may move, rows
may be sorted or deleted, files may be copied for a second person, and a spreadsheet may change the separator, the
encoding and the line ends. What cannot be understood is reported with file and row, never guessed at and never skipped.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from curation.labeling.log import Given
from curation.labeling.question import Misread, Question, Shown
from curation.labeling.showing import cell, transcript

CODE = "record"

_SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")
_COMPARED = 2_000
"""Letters and digits of a cell that are compared; spreadsheets cut cells at 32,767 characters."""
_MOVED_ROWS = 3
_MOVED_SHARE = 0.25
"""So many rows of a form, and such a share, must hold other texts than their record before the form is refused: a
spreadsheet turns a lone `1/2` into a date, but a column that was sorted on its own misplaces nearly all."""


@dataclass
class Reading:
    """What the forms of a folder say."""

    given: list[Given] = field(default_factory=list)
    where: dict[str, list[Path]] = field(default_factory=dict)
    """Code of a record -> the forms that it lies in, answered or not."""
    problems: list[str] = field(default_factory=list)
    """One line each: file, row, what is wrong, what to do."""


def columns(question: Question) -> tuple[str, ...]:
    """Of a form."""
    return (CODE, *question.fields, *question.filled, "annotator", "note")


def write(folder: Path, annotator: int, records: Sequence[Shown], format: Literal["csv", "jsonl"] = "csv") -> Path:
    """Writes a new form for one person, `annotator1.csv` or the next free name; returns its place.

    Args:
        records: All of one question.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name, number = f"annotator{annotator}", 1
    while (path := folder / f"{name}{'' if number == 1 else f'-{number}'}.{format}").exists():
        number += 1
    rows = [_row(shown, name) for shown in records]
    temporary = path.with_name(f".{path.name}.new")
    if format == "csv":
        with temporary.open("w", encoding="utf-8-sig", newline="") as f:  # the mark tells Excel that it is UTF-8
            writer = csv.DictWriter(f, columns(records[0].question), quoting=csv.QUOTE_ALL, lineterminator="\r\n")
            writer.writeheader()
            writer.writerows({k: cell(v) for k, v in row.items()} for row in rows)
    else:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        temporary.write_text("".join(lines), encoding="utf-8")
    os.replace(temporary, path)
    return path


def _row(shown: Shown, annotator: str) -> dict[str, str]:
    texts = _texts(shown)
    empty = dict.fromkeys(shown.question.filled, "")
    return {CODE: shown.code, **texts, **empty, "annotator": annotator, "note": ""}


def _texts(shown: Shown) -> dict[str, str]:
    return {name: transcript(messages) for name, messages in shown.question.shows(shown).items()}


def forms(folder: Path, suffixes: Sequence[str] = (".csv", ".jsonl")) -> list[Path]:
    """The forms in a folder, by name."""
    return sorted(p for p in folder.glob("[!.~]*") if p.suffix.lower() in suffixes)


def read(folder: Path, known: Mapping[str, Shown]) -> Reading:
    """Reads every form in a folder. `known` says what each code stands for."""
    reading = Reading()
    for path in forms(folder, _SPREADSHEETS):
        reading.problems.append(f"{path.name} cannot be read: save it as CSV, and move it out of the folder")
    for path in forms(folder):
        try:
            rows = list(_rows(path, reading.problems))
        except _Unreadable as error:
            reading.problems.append(f"{path.name}: {error}")
            continue
        _read_form(path, rows, known, reading)
    _conflicts(reading)
    return reading


class _Unreadable(Exception):
    """Why a form is none."""


Cells = tuple[str, dict[str, Any]]
"""(`row 7`, cells by column)."""


def _rows(path: Path, problems: list[str]) -> Iterator[Cells]:
    text = _decoded(path.read_bytes())
    if not text.strip():
        raise _Unreadable("it is empty; bring its rows back, or delete it")
    return _json_rows(path, text, problems) if path.suffix.lower() == ".jsonl" else _csv_rows(text)


def _json_rows(path: Path, text: str, problems: list[str]) -> Iterator[Cells]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict) and CODE in row:
            yield f"line {number}", row
        else:
            what = f"is no object with `{CODE}`; compare it with the other lines"
            problems.append(f"{path.name}, line {number}: {what}")


def _csv_rows(text: str) -> Iterator[Cells]:
    first = text.lstrip("\r\n").partition("\n")[0]
    separator = max(",;\t", key=first.count)
    csv.field_size_limit(2**31 - 1)
    header: list[str] | None = None
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=separator), 1):
            if not any(c.strip() for c in cells):
                continue
            if header is None:
                header = [c.strip().lower() for c in cells]
                if CODE not in header:
                    raise _Unreadable(_missing([CODE], header))
                continue
            yield f"row {number}", dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise _Unreadable(f"it is no CSV file ({error})") from None


def _missing(wanted: Sequence[str], has: Iterable[str]) -> str:
    return f"there is no column `{'` and no column `'.join(wanted)}`, only: {', '.join(filter(None, has))[:200]}"


def _decoded(raw: bytes) -> str:
    """Text of a file that a spreadsheet may have saved in its own way. Codes and verdicts are ASCII in all of them."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _read_form(path: Path, rows: list[Cells], known: Mapping[str, Shown], reading: Reading) -> None:
    here: list[tuple[str, dict[str, Any], Shown]] = []
    for place, row in rows:
        code = str(row.get("record") or "").strip().lower()
        if code in known:
            if lost := [name for name in known[code].question.filled if name not in row]:
                problem = f"{path.name}: {_missing(lost, row)}"
                if problem not in reading.problems:
                    reading.problems.append(problem)
                continue
            here.append((place, row, known[code]))
            reading.where.setdefault(code, []).append(path)
        elif any(str(v or "").strip() for v in row.values()):
            reading.problems.append(
                f"{path.name}, {place}: no record is called {code!r}; put its code back, or delete the row"
            )
    moved = [place for place, row, shown in here if _moved(row, shown)]
    if len(moved) >= _MOVED_ROWS and len(moved) > _MOVED_SHARE * len(here):
        reading.problems.append(
            f"{path.name}: {len(moved)} rows, the first {moved[0]}, hold other texts than their record; "
            "was a column sorted on its own? Undo that; none of the form's answers are read until then"
        )
        return
    for place, row, shown in here:
        cells = {name: _text(row[name]) for name in shown.question.filled}
        try:
            verdict = shown.question.parse(shown, cells)
        except Misread as error:
            reading.problems.append(f"{path.name}, {place}: {error}")
            continue
        if verdict is not None:
            annotator = _text(row.get("annotator")) or path.stem
            reading.given.append(Given(shown, annotator, verdict, _text(row.get("note")), form=path.name))


def _text(value: Any) -> str:
    """A cell as it is meant; JSON lines may hold numbers."""
    return "" if value is None else str(value).strip()


def _moved(row: Mapping[str, Any], shown: Shown) -> bool:
    """Whether the row shows another text than its record. Encodings, line ends and quotes may differ."""

    def bare(text: str) -> str:
        return re.sub(r"[^a-z0-9]+", "", text.lower())[:_COMPARED]

    was = _texts(shown)
    return any(bare(str(row.get(c) or "")) != bare(was[c]) for c in was if row.get(c) is not None)


def _conflicts(reading: Reading) -> None:
    """Two answers of one person to one record, which say different things: neither is taken."""
    said: dict[tuple[str, str], Given] = {}
    bad: set[tuple[str, str]] = set()
    for g in reading.given:
        key = (g.shown.code, g.annotator)
        before = said.setdefault(key, g)
        if before.verdict != g.verdict and key not in bad:
            bad.add(key)
            where = g.form if before.form == g.form else f"{before.form} and {g.form}"
            reading.problems.append(
                f"{where}: {g.annotator} gave record {g.shown.code} two different verdicts; delete one, "
                "or write who it was under `annotator`"
            )
    reading.given = [g for g in reading.given if (g.shown.code, g.annotator) not in bad]
