"""A data set on the disk: one order, one digest, whatever files it was cut into."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation import table
from curation.conversation import Candidates, Conversation, Message, Source
from curation.errors import UserError
from curation.frame import row_hashes, to_frame


def chats(count: int) -> list[Conversation]:
    return [
        Conversation(
            messages=(Message("user", f"q{i % 50}"), Message("assistant", "a" * (i % 7))),
            source=Source("d", "f", "dg", i, "mit"),
            scores={"w": float(i)} if i % 3 else {},
            split=None if i % 5 == 0 else "test" if i % 5 == 1 else "train",
        )
        for i in range(count)
    ]


def test_rows_are_sorted_by_id_then_origin_over_all_files(tmp_path: Path) -> None:
    rows = chats(90)
    assert table.write(tmp_path, to_frame(rows, Conversation)) == 90
    assert table.rows(tmp_path) == sorted(rows, key=lambda r: (r.id, r.source.digest, r.source.index))


def test_sorting_on_the_disk_gives_what_sorting_in_memory_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = chats(300)
    table.write(tmp_path / "memory", to_frame(rows, Conversation))
    monkeypatch.setattr(table, "ROWS_PER_FILE", 20)
    random.Random(0).shuffle(rows)
    frames = (to_frame(rows[i : i + 13], Conversation) for i in range(0, 300, 13))
    assert table.write(tmp_path / "disk", frames) == 300
    assert len(table.shards(tmp_path / "disk")) > 10
    assert table.read(tmp_path / "disk").equals(table.read(tmp_path / "memory"))
    assert table.digest(tmp_path / "disk") == table.digest(tmp_path / "memory")
    assert [p.name for p in (tmp_path / "disk").iterdir() if not p.name.startswith("rows-")] == []


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_written_is_read(data: Any, any_rows: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    kind, rows = data.draw(any_rows)
    folder = tmp_path_factory.mktemp("set")
    frame = to_frame(rows, kind)
    table.write(folder, frame)
    hashes = "".join(sorted(row_hashes(frame)))
    assert table.digest(folder) == hashlib.sha256(f"{table.kind_name(frame)}\n{hashes}".encode()).hexdigest()
    back = table.rows(folder)
    assert len(back) == table.count(folder) == len(rows)
    assert all(row in rows for row in back) and all(row in back for row in rows)


def test_a_digest_tells_kinds_and_contents_apart(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("none", "no candidates", "one", "scored")}
    table.write(folders["none"], [], Conversation)
    table.write(folders["no candidates"], [], Candidates)
    row = chats(1)[0]
    table.write(folders["one"], to_frame([row], Conversation))
    table.write(folders["scored"], to_frame([row.with_(scores={"w": 1.0})], Conversation))
    assert len({table.digest(f) for f in folders.values()}) == 4


def test_parts_are_the_splits_and_rows_outside_are_in_none(tmp_path: Path) -> None:
    table.write(tmp_path, to_frame(chats(50), Conversation))
    assert table.parts(tmp_path) == {"test": 10, "train": 30}
    assert {r.split for r in table.rows(tmp_path, "test")} == {"test"}
    assert len(table.read(tmp_path, "train")) == 30
    assert table.part_or(tmp_path, None, "train") == "train"
    assert table.part_or(tmp_path, "test", "train") == "test"


def test_a_part_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    table.write(tmp_path / "split", to_frame(chats(5), Conversation))
    with pytest.raises(UserError, match="no part 'tset'") as caught:
        table.read(tmp_path / "split", "tset")
    assert "test" in caught.value.hint
    table.write(tmp_path / "whole", to_frame([c.with_(split=None) for c in chats(5)], Conversation))
    with pytest.raises(UserError) as caught:
        table.read(tmp_path / "whole", "train")
    assert "not split" in caught.value.hint
    assert table.parts(tmp_path / "whole") == {}
    assert table.part_or(tmp_path / "whole", None, "train") is None


def test_batches_cut_the_rows_and_lose_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "ROWS_PER_FILE", 20)
    table.write(tmp_path / "set", (to_frame([c], Conversation) for c in chats(50)))
    pieces = list(table.batches(tmp_path / "set", size=7))
    assert max(map(len, pieces)) == 7
    assert table.concat(pieces).equals(table.read(tmp_path / "set"))
    assert sum(map(len, table.batches(tmp_path / "set", "test", size=7))) == 10
    table.write(tmp_path / "none", [], Conversation)
    assert [len(f) for f in table.batches(tmp_path / "none")] == [0]


def test_frames_with_different_scores_go_into_one_set(tmp_path: Path) -> None:
    rows = [c.with_(scores={f"s{i % 2}": 1.0}) for i, c in enumerate(chats(4))]
    table.write(tmp_path, (to_frame([r], Conversation) for r in rows))
    assert table.read(tmp_path).select("scores.s0", "scores.s1").null_count().row(0) == (2, 2)
    assert sorted(map(repr, table.rows(tmp_path))) == sorted(map(repr, rows))


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    frame = to_frame(chats(2), Conversation)
    with pytest.raises(ValueError, match="strange"):
        table.write(tmp_path, frame.with_columns(pl.lit(1).alias("loose")))
    table.write(tmp_path, frame)
    with pytest.raises(ValueError, match="holds rows already"):
        table.write(tmp_path, frame)
    with pytest.raises(UserError, match="there is no data set"):
        table.read(tmp_path / "nowhere")


def test_a_table_of_something_else_is_kept_as_it_is(tmp_path: Path) -> None:
    broken = pl.DataFrame({"reason": ["no_messages", "bad_json"], "record": ["{}", "{"]})
    table.write(tmp_path / "a", broken)
    table.write(tmp_path / "b", broken.reverse())
    assert table.read(tmp_path / "a").equals(broken)
    assert table.parts(tmp_path / "a") == {}
    assert table.digest(tmp_path / "a") != table.digest(tmp_path / "b")
