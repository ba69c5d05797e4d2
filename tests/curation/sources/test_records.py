"""The records of a file, whatever is wrong with it."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import UserError
from curation.sources import jsontext, stream, tables
from curation.sources.files import Records, kind_by_name
from curation.sources.jsontext import Break, Broken, Elements, lines

ROWS = [{"id": i, "text": f'row {i}: "quoted", [{{,}}] \\ ünï 😀\n' * (i % 3)} for i in range(20)]


def read(path: Path) -> tuple[list[Any], list[str], Break]:
    """(good records, reasons of the broken ones, how the file ended)."""
    records = Records(path)
    found = list(records)
    assert records.read == records.size
    good = [r for r in found if not isinstance(r, Broken)]
    return good, [r.reason for r in found if isinstance(r, Broken)], records.end


def written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def as_lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


WAYS: dict[str, Callable[[list[Any]], str]] = {
    "rows.jsonl": as_lines,
    "lines.json": as_lines,
    "array.json": json.dumps,
    "array.jsonl": lambda rows: json.dumps(rows, ensure_ascii=False),
    "indented.json": lambda rows: json.dumps(rows, indent=2),
    "apart.json": lambda rows: "\n".join(json.dumps(row, indent=1) for row in rows),
    "blank_lines.jsonl": lambda rows: "\n\n" + as_lines(rows).replace("\n", "\r\n\n"),
    "no_name": as_lines,
}


@pytest.mark.parametrize("name", WAYS)
def test_every_way_to_write_json_records(name: str, tmp_path: Path) -> None:
    assert read(written(tmp_path, name, WAYS[name](ROWS))) == (ROWS, [], Break())


@pytest.mark.parametrize("name", ["rows.jsonl", "array.json"])
@pytest.mark.parametrize(
    ("ending", "pack"),
    [
        (".gz", gzip.compress),
        (".gz", lambda b: gzip.compress(b[:100]) + gzip.compress(b[100:]) + b"\0" * 512),
        (".zst", zstandard.ZstdCompressor().compress),
        (".zst", lambda b: zstandard.compress(b[:100]) + zstandard.compress(b[100:])),
        ("", gzip.compress),
    ],
)
def test_packed_files_are_told_by_their_content(
    name: str, ending: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = written(tmp_path, name + ending, pack(WAYS[name](ROWS).encode()))
    assert read(path) == (ROWS, [], Break())


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (b"", "utf-16-le"),
        (b"", "utf-16-be"),
        (b"", "utf-32-be"),
    ],
)
@pytest.mark.parametrize("name", ["rows.jsonl", "array.json"])
def test_unicode_with_and_without_a_mark(mark: bytes, encoding: str, name: str, tmp_path: Path) -> None:
    path = written(tmp_path, name, mark + WAYS[name](ROWS).encode(encoding))
    assert read(path) == (ROWS, [], Break())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": 1, "te', "not_json"),
        (b'{"text": "caf\xe9"}', "not_utf8"),
        (b"[" * 100_000, "too_deep"),
        (b"\0\0\0\0", "not_json"),
        (b"<html>", "not_json"),
        (b'{"id": 1, "text": "one", "text": "two"}', "duplicate_key"),
        (b'{"messages": [{"role": "user", "content": "a", "role" : "assistant"}]}', "duplicate_key"),
        (b'{"id": 1, "text": "\\"text\\": \\\\", "id": true}', "duplicate_key"),
        (b'{"a": NaN, "b": {"c": 1, "c": 1.0}}', "duplicate_key"),
        (b'{"id": ' + b"9" * 5000 + b"}", "not_json"),  # more digits than Python makes a number of
    ],
)
def test_one_bad_line_stops_nothing(line: bytes, reason: str, tmp_path: Path) -> None:
    content = as_lines(ROWS[:3]).encode() + line + b"\n" + as_lines(ROWS[3:]).encode()
    assert read(written(tmp_path, "rows.jsonl", content)) == (ROWS, [reason], Break())


def test_what_strict_json_forbids_and_exports_contain_is_read(tmp_path: Path) -> None:
    content = b'{"a": NaN}\n{"a": "tab\there and NUL\x00"}\n{"a": "\\ud800"}\n'
    good, reasons, _ = read(written(tmp_path, "rows.jsonl", content))
    assert [str(row["a"]) for row in good] == ["nan", "tab\there and NUL\0", "\ud800"]
    assert reasons == []


def test_a_key_that_says_the_same_twice_and_what_only_looks_like_one_are_read(tmp_path: Path) -> None:
    rows = [{"id": 1, "text": ': and ": and \\'}, {"\\": ":", 'a":': {"b": [{"b": ":b"}]}}]
    content = as_lines(rows) + '{"id": 2, "text": "a", "id": 2}\n{"id" :3, "deep": [{"x"\t: [1], "x": [1]}]}\n'
    good, reasons, _ = read(written(tmp_path, "rows.jsonl", content))
    assert good == [*rows, {"id": 2, "text": "a"}, {"id": 3, "deep": [{"x": [1]}]}]
    assert reasons == []


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**400 + 1])
def test_integers_of_any_length_stay_as_they_are(number: int, tmp_path: Path) -> None:
    row = {"id": number, "text": str(number), "list": [1.5, number]}
    assert read(written(tmp_path, "array.json", json.dumps([row])))[0] == [row]
    assert read(written(tmp_path, "rows.jsonl", json.dumps(row)))[0] == [row]


@pytest.mark.parametrize(
    "bad",
    [
        b'{"id": 1, "text": tru}',
        b'{"id": 1, "text": "a "stray" quote, and an odd " one"}',
        b'{"id": 1, "text": "never closed}',
        b'{"id": 1, "text": "brace missing"',
        b'{"id": 1, "list": [1, 2}',
        b'{"id": 1, "list": [{"x": 1, {"y"]}',
        b'{"id": 1, "text": "caf\xe9"}',
    ],
)
def test_one_bad_element_of_an_array_loses_itself_alone(bad: bytes, tmp_path: Path) -> None:
    elements = [json.dumps(row).encode() for row in ROWS]
    content = b"[\n" + b",\n".join([*elements[:5], bad, *elements[5:]]) + b"\n]"
    good, reasons, end = read(written(tmp_path, "array.json", content))
    assert good == ROWS
    assert len(reasons) >= 1 and set(reasons) <= {"not_json", "not_utf8"}
    assert end == Break()


def test_a_file_that_breaks_off_is_read_up_to_the_break(tmp_path: Path) -> None:
    for name in ("rows.jsonl", "array.json", "indented.json", "apart.json"):
        content = WAYS[name](ROWS).encode()
        cut = content.index(b'"row 19') + 5
        good, reasons, end = read(written(tmp_path, name, content[:cut]))
        assert (good, reasons) == (ROWS[:19], ["cut_off"]), name
        start = content[:cut].rindex(b"{")
        assert end == Break(True, cut - start), name
    # Between two records nothing is lost that one could know of, but the array has no end.
    content = json.dumps(ROWS).encode()
    assert read(written(tmp_path, "array.json", content[: content.rindex(b", {")])) == (ROWS[:19], [], Break(True, 0))


NOISE = [{"id": i, "noise": random.Random(i).randbytes(400).hex()} for i in range(2000)]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor(level=1).compress])
def test_a_packed_file_that_is_cut_is_read_up_to_the_break(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    packed = pack(as_lines(NOISE).encode())
    good, reasons, end = read(written(tmp_path, "rows.jsonl", packed[: len(packed) // 2]))
    assert good == NOISE[: len(good)] and 600 <= len(good) < 1100
    assert reasons in ([], ["cut_off"])
    assert end.broke_off


def test_a_damaged_gzip_file_is_read_up_to_the_damage(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(as_lines(NOISE).encode()))
    half = len(packed) // 2
    packed[half : half + 500] = b"\xff" * 500
    good, _, end = read(written(tmp_path, "rows.jsonl.gz", bytes(packed)))
    assert good[:900] == NOISE[:900] and len(good) < 1100
    assert end.broke_off and len(packed) * 0.4 < end.bytes_lost


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.json", b"\xef\xbb\xbf \n\n", "is empty"),
        ("a.json", b"PK\x03\x04 and so on", "a zip archive"),
        ("a.jsonl", bytes(range(256)) * 40, "binary"),
        ("a.json", b"\x89PNG\r\n\x1a\n" + bytes(100), "an image .PNG."),
        ("a.csv", b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)), "an image .JPEG."),
        ("a.jsonl", b"%PDF-1.7\n%\xe2\xe3", "a PDF"),
        ("a.jsonl", b"ID3\x03\x00\x00\x00", "a sound"),
        ("a.json", b"RIFF\x24\x00\x00\x00WAVEfmt ", "a sound, a film or an image"),
        ("a.json", b"BZh91AY&SY\x01\x02\x03\x04", "packed with bzip2"),
        ("a.jsonl", b"\x80\x04\x95\x10\x00\x00", "a Python pickle"),
        ("a.json", b"chats.json" + bytes(247) + b"ustar\x0000" + bytes(243), "a tar archive"),
        ("a.json", b"<!DOCTYPE html>\n<html><body>Log in</body></html>", "a web page"),
        ("a.jsonl", b"\xef\xbb\xbf\n <HTML>", "a web page"),
        ("a.csv", b"<?xml version='1.0'?>", "a web page"),
        ("a.json.gz", gzip.compress(b"PK\x03\x04" + bytes(100), mtime=0), "a zip archive"),
        ("a.json.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("a.json.gz", gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "packed twice"),
        ("a.arrow", b"\xff\xff\xff\xff\x10\x00\x00\x00 and so on", "cannot be read as Arrow"),
        ("a.arrow", b"ARROW1\x00\x00", "cannot be read as Arrow"),
        ("a.bin", b"\xff\xff\xff\xff\x10\x00\x00\x00" + bytes(99), "binary"),
        ("a.json", b"Hello, this is prose.", "is no JSON; it begins with 'Hello"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "Git LFS pointer"),
        ("a.parquet", b"PAR1" + bytes(100), "cannot be read as Parquet"),
        ("a.csv", b"a,a\n1,2\n", "does not name the columns"),
        ("a.csv", b"a,,b\n1,2,3\n", "does not name the columns"),
    ],
)
def test_what_is_no_data_is_refused_with_what_it_is(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read(written(tmp_path, name, content))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv(delimiter: str, tmp_path: Path) -> None:
    rows = [{"prompt": 'a "b", c;\td\ne', "completion": "ü"}, {"prompt": "", "completion": " x "}]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["prompt", "completion"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    assert read(written(tmp_path, "a.csv", text.getvalue())) == (rows, [], Break())


def test_a_bad_row_of_a_csv_stops_nothing(tmp_path: Path) -> None:
    content = b'a,b\n1,2\n1,2,3\n1\n"x"y,2\ncaf\xe9,2\n\n3,4\n5,"six'
    good, reasons, end = read(written(tmp_path, "a.csv", content))
    assert good == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert reasons == ["wrong_number_of_columns", "wrong_number_of_columns", "not_csv", "not_utf8", "cut_off"]
    assert end == Break(True, len('5,"six'))


def test_parquet_gives_plain_values_and_a_damaged_group_costs_its_own_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"id": i, "messages": [{"role": "user", "content": f"{i} é"}], "score": None} for i in range(300)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=100, compression="none", use_dictionary=False)
    assert read(path) == (rows, [], Break())
    assert [set(r) for r in Records(path, ["id", "none"])] == [{"id"}] * 300
    group = pq.ParquetFile(path).metadata.row_group(1)
    content = bytearray(path.read_bytes())
    start = group.column(0).data_page_offset
    content[start : start + 30] = b"\xff" * 30
    path.write_bytes(bytes(content))
    good, reasons, end = read(path)
    assert good == rows[:100] + rows[200:]
    assert reasons == ["damaged"] * 100
    assert end.broke_off and end.bytes_lost > 0


@pytest.mark.parametrize("names", [b"ID3,answer", b"RIFF,answer", b"ORC,answer"])
def test_a_column_with_a_name_that_files_of_another_kind_begin_with_is_a_column(names: bytes, tmp_path: Path) -> None:
    assert read(written(tmp_path, "a.csv", names + b"\n1,2\n"))[0] == [{names.decode()[:-7]: "1", "answer": "2"}]


def test_lines_end_in_any_of_three_ways(tmp_path: Path) -> None:
    texts = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    mixed = "".join(text + end for text, end in zip(texts, ["\n", "\r\n", "\r", "\r\r\n"] * 5, strict=True))
    assert read(written(tmp_path, "rows.jsonl", mixed)) == (ROWS, [], Break())
    assert read(written(tmp_path, "mac.jsonl", "\r".join(texts))) == (ROWS, [], Break())
    assert read(written(tmp_path, "mac.json", "\r".join(texts))) == (ROWS, [], Break())
    cut = "\r".join(texts).encode()[:-9]
    end = Break(True, len(texts[-1].encode()) - 9)
    assert read(written(tmp_path, "cut.jsonl", cut)) == (ROWS[:-1], ["cut_off"], end)
    # Inside a text a carriage return ends nothing: what it parts is one record, broken or not.
    inside = b'{"a": "x\ry"}\n{"a": "x\ry", }\n{"a": 1}\r{"a": oops}\n'
    good, reasons, _ = read(written(tmp_path, "inside.jsonl", inside))
    assert (good, reasons) == ([{"a": "x\ry"}, {"a": 1}], ["not_json", "not_json"])


def test_csv_lines_end_in_any_of_three_ways(tmp_path: Path) -> None:
    content = b'a,b\r1,"x\ry"\r\n2,z\n3,w\r'
    rows = [{"a": "1", "b": "x\ry"}, {"a": "2", "b": "z"}, {"a": "3", "b": "w"}]
    assert read(written(tmp_path, "a.csv", content)) == (rows, [], Break())
    for size in (1, 2, 3):
        chunks = [content[i : i + size] for i in range(0, len(content), size)]
        assert list(tables.csv_rows(iter(chunks), Break())) == rows


def arrow_file(path: Path, rows: list[Any], kind: str) -> bytes:
    import pyarrow as pa

    table = pa.Table.from_pylist(rows)
    with (pa.ipc.new_file if kind == "file" else pa.ipc.new_stream)(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_arrow_files_and_streams_are_read_and_when_cut_up_to_the_break(kind: str, tmp_path: Path) -> None:
    rows = [{"id": i, "messages": [{"role": "user", "content": f"{i} é"}], "score": None} for i in range(500)]
    path = tmp_path / "data-00000-of-00001.arrow"
    whole = arrow_file(path, rows, kind)
    assert read(path) == (rows, [], Break())
    assert [set(r) for r in Records(path, ["id", "none"])] == [{"id"}] * 500
    path.write_bytes(whole[: len(whole) * 2 // 3])
    good, reasons, end = read(path)
    assert (good, reasons) == (rows[: len(good)], []) and len(good) in (200, 300)
    assert end.broke_off and 0 < end.bytes_lost < len(whole)


def test_damage_inside_an_arrow_file_costs_its_rows_and_never_the_process(tmp_path: Path) -> None:
    rows = [{"text": f"row {i}"} for i in range(50)]
    path = tmp_path / "a.arrow"
    whole = arrow_file(path, rows, "file")
    at = whole.index(b"row 0row 1")
    offsets = whole.rindex((5).to_bytes(4, "little") + (10).to_bytes(4, "little"), 0, at)
    damaged = bytearray(whole)
    damaged[offsets : offsets + 4] = (2**31 - 1).to_bytes(4, "little")  # where the second text begins
    path.write_bytes(bytes(damaged))
    good, reasons, _ = read(path)
    assert set(reasons) == {"damaged"} and len(good) + len(reasons) == 50
    damaged = bytearray(whole)
    damaged[at + 1] = 0xFF
    path.write_bytes(bytes(damaged))
    assert read(path) == (rows[1:], ["not_utf8"], Break())


def test_what_datasets_saves_to_the_disk_is_read(tmp_path: Path) -> None:
    from datasets import Dataset

    rows = [{"prompt": f"p{i}", "completion": "ü"} for i in range(30)]
    Dataset.from_list(rows).save_to_disk(tmp_path / "saved")
    (path,) = (tmp_path / "saved").glob("*.arrow")
    assert read(path) == (rows, [], Break())


def test_times_in_nanoseconds_and_dates_out_of_range_cost_no_other_row(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    at = pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns"))
    pq.write_table(pa.table({"id": [0, 1], "at": at}), tmp_path / "a.parquet")
    good, reasons, _ = read(tmp_path / "a.parquet")
    assert [row["id"] for row in good] == [0, 1] and reasons == []
    assert good[0]["at"].isoformat() == "2023-11-14T22:13:20.123456"
    far = pa.array([0, 2**62, 0], pa.timestamp("us"))  # a year for which Python has no date
    pq.write_table(pa.table({"id": [0, 1, 2], "at": far}), tmp_path / "b.parquet")
    good, reasons, _ = read(tmp_path / "b.parquet")
    assert ([row["id"] for row in good], reasons) == ([0, 2], ["damaged"])


def test_endings_tell_files_with_records_from_others() -> None:
    assert [kind_by_name(n) for n in ("a.jsonl.gz", "b.JSON", "c.tar.gz", "README.md", "parquet", "v1.0.csv")] == [
        "jsonl",
        "json",
        None,
        None,
        None,
        "csv",
    ]


def test_a_record_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsontext, "MAX_RECORD", 1000)
    monkeypatch.setattr(jsontext, "_ASTRAY", 100)
    monkeypatch.setattr(tables, "_LONGEST_CELL", 1000)
    endless = [b'{"a": "' + b"x" * 500] * 20
    found = list(lines(iter([b'{"b": 1}\n', *endless, b'\n{"c": 2}\n']), Break()))
    assert [r.reason if isinstance(r, Broken) else r for r in found] == [{"b": 1}, "too_long", {"c": 2}]
    end = Break()
    found = list(Elements(iter([b'[{"b": 1},', *endless]), end))
    assert [r.reason if isinstance(r, Broken) else r for r in found] == [{"b": 1}, "too_long"]
    assert end == Break(True, sum(map(len, endless)))
    end = Break()
    found = list(Elements(iter([b'[{"b": 1},', *[b"0" * 500] * 20]), end))
    assert [r.reason if isinstance(r, Broken) else r for r in found] == [{"b": 1}, "too_long"]
    assert end == Break(True, 10_000)
    found = list(tables.csv_rows(iter([b"a,b\n1,2\n3,", *[b"x" * 500] * 20, b"\n5,6\n"]), Break()))
    assert [r.reason if isinstance(r, Broken) else r for r in found] == [
        {"a": "1", "b": "2"},
        "too_long",
        {"a": "5", "b": "6"},
    ]


def packed_noughts(pack: str, size: int) -> bytes:
    """A file of a few kilobytes that unpacks to so many characters."""
    if pack == "zst":
        return zstandard.ZstdCompressor(level=1).compress(b"0" * size)
    return gzip.compress(b"0" * size, 6)


@pytest.mark.parametrize("pack", ["gz", "zst"])
@pytest.mark.parametrize("start", [b'{"a": 1}\n', b'[{"a": 1}, ', b'{"a": 1}\n{"b": "'])
def test_a_file_that_unpacks_without_end_is_refused_and_fills_no_memory(
    pack: str, start: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsontext, "MAX_RECORD", 1 << 20)
    monkeypatch.setattr(stream, "MAX_UNPACKED", 1 << 26)
    packer = gzip.compress if pack == "gz" else zstandard.compress
    bomb = packer(start) + packed_noughts(pack, 1 << 28)
    path = written(tmp_path, f"bomb.json.{pack}", bomb)
    found: list[Any] = []
    tracemalloc.start()
    with pytest.raises(UserError, match=r"bytes unpack to more than .*\n.*unpack it yourself"):
        found.extend(Records(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[:1] in ([], [{"a": 1}])
    assert peak < 1 << 28 and path.stat().st_size < 1 << 19


def test_packed_text_that_repeats_itself_is_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_UNPACKED", 1 << 16)
    path = written(tmp_path, "rows.jsonl.gz", gzip.compress(as_lines(ROWS * 100).encode()))
    assert path.stat().st_size * 20 < len(as_lines(ROWS * 100))
    assert read(path) == (ROWS * 100, [], Break())


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json.gz"])
def test_a_line_of_100_mb_is_a_record_like_any_other(name: str, tmp_path: Path) -> None:
    long = b'{"id": 2, "text": "' + b"x" * 100_000_000 + b'"}'
    content = [b'{"id": 1}', long, b'{"id": 3}']
    whole = b"\n".join(content) if "jsonl" in name else b"[" + b",".join(content) + b"]"
    good, reasons, end = read(written(tmp_path, name, gzip.compress(whole, 1)))
    assert [row["id"] for row in good] == [1, 2, 3] and len(good[1]["text"]) == 100_000_000
    assert (reasons, end) == ([], Break())


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(JSON, max_size=5), st.integers(1, 9), st.sampled_from([None, 1]), st.booleans())
def test_an_array_is_the_same_in_whatever_chunks_it_comes(rows: list[Any], size: int, indent: Any, ascii: bool) -> None:
    content = json.dumps(rows, indent=indent, ensure_ascii=ascii).encode()
    chunks = [content[i : i + size] for i in range(0, len(content), size)]
    end = Break()
    assert list(Elements(iter(chunks), end)) == rows
    assert end == Break()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.text('a":\\', max_size=2), JSON), max_size=4), st.sampled_from([": ", ":", " :"]))
def test_what_a_record_says_counts_and_nothing_else(pairs: list[tuple[str, Any]], colon: str) -> None:
    """Python's own reader says which keys stand there twice."""
    text = "{" + ", ".join(json.dumps(key) + colon + json.dumps(one) for key, one in pairs) + "}"
    first = dict(reversed(pairs))
    agree = all(json.dumps(first[key]) == json.dumps(one) for key, one in pairs)
    found = jsontext.value(text.encode())
    assert found == json.loads(text) if agree else found.reason == "duplicate_key"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 9), st.booleans())
def test_no_bytes_at_all_stop_the_readers(content: bytes, size: int, shaped: bool) -> None:
    if shaped:
        content = content.translate(bytes(b'{}[]",:\\ntrue0 \n'[i % 16] for i in range(256)))
    chunks = [content[i : i + size] for i in range(0, len(content), size)]
    for reader in (lambda: Elements(iter(chunks), Break()), lambda: lines(iter(chunks), Break())):
        found = list(reader())
        assert len(found) <= len(content)
