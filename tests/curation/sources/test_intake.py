"""From entries to rows: every record accounted for, nothing read twice, losses said."""

from __future__ import annotations

import functools
import gzip
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.artifact import Surroundings, bind, hash_file
from curation.conversation import Candidates, Conversation, Preference
from curation.errors import UserError
from curation.formats import Makes
from curation.frame import to_frame
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


def test_columns_may_have_other_names_in_the_data(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("q,a,why,more\nHi,Hello!,because,1\n", encoding="utf-8")
    columns = {"prompt": "q", "completion": "a", "reason": "why", "gone": "nowhere"}
    _, (row,), warnings = taken_in(tmp_path, {"path": "a.csv", "columns": columns})
    assert [m.content for m in row.messages] == ["Hi", "Hello!"]
    assert row.meta == {"reason": "because"}
    assert warnings == ["no record of a.csv has the column 'nowhere'"]
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"q": ["Hi"], "a": ["Hello!"], "more": [1]}), tmp_path / "a.parquet")
    _, (other,), _ = taken_in(tmp_path, {"path": "a.parquet", "columns": {"prompt": "q", "completion": "a"}})
    assert other.messages == row.messages and other.meta == {}


def test_the_format_that_was_found_is_said_with_what_spoke_for_it(tmp_path: Path) -> None:
    share = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]}
    put(tmp_path / "a.jsonl", [share, {"instruction": "Hi", "output": "Hello!"}, share, {"conversations": []}, "{"])
    intake, rows, _ = taken_in(tmp_path, {"path": "a.jsonl"})
    (reading,) = intake.ledger.readings
    assert (len(rows), reading.formats) == (3, {"sharegpt": 2, "alpaca": 1})
    assert reading.evidence == {
        "sharegpt": "`conversations` holds turns (from, value)",
        "alpaca": "`instruction` and `output`",
    }
    assert reading.malformed == {"no_messages": 1, "not_json": 1}


def test_rated_answers_become_candidates(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", [{"prompt": "Hi", "responses": ["a", "b"], "ratings": [1, 2]}])
    intake, (row,), _ = taken_in(tmp_path, {"path": "a.jsonl", "weight": 2}, makes="candidates")
    assert isinstance(row, Candidates)
    assert row.meta == {"ratings": [1.0, 2.0], "weight": 2.0}
    ((_, frame),) = Intake(intake.datasets, "candidates").frames()
    assert frame["id"].to_list() == [row.id]


def test_a_file_that_changes_after_it_was_bound_is_not_read(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl", [CHAT])
    entry = bind(Dataset.model_validate({"path": "a.jsonl"}), Surroundings(tmp_path, hash_file))
    put(path, [CHAT, CHAT])
    with pytest.raises(UserError, match="changed after the run began"):
        list(Intake([entry], "conversations").rows())


def test_other_bytes_of_the_same_length_and_time_are_noticed_too(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl", [CHAT] * 30)
    entry = bind(Dataset.model_validate({"path": "a.jsonl"}), Surroundings(tmp_path, hash_file))
    was = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert path.stat().st_mtime_ns == was.st_mtime_ns
    with pytest.raises(UserError, match="changed after the run began"):
        list(Intake([entry], "conversations").rows())


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 10)
    path = put(tmp_path / "a.jsonl", [CHAT] * 25)
    entry = bind(Dataset.model_validate({"path": "a.jsonl"}), Surroundings(tmp_path, hash_file))
    read = Intake([entry], "conversations").rows()
    assert len(next(read)[1]) == 10
    with path.open("a") as file:
        file.write("\n")
    with pytest.raises(UserError, match="changed after the run began"):
        list(read)


def test_large_files_come_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 10)
    put(tmp_path / "a.jsonl", [CHAT] * 25)
    entry = bind(Dataset.model_validate({"path": "a.jsonl"}), Surroundings(tmp_path, hash_file))
    assert [len(frame) for _, frame in Intake([entry], "conversations").frames()] == [10, 10, 5]


@pytest.mark.parametrize("weight", [1, 2])
def test_frames_hold_what_rows_do(weight: float, tmp_path: Path) -> None:
    """Usual turns and others, ids, a broken line between them: frames are not made from finished rows."""
    named = {"id": "x", "conversations": [{"from": "human", "value": "a\ud83d\ude00"}, {"from": "bing", "value": ""}]}
    called = {"conversations": [{"from": "function_call", "value": '{"name": "f"}'}, {"from": "system", "value": "s"}]}
    put(tmp_path / "a.jsonl", [CHAT, "{oops", named, called, {"messages": [{"role": "USER ", "content": ["a", "b"]}]}])
    given = {"path": "a.jsonl", "format": "sharegpt", "license": "mit", "weight": weight}
    entry = bind(Dataset.model_validate(given), Surroundings(tmp_path, hash_file))
    (rows,) = (rows for _, rows in Intake([entry], "conversations").rows())
    (frame,) = (frame for _, frame in Intake([entry], "conversations").frames())
    assert len(rows) == 4
    assert frame.equals(to_frame(rows, Conversation))


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
        ("koala/koala_test_set.jsonl", "prompt", "conversations", 180),
        ("oasst1_en_validation/en-validation.jsonl", "oasst", "preferences", None),
        ("open_assistant/en_100_tree.jsonl", "oasst", "conversations", None),
    ],
)
def test_real_files(file: str, format: str, makes: Makes, rows: int | None, real_data: Path) -> None:
    named, reading = read_rows(real_data / file, format, makes)
    if rows is not None:  # one row a record; trees are counted where they are read
        assert (len(named), reading.records, reading.malformed) == (rows, rows, {})
    found, told = read_rows(real_data / file, "auto", makes)
    assert found == named
    assert told.formats == {format: reading.used} == reading.formats
    assert told.evidence[format] and reading.evidence == {}
    if format == "sharegpt":
        assert "conversations" in told.evidence[format] and {row.meta.get("tree") for row in found} == {None}
    if format == "kto":
        assert sum(row.label for row in named) == 150


def test_every_call_and_every_observation_of_the_real_tool_chats_is_there(real_data: Path) -> None:
    path = real_data / "llamafactory" / "glaive_toolcall_en_demo.json"
    records = json.loads(path.read_text(encoding="utf-8"))
    spoken = Counter(turn["from"] for record in records for turn in record["conversations"])
    rows, _ = read_rows(path)
    messages = [m.to_dict() for row in rows for m in row.messages]
    assert Counter(m["role"] for m in messages) == {
        "user": spoken["human"],
        "assistant": spoken["gpt"] + spoken["function_call"],
        "tool": spoken["observation"],
        **({"system": spoken["system"]} if spoken["system"] else {}),
    }
    calls = [json.loads(t["value"]) for r in records for t in r["conversations"] if t["from"] == "function_call"]
    made = [call["function"] for m in messages for call in m.get("tool_calls", [])]
    key = functools.partial(json.dumps, sort_keys=True)
    assert len(made) == spoken["function_call"] > 0
    assert sorted(map(key, made)) == sorted(map(key, calls))
    with_tools = sum(bool(json.loads(record.get("tools") or "[]")) for record in records)
    assert sum(row.tools is not None for row in rows) == with_tools


def test_real_questions_and_answers_under_names_of_their_own(real_data: Path) -> None:
    here = real_data / "gsm8k"
    around = Surroundings(here, hash_file)
    columns = {"prompt": "question", "completion": "answer"}
    intake = Intake([bind(Dataset.model_validate({"path": "test.jsonl", "columns": columns}), around)], "conversations")
    rows = [row for _, batch in intake.rows() for row in batch]
    with (here / "test.jsonl").open(encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    assert len(records) == 1319
    assert [(r.messages[0].content, r.messages[1].content) for r in rows] == [  # type: ignore[union-attr]
        (record["question"], record["answer"]) for record in records
    ]
    assert intake.ledger.readings[0].evidence == {"completion": "`prompt` and `completion`"}


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
