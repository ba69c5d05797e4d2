"""The local engine: no result depends on the batches, nothing finished is done twice, and models score fixed chunks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_rows import Halves, Model, chats, outcome

from curation.conversation import Conversation, Message, Preference
from curation.engines import ALLOCATOR, files
from curation.engines.local import Local
from curation.errors import UserError, disk_is_full
from curation.operator import Decision, Filter, Operator, Selector, scorer_key
from curation.operators.exact_dedup import ExactDedup
from curation.operators.keep import Keep
from curation.operators.normalize import Normalize
from curation.operators.random import Random
from curation.operators.split import Split
from curation.operators.turns import Turns
from curation.operators.words import Words
from curation.pipeline import curate


class Memory:
    """A score cache in memory."""

    def __init__(self) -> None:
        self.scores: dict[tuple[str, str], float] = {}

    def get(self, scorer_key: str, ids: Sequence[str]) -> dict[str, float]:
        return {i: self.scores[scorer_key, i] for i in ids if (scorer_key, i) in self.scores}

    def put(self, scorer_key: str, scores: Mapping[str, float]) -> None:
        self.scores |= {(scorer_key, i): s for i, s in scores.items()}


@pytest.fixture(autouse=True)
def fresh() -> None:
    Model.calls.clear()
    Model.prepared.clear()


OPERATORS: list[Operator] = [
    Normalize(),
    Turns(),
    Halves(),
    ExactDedup(),
    Words(),
    Model(),
    Keep(condition="words >= 2 and model > 5"),
    Random(fraction=0.8),
    Split(test=0.3, by="prompt"),
]


@pytest.mark.parametrize(("count", "batch_rows"), [(60, 7), (16, 1)])
def test_no_result_depends_on_the_batches_or_the_order(count: int, batch_rows: int) -> None:
    rows = chats(count)
    whole = outcome(curate(rows, OPERATORS))
    assert [e.operator for e in whole[2].entries] == [o.title for o in OPERATORS]
    assert len(whole[0]) > count / 8 and whole[2].entries[2].children > count / 8
    chunks = sorted(map(sorted, Model.calls))
    Model.calls.clear()
    cut = outcome(curate(rows[::-1], OPERATORS, engine=Local(batch_rows)))
    assert cut[0].equals(whole[0]) and cut[1].equals(whole[1]) and cut[2] == whole[2]
    assert sorted(map(sorted, Model.calls)) == chunks


def test_every_row_is_kept_or_dropped_once() -> None:
    rows = chats(120)
    curated = curate(rows, [Turns(), ExactDedup(), Words(), Keep(condition="words > 3")], engine=Local(13))
    origins = [(r.source.digest, r.source.index) for part in (curated.kept, curated.dropped) for r in part.rows()]
    assert sorted(origins) == sorted((r.source.digest, r.source.index) for r in rows)
    reasons = curated.dropped.frame().group_by("dropped_by", "reason").len()
    assert {f"{by}: {word}": n for by, word, n in reasons.iter_rows()} == curated.ledger.dropped()


def test_models_score_each_different_chat_once_in_chunks_by_length_then_id() -> None:
    rows = chats(60)
    curated = curate([*rows, *rows[:5]], [Model()], engine=Local(9))
    chats_by_size = {(sum(len(m.content.encode()) for m in r.messages), r.id) for r in rows}
    ids = [i for _, i in sorted(chats_by_size)]
    assert Model.calls == [ids[i : i + 4] for i in range(0, len(ids), 4)]
    scores = {r.id: r.scores["model"] for r in curated.kept.rows()}
    for chunk in Model.calls:
        longest = max(len(r.reply) for r in rows if r.id in chunk)
        assert all(scores[r.id] == len(r.reply) + longest / 1000 for r in rows if r.id in chunk)


def test_a_cache_saves_forward_passes_and_changes_no_number() -> None:
    rows, cache = chats(60), Memory()
    first = curate(rows, [Model()], scores=cache).kept.frame()
    assert {key for key, _ in cache.scores} == {scorer_key(Model())}
    Model.calls.clear()
    Model.prepared.clear()
    assert curate(rows, [Model(), Random(n=10)], scores=cache).kept.frame().height == 10
    assert (Model.calls, Model.prepared) == ([], [])  # not even opened
    forgotten = min(i for _, i in cache.scores)
    del cache.scores[scorer_key(Model()), forgotten]
    assert curate(rows, [Model()], scores=cache).kept.frame().equals(first)
    assert len(Model.calls) == 1 and forgotten in Model.calls[0] and len(Model.calls[0]) == 4


def test_models_score_the_chat_that_on_names() -> None:
    def pair(i: int) -> Preference:
        answers = [(Message("assistant", "x" * n),) for n in (i, 2 * i)]
        return Preference(prompt=(Message("user", "q"),), chosen=answers[0], rejected=answers[1])

    curated = curate([pair(i) for i in (3, 5)], [Model(on="chosen"), Model(on="rejected")])
    found = sorted((r.scores["model_chosen"], r.scores["model_rejected"]) for r in curated.kept.rows())
    assert found == [(3.005, 6.01), (5.005, 10.01)]


class Stumbles(Filter):
    op: Literal["stumbles"] = "stumbles"
    at: ClassVar[int | None] = None
    seen: ClassVar[list[int]] = []

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        if self.at is not None and len(self.seen) == self.at:
            raise OSError("no space left")
        self.seen.append(len(frame))
        return pl.Series([None] * len(frame), dtype=pl.String)


def test_a_run_that_broke_off_goes_on_at_the_batch_that_it_was_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = chats(70)
    operators = [Words(), Stumbles(), ExactDedup(), Stumbles(), Split(test=0.5)]
    clean = outcome(curate(rows, operators, engine=Local(10)))
    for at in (3, 7, 9):  # in the first stage, at the start of the second, and in it
        monkeypatch.setattr(Stumbles, "at", at)
        monkeypatch.setattr(Stumbles, "seen", [])
        work = tmp_path / str(at)
        with pytest.raises(OSError, match="no space"):
            curate(rows, operators, engine=Local(10), work=work)
        monkeypatch.setattr(Stumbles, "at", None)
        again = outcome(curate(rows, operators, engine=Local(10), work=work))
        assert len(Stumbles.seen) == 14  # seven batches in each of two stages, none of them twice
        assert all(a.equals(b) for a, b in zip(again[:2], clean[:2], strict=True)) and again[2] == clean[2]


def test_a_disk_that_is_full_at_any_write_is_an_error_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = chats(40)
    operators = [Halves(), Words(), ExactDedup(), Model(), Keep(condition="words > 1")]
    clean = outcome(curate(rows, operators, engine=Local(20)))
    spill_frame, spill_selection, writes, room = files.spill_frame, files.spill_selection, 0, 10**6

    def bounded(path: Path, write: Callable[[], None]) -> None:
        nonlocal writes
        writes += 1
        if writes > room:
            path.write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        write()

    monkeypatch.setattr(files, "spill_frame", lambda frame, path: bounded(path, lambda: spill_frame(frame, path)))
    monkeypatch.setattr(files, "spill_selection", lambda *given: bounded(given[-1], lambda: spill_selection(*given)))
    assert outcome(curate(rows, operators, engine=Local(20)))[2] == clean[2]
    total = writes
    assert total > 12
    for had in range(total):
        work, writes, room = tmp_path / str(had), 0, had
        with pytest.raises(OSError, match="No space left on device") as caught:  # the house says which disk
            curate(rows, operators, engine=Local(20), work=work)
        assert disk_is_full(caught.value) and not [*work.rglob("*.part")]
        writes, room = 0, total
        again = outcome(curate(rows, operators, engine=Local(20), work=work))
        assert again[0].equals(clean[0]) and again[1].equals(clean[1]) and again[2] == clean[2]
        assert writes < total - had + 3  # the files of one batch, and not those of batches that were finished


def test_texts_that_nobody_edits_are_written_once(tmp_path: Path) -> None:
    rows = [c.with_(messages=(Message("system", f"{i} " * 2000), *c.messages)) for i, c in enumerate(chats(60))]
    operators = [Turns(), Words(), ExactDedup(), Keep(condition="words > 3"), Model(), Split(test=0.5)]
    curate(rows, operators, engine=Local(20), work=tmp_path / "a")
    sizes = [sum(p.stat().st_size for p in (tmp_path / "a").glob(f"stages/stage-{i}/0000?.arrow")) for i in range(4)]
    assert sizes[0] > 200_000 and sizes[1:3] == [0, 0] and 0 < sizes[3] < sizes[0] / 20
    curate(rows, [*operators, Normalize()], engine=Local(20), work=tmp_path / "b")
    sizes = [sum(p.stat().st_size for p in (tmp_path / "b").glob(f"stages/stage-{i}/0000?.arrow")) for i in range(4)]
    assert sizes[:3] == [0, 0, 0] and sizes[3] > 100_000  # edited, so that nobody needs the others any more


@pytest.mark.parametrize("last", [[], [Normalize()]], ids=["selections", "texts"])
def test_a_run_that_is_killed_while_it_deletes_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: list[Operator]
) -> None:
    rows, operators = chats(60), [Halves(), ExactDedup(), Words(), Model(), Split(test=0.5), *last]
    clean = outcome(curate(rows, operators, engine=Local(20)))
    unlink, left = Path.unlink, 0

    def bounded(path: Path, missing_ok: bool = False) -> None:
        nonlocal left
        if path.suffix == ".arrow":
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", bounded)
    for count in range(100):
        left = count
        try:
            done = outcome(curate(rows, operators, engine=Local(20), work=tmp_path / str(count)))
        except KeyboardInterrupt:
            left = 100
            done = outcome(curate(rows, operators, engine=Local(20), work=tmp_path / str(count)))
            assert done[0].equals(clean[0]) and done[1].equals(clean[1]) and done[2] == clean[2]
        else:
            break
    assert 8 < count < 100  # every deletion was the last one once
    again = outcome(curate(rows, operators, engine=Local(20), work=tmp_path / str(count)))
    assert again[0].equals(clean[0]) and again[1].equals(clean[1]) and again[2] == clean[2]


def test_other_rows_operators_or_batches_start_over(tmp_path: Path) -> None:
    rows = chats(30)
    one = outcome(curate(rows, [Words(), Keep(condition="words > 3")], work=tmp_path))
    other = outcome(curate(rows, [Words(), Keep(condition="words > 5")], work=tmp_path))
    fewer = outcome(curate(rows[:10], [Words(), Keep(condition="words > 5")], work=tmp_path, engine=Local(3)))
    assert len(one[0]) > len(other[0]) > len(fewer[0])
    assert outcome(curate(rows, [Words(), Keep(condition="words > 3")], work=tmp_path))[0].equals(one[0])


class Labels(Selector):
    """A selector that writes; the next operators see what it wrote."""

    op: Literal["labels"] = "labels"
    column: str = "scores.rank"

    def writes(self) -> frozenset[str]:
        return frozenset({"rank"})

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select("scores.words")

    def decide(self, table: pl.DataFrame) -> Decision:
        assert table.columns == ["id", "origin", "scores.words"]  # never the text
        none = pl.Series([None] * len(table), dtype=pl.String)
        return Decision(none, {self.column: table["scores.words"].rank("dense").cast(pl.Float64)})


def test_a_selector_may_write_a_score_and_nothing_else() -> None:
    curated = curate(chats(30), [Words(), Labels(), Keep(condition="rank <= 2")], engine=Local(4))
    words = sorted({r.scores["words"] for r in curate(chats(30), [Words()]).kept.rows()})
    assert {r.scores["words"] for r in curated.kept.rows()} == set(words[:2])
    with pytest.raises(UserError, match="writes 'meta'"):
        curate(chats(3), [Words(), Labels(column="meta")])


def test_a_set_without_rows_comes_out_without_rows(tmp_path: Path) -> None:
    from curation import table

    table.write(tmp_path / "none", [], Conversation)
    curated = curate(tmp_path / "none", [Normalize(), Words(), ExactDedup(), Model(), Split(test=0.5)])
    assert len(curated.kept) == len(curated.dropped) == 0
    assert curated.kept.write(tmp_path / "out") == 0
    assert [e.made for e in curated.ledger.entries] == [0] * 5


def test_the_allocator_of_polars_does_what_it_is_told() -> None:
    said = {name: f"{value},stats_print:true" for name, value in ALLOCATOR.items()}
    done = subprocess.run(
        [sys.executable, "-c", "import polars"], env={**os.environ, **said}, capture_output=True, text=True, check=True
    )
    assert "opt.dirty_decay_ms: 20000" in done.stdout + done.stderr
