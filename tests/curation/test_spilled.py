"""Frames on the disk come back as they were, also those that are kept as a selection of another one."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from curation import table
from curation.conversation import Conversation, Message
from curation.frame import to_frame
from curation.spilled import Spilled, base_of, mapped, spill_frame, spill_selection


def long_chats(count: int) -> pl.DataFrame:
    rows = [
        Conversation(messages=(Message("user", f"question {i}"), Message("assistant", f"word {i} " * 500)))
        for i in range(count)
    ]
    return to_frame(rows, Conversation)


@pytest.fixture
def whole(tmp_path: Path) -> pl.DataFrame:
    frame = long_chats(40)
    (tmp_path / "a").mkdir()
    spill_frame(frame, tmp_path / "a" / "0.arrow")
    return frame


def test_a_frame_is_mapped_back(tmp_path: Path, whole: pl.DataFrame) -> None:
    path = tmp_path / "a" / "0.arrow"
    assert mapped(path).equals(whole) and base_of(path) == path
    assert Spilled(path).slice(3, 4).equals(whole.slice(3, 4)) and Spilled(path).take([9, 2]).equals(whole[[9, 2]])
    assert Spilled(path).ids.equals(whole["id"])


def test_a_selection_holds_rows_and_what_changed_of_them_and_no_text(tmp_path: Path, whole: pl.DataFrame) -> None:
    rows = pl.Series([1, 4, 5, 30], dtype=pl.UInt32)
    frame = whole[rows].with_columns(
        pl.Series("split", ["test", "train", "test", None]), pl.Series("scores.words", [1.0, 2.0, None, 4.0])
    )
    (tmp_path / "b").mkdir()
    path = tmp_path / "b" / "0.arrow"
    spill_selection(frame, rows, tmp_path / "a" / "0.arrow", path)
    assert path.stat().st_size < (tmp_path / "a" / "0.arrow").stat().st_size / 40
    (tmp_path / "a").rename(tmp_path / "moved")
    (tmp_path / "moved").rename(tmp_path / "a")
    assert mapped(path).equals(frame) and Spilled(path).ids.equals(frame["id"]) and len(Spilled(path)) == 4
    assert Spilled(path).slice(1, 2).equals(frame.slice(1, 2)) and Spilled(path).take([3, 0]).equals(frame[[3, 0]])


def test_a_selection_of_a_selection_needs_the_texts_alone(tmp_path: Path, whole: pl.DataFrame) -> None:
    base, middle, last = (tmp_path / "a" / f"{i}.arrow" for i in range(3))
    first = pl.Series(range(0, 40, 3), dtype=pl.UInt32)
    spill_selection(whole[first].with_columns(pl.lit(7.0).alias("scores.a")), first, base, middle)
    then = pl.Series([2, 5], dtype=pl.UInt32)
    frame = mapped(middle)[then].with_columns(pl.lit(True).alias("label"))
    spill_selection(frame, then, middle, last)
    middle.unlink()
    assert base_of(last).samefile(base)
    assert mapped(last).equals(frame) and mapped(last)["id"].to_list() == [whole["id"][6], whole["id"][15]]
    assert mapped(last)["scores.a"].to_list() == [7.0, 7.0]


@pytest.mark.parametrize("sort", [True, False])
def test_spilled_frames_make_the_set_that_the_frames_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sort: bool
) -> None:
    frame = long_chats(60)
    frame = frame.sort("id") if sort else frame
    paths = []
    for number in range(3):
        some = frame.slice(20 * number, 20)
        spill_frame(some, tmp_path / f"{number}.arrow")
        rows = pl.Series(range(number, 20, 2), dtype=pl.UInt32)
        scored = some[rows].with_columns(pl.lit(float(number)).alias(f"scores.s{number % 2}"))
        spill_selection(scored, rows, tmp_path / f"{number}.arrow", tmp_path / f"{number}.rows.arrow")
        paths.append(tmp_path / f"{number}.rows.arrow")
    table.write(tmp_path / "wanted", [mapped(path) for path in paths])
    for cut, name in ((10**6, "one"), (7, "many")):
        monkeypatch.setattr(table, "ROWS_PER_FILE", cut)
        assert table.write_spilled(tmp_path / name, paths, frame.clear()) == 29
        assert table.read(tmp_path / name).equals(table.read(tmp_path / "wanted"))
        assert table.digest(tmp_path / name) == table.digest(tmp_path / "wanted")
        assert not (tmp_path / name / ".sorting").exists()
    assert len(table.shards(tmp_path / "many")) > 3 and len(table.shards(tmp_path / "one")) == 1
    with pytest.raises(ValueError, match="holds rows already"):
        table.write_spilled(tmp_path / "many", paths, frame.clear())
