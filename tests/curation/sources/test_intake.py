"""From entries to rows: every record accounted for, nothing read twice, losses said."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.artifact import Surroundings, bind, hash_file
from curation.conversation import Conversation, Preference
from curation.errors import UserError
from curation.formats import Makes
from curation.sources import intake as module
from curation.sources.dataset import Dataset
from curation.sources.intake import Intake, read_rows

CHAT = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}
PAIR = {"prompt": "Hi", "chosen": "Hello!", "rejected": "What?"}


def put(path: Path, records: list[Any]) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records), encoding="utf-8")
    return path


def taken_in(
    here: Path, *entries: dict[str, Any], makes: Makes = "conversations"
) -> tuple[Intake, list[Any], list[str]]:
    around = Surroundings(here, hash_file)
    warnings: list[str] = []
    bound = [bind(Dataset.model_validate(entry), around) for entry in entries]
    intake = Intake(bound, makes, malformed=here / "malformed", warn=warnings.append)
    rows = [row for _, batch in intake.rows() for row in batch]
    assert intake.ledger.problems() == []
    return intake, rows, warnings


def test_every_record_is_used_or_has_a_reason_and_is_kept_aside(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", [CHAT, "{oops", {"messages": []}, [1], "", CHAT, {"messages": "\ud800" * 5000}])
    intake, rows, warnings = taken_in(tmp_path, {"path": "a.jsonl", "format": "messages"})
    (reading,) = intake.ledger.readings
    assert (reading.source, reading.records, reading.used, reading.rows) == ("a.jsonl", 6, 2, 2)
    assert reading.malformed == {"not_json": 1, "no_messages": 2, "not_an_object": 1}
    table = pl.read_parquet(tmp_path / "malformed" / "rows-*.parquet")
    assert table.columns == ["file", "index", "reason", "raw"]
    assert table["index"].to_list() == [1, 2, 3, 5]
    assert table["reason"].to_list() == ["not_json", "no_messages", "not_an_object", "no_messages"]
    assert table["raw"][0] == "{oops" and len(table["raw"][3]) == 2000
    assert [row.source.index for row in rows] == [0, 4]
    assert warnings == []


def test_rows_say_where_they_came_from_and_what_the_entry_says_of_all(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", [CHAT])
    put(tmp_path / "b.jsonl", [PAIR])
    _, (row,), _ = taken_in(tmp_path, {"path": "a.jsonl", "license": "apache-2.0", "weight": 2})
    assert isinstance(row, Conversation)
    assert (row.source.dataset, row.source.file, row.source.license) == ("a.jsonl", "a.jsonl", "apache-2.0")
    assert row.source.digest == hash_file(tmp_path / "a.jsonl")
    assert row.meta == {"weight": 2.0}
    intake, (pair,), _ = taken_in(tmp_path, {"path": str(tmp_path / "b.jsonl"), "weight": 0.5}, makes="preferences")
    assert isinstance(pair, Preference)
    assert (pair.weight, pair.decided_by, pair.source.dataset) == (0.5, "data set", "b.jsonl")
    assert intake.decided_by == {"data set"}


def test_the_same_content_twice_is_refused_under_whatever_name(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", [CHAT])
    put(tmp_path / "copy.jsonl", [CHAT])
    with pytest.raises(UserError, match=r"given twice: a\.jsonl and copy\.jsonl\n.*`weight`"):
        taken_in(tmp_path, {"path": "a.jsonl"}, {"path": "copy.jsonl", "format": "messages"})


def test_an_entry_without_a_row_is_an_error_that_says_why(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", [CHAT, CHAT, {"messages": []}])
    with pytest.raises(UserError, match=r"a\.jsonl: none of the 3 records gives a row: no_instruction 3\n.*'alpaca'"):
        taken_in(tmp_path, {"path": "a.jsonl", "format": "alpaca"})
    put(tmp_path / "empty.jsonl", [])
    with pytest.raises(UserError, match=r"empty\.jsonl: the file is empty"):
        taken_in(tmp_path, {"path": "empty.jsonl"})


def test_a_file_that_breaks_off_is_read_and_the_loss_is_said(tmp_path: Path) -> None:
    whole = json.dumps([CHAT] * 3).encode()
    (tmp_path / "a.json").write_bytes(whole[:-20])
    intake, rows, warnings = taken_in(tmp_path, {"path": "a.json"})
    (reading,) = intake.ledger.readings
    assert (len(rows), reading.records, reading.malformed) == (2, 3, {"cut_off": 1})
    assert reading.bytes_lost == len(json.dumps(CHAT)) - 19
    assert len(warnings) == 1 and "a.json breaks off after 3 records" in warnings[0]


def test_columns_are_read_alone_and_what_the_format_does_not_need_goes_to_meta(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", [{**CHAT, "answer": "x", "id": 7, "more": 1}])
    _, (row,), warnings = taken_in(tmp_path, {"path": "a.jsonl", "columns": ["messages", "answer", "anser"]})
    assert row.meta == {"answer": "x"}
    assert warnings == ["no record of a.jsonl has the column 'anser'"]


def test_a_file_that_changes_after_it_was_bound_is_not_read(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl", [CHAT])
    entry = bind(Dataset.model_validate({"path": "a.jsonl"}), Surroundings(tmp_path, hash_file))
    put(path, [CHAT, CHAT])
    with pytest.raises(UserError, match="changed after the run began"):
        list(Intake([entry], "conversations").rows())


def test_large_files_come_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 10)
    put(tmp_path / "a.jsonl", [CHAT] * 25)
    entry = bind(Dataset.model_validate({"path": "a.jsonl"}), Surroundings(tmp_path, hash_file))
    assert [len(frame) for _, frame in Intake([entry], "conversations").frames()] == [10, 10, 5]


def test_read_rows_is_the_short_way(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress((json.dumps(PAIR) + "\n{}\n").encode()))
    rows, reading = read_rows(path, makes="preferences")
    assert len(rows) == 1
    assert (reading.records, reading.used, reading.malformed) == (2, 1, {"no_chosen": 1})


@pytest.mark.parametrize(
    ("file", "format", "makes", "rows"),
    [
        ("fastchat/dummy_conversation.json", "sharegpt", "conversations", 500),
        ("llamafactory/glaive_toolcall_en_demo.json", "sharegpt", "conversations", 300),
        ("llamafactory/kto_en_demo.json", "kto", "conversations", 300),
        ("hh_rlhf/harmless_base_test_first1500.jsonl.gz", "hh", "preferences", 1500),
        ("axolotl/conversation.json", "sharegpt", "conversations", 1),
        ("axolotl/conversation.missingturns.json", "sharegpt", "conversations", 1),
    ],
)
def test_real_files(file: str, format: str, makes: Makes, rows: int, real_data: Path) -> None:
    named, reading = read_rows(real_data / file, format, makes)
    assert (len(named), reading.records, reading.malformed) == (rows, rows, {})
    assert read_rows(real_data / file, "auto", makes)[0] == named
    if format == "kto":
        assert sum(row.label for row in named) == 150


LINE = st.one_of(
    st.just(json.dumps(CHAT)),
    st.just(json.dumps(PAIR)),
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=20),
    st.sampled_from(['{"messages": [{"role": "user", "content": "\\ud800"}]}', "[]", "{}", '"', "{", "}]", "\0"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(LINE, max_size=8),
    ending=st.sampled_from(["jsonl", "json", "csv"]),
    cut=st.sampled_from([None, 5, 40]),
)
def test_whatever_a_file_holds_it_is_rows_and_reasons_or_a_clear_error(
    lines: list[str], ending: str, cut: int | None, tmp_path: Path
) -> None:
    content = "\n".join(lines).encode()
    (tmp_path / f"a.{ending}").write_bytes(content[: -cut if cut else None])
    error, rows, used = "", [], 0
    try:
        intake, rows, _ = taken_in(tmp_path, {"path": f"a.{ending}", "format": "messages"})
        used = sum(reading.rows for reading in intake.ledger.readings)
    except UserError as refused:
        error = str(refused)
    assert len(rows) == used
    assert rows or f"a.{ending}: " in error
