"""A thousand broken files: each ends in rows or in a reason, and no record that is whole is lost to its neighbour.

A generator makes them from a seed. Records are numbered in their text, so a row can be told from all others. What a
kind of damage may cost is known from where it strikes, not from what the readers make of it.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
import zstandard

from curation.conversation import Candidates, Conversation, Preference
from curation.errors import UserError
from curation.ledger import Reading
from curation.sources.intake import read_rows

FILES = 1000
GROUPS = 20

Record = dict[str, Any]


def chat(text: str) -> Record:
    return {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "Đúng vậy, 好的 😀"}]}


def sharegpt(text: str) -> Record:
    return {"id": text[-3:], "conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": "<p>Hi</p>"}]}


def alpaca(text: str) -> Record:
    return {"instruction": text, "input": "", "output": "สวัสดี"}


def preference(text: str) -> Record:
    return {"prompt": text, "chosen": "مرحبا", "rejected": "no"}


def kto(text: str) -> Record:
    return {"prompt": text, "completion": "yes", "label": True}


def rated(text: str) -> Record:
    return {"prompt": text, "responses": ["good", "bad"], "ratings": [5, 1]}


def transcript(text: str) -> Record:
    start = f"\n\nHuman: {text}\n\nAssistant: "
    return {"chosen": start + "yes", "rejected": start + "no"}


def tree(text: str) -> Record:
    return {"message_id": text, "parent_id": None, "message_tree_id": text, "text": text, "role": "prompter"}


SHAPES: list[Callable[[str], Record]] = [chat, sharegpt, alpaca, preference, kto, rated, transcript, tree]


@dataclass
class File:
    """A file, and the records in it that nothing has struck."""

    name: str
    content: bytes
    safe: set[str]
    what: str


def deep(rng: Random) -> bytes:
    n = rng.choice([100, 1000, 100_000])
    return b'{"messages": ' + b"[" * n + b"]" * rng.choice([n, n - 1, 0]) + b"}"


def bad_line(rng: Random, shape: Callable[[str], Record]) -> bytes:
    """A line that is no good record, whatever it is."""
    good = json.dumps(shape("STRUCK"), ensure_ascii=False)
    return rng.choice(
        [
            lambda: deep(rng),
            lambda: good[: rng.randrange(1, len(good) - 1)].encode(),
            lambda: good.encode("utf-16-le"),
            lambda: good.replace("STRUCK", "caf\xe9").encode("latin-1", "replace"),
            lambda: b"\0" * rng.randrange(1, 99),
            lambda: rng.randbytes(40).replace(b"\n", b""),
            lambda: b"<html><body>503</body></html>",
            lambda: b'"just a text"',
            lambda: b"[1, 2, 3]",
            lambda: b"NaN",
            lambda: b'{"messages": [NaN, Infinity, -Infinity]}',
            lambda: b'{"messages": ' + b"9" * 5000 + b"}",
            lambda: b'{"messages": [], "messages": null}',
            lambda: f'{good[:-1]}, {good[1 : good.index(":")]}: "STRUCK"}}'.encode(),
            lambda: good.replace(":", "=", 1).encode(),
            lambda: good.replace('"', "'").encode(),
            lambda: b"{}",
            lambda: b'{"a": "\\',
        ]
    )()


ODD = [  # what is odd and stays readable: as a further key of a good record
    '"n": NaN',
    '"n": -Infinity',
    '"n": 123456789012345678901234567890',
    '"n": 1e999',
    '"s": "\\ud800"',
    '"s": "a\\u0000b"',
    '"s": "tab\there"',
    '"s": 2, "s": 2',
    '"d": ' + "[" * 90 + "]" * 90,
]


def written(rng: Random, records: list[Record], layout: str) -> bytes:
    texts = []
    for record in records:
        text = json.dumps(record, ensure_ascii=rng.random() < 0.5)
        if rng.random() < 0.3 and layout != "indented":
            text = text[:-1] + ", " + rng.choice(ODD) + "}"
        texts.append(text)
    if layout == "lines":
        return "".join(text + rng.choice(["\n", "\r\n", "\n\n"]) for text in texts).encode()
    if layout == "indented":
        return json.dumps(records, indent=rng.choice([1, 4]), ensure_ascii=False).encode()
    return ("[" + rng.choice([",", ", ", ",\n"]).join(texts) + "]").encode()


def struck(rng: Random, seed: int) -> File:
    """One broken file."""
    shape = rng.choice(SHAPES)
    texts = [f"row {seed}-{i:03}" for i in range(rng.randrange(1, 9))]
    records = [shape(text) for text in texts]
    layout = rng.choice(["lines", "lines", "array", "indented"])
    name = rng.choice(["a.jsonl", "a.json", "a.ndjson"]) if layout == "lines" else "a.json"
    content = written(rng, records, layout)
    safe = set(texts)
    damage = rng.choice(["cut", "bad record", "bad record", "bytes", "encoding", "packing", "twice packed", "table"])
    if damage == "cut":
        at = rng.randrange(len(content))
        content = content[:at]
        ends = [content.find(text.encode()) for text in texts]
        # A record is whole when the next one has begun before the cut.
        safe = {text for text, after in zip(texts, [*ends[1:], -1], strict=True) if after >= 0}
    elif damage == "bad record":
        lines = [json.dumps(record).encode() for record in records]
        bad = bad_line(rng, shape)
        place = rng.randrange(len(lines) + 1)
        lines.insert(place, bad)
        if layout == "lines":
            content, safe = b"\n".join(lines) + b"\n", set(texts)
            if place == 0:  # what the file is, its first bytes say
                safe = set()
        else:
            content, safe = b"[" + b",".join(lines) + b"]", set(texts[:place])
    elif damage == "bytes":
        found = bytearray(content)
        places = sorted(rng.randrange(len(found)) for _ in range(rng.randrange(1, 4)))
        for at in places:
            found[at] = rng.randrange(256)
        begin = [content.find(text.encode()) for text in texts]
        content = bytes(found)
        safe = {text for text, after in zip(texts, begin[1:], strict=False) if after < places[0]}
        safe -= {texts[0]} if places[0] < begin[0] else set()
    elif damage == "encoding":
        encoding = rng.choice(["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1258"])
        content = content.decode().encode(encoding, "replace")
        # Without a mark, two-byte text of a small file is told by its zeros; one-byte code pages are not told at all.
        safe = set(texts) if encoding.startswith("utf") else set()
    elif damage in ("packing", "twice packed"):
        pack = rng.choice([gzip.compress, zstandard.compress])
        content = pack(content)
        if damage == "twice packed":
            content, safe = rng.choice([gzip.compress, zstandard.compress])(content), set()
        else:
            found = bytearray(content)
            found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
            content = bytes(found)[: rng.randrange(1, len(found) + 1)]
            safe = set()
    else:
        return table(rng, shape, texts, records)
    return File(name, content, safe, damage)


def table(rng: Random, shape: Callable[[str], Record], texts: list[str], records: list[Record]) -> File:
    """A table with damage somewhere in it."""
    kind = rng.choice(["csv", "parquet", "arrow"])
    flat = [{k: v if isinstance(v, str) else json.dumps(v) for k, v in record.items()} for record in records]
    flat = [{k: "" if v == "null" else v for k, v in record.items()} for record in flat]
    if kind == "csv":
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, flat[0], lineterminator=rng.choice(["\n", "\r\n"]))
        writer.writeheader()
        writer.writerows(flat)
        extra = rng.choice(["only one cell\n", "a,b,c,d,e,f,g,h,i,j\n", '"x"y,z\n', "", "caf\xe9\n"])
        content = out.getvalue().encode() + extra.encode("latin-1")
        return File("a.csv", content, set(texts) if shape is not tree else set(), f"csv {extra!r}")
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    whole = pa.Table.from_pylist(flat)
    if kind == "parquet":
        pq.write_table(whole, buffer, compression="none")
    else:
        with pa.ipc.new_file(buffer, whole.schema) as sink:
            sink.write_table(whole)
    found = bytearray(buffer.getvalue())
    for _ in range(rng.randrange(1, 4)):
        found[rng.randrange(len(found))] = rng.randrange(256)
    return File(f"a.{kind}", bytes(found)[: rng.choice([len(found), rng.randrange(1, len(found))])], set(), kind)


def texts_of(row: Any) -> str:
    if isinstance(row, Conversation):
        return " ".join(m.content for m in row.messages)
    return " ".join(m.content for m in row.prompt)


def attempt(path: Path, makes: Any) -> tuple[list[Any], Reading, str]:
    """(rows, what became of the records, why the file was refused)."""
    try:
        return *read_rows(path, "auto", makes), ""
    except UserError as error:
        return [], Reading(source=""), str(error)


@pytest.mark.parametrize("group", range(GROUPS))
@pytest.mark.filterwarnings("ignore")
def test_a_thousand_broken_files(group: int, tmp_path: Path) -> None:
    for seed in range(group, FILES, GROUPS):
        file = struck(Random(seed), seed)
        path = tmp_path / f"{seed}" / file.name
        path.parent.mkdir()
        path.write_bytes(file.content)
        where = f"{seed}: {file.what} in {file.name}"
        for makes in ("conversations", "candidates", "preferences"):
            rows, reading, error = attempt(path, makes)
            if error:
                assert file.name in error, where
                assert not file.safe or makes != "conversations", f"{where}: {error}"
                continue
            assert reading.problem() is None, where
            assert reading.rows == len(rows) > 0, where
            assert all(isinstance(row, Conversation | Candidates | Preference) for row in rows), where
            if makes == "conversations":
                said = " ".join(map(texts_of, rows))
                assert [text for text in sorted(file.safe) if text not in said] == [], where


def test_every_kind_of_damage_is_among_them() -> None:
    kinds = {struck(Random(seed), seed).what.split()[0] for seed in range(FILES)}
    assert kinds == {"cut", "bad", "bytes", "encoding", "packing", "twice", "csv", "parquet", "arrow"}
