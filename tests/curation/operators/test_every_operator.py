"""Every built-in operator, found by its name: no row is lost, and nothing but the rows decides what comes out.

An operator stands here as its page shows it (`rlhf.recipe.operators`), so a new one is here as soon as it is known by
name. Those that need a model, an endpoint or other data are shown by claims of their own.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from mixed_rows import ROWS
from shown_operators import SHOWN, alone

from curation import table
from curation.engines.local import Local
from curation.errors import UserError
from curation.frame import to_frame
from curation.operator import Filter, Mapper, Operator, Scorer
from curation.pipeline import Curated, curate

CASES = [
    (name, kind)
    for name, operators in SHOWN.items()
    for kind in ROWS
    if alone(operators) and all(kind in o.rows for o in operators)
]


def rows_for(kind: str, operators: Sequence[Operator]) -> list[Any]:
    """The rows, with scores that an operator needs and none before it makes, on most of them."""
    rows: list[Any] = ROWS[kind]()
    made: set[str] = set()
    for operator in operators:
        for score in operator.reads() - made:
            rows = [r.with_(scores={**r.scores, score: float(i % 7)}) if i % 5 else r for i, r in enumerate(rows)]
        made |= operator.writes()
    return rows


def origins(curated: Curated) -> Counter[tuple[str, int]]:
    """How often each record of the input is among what came out."""
    rows = [*curated.kept.rows(), *curated.dropped.rows()]
    return Counter((row.source.digest, row.source.index) for row in rows)


def test_most_operators_are_here() -> None:
    """Those that are not need something from outside, and say so."""
    left_out = set(SHOWN) - {name for name, _ in CASES}
    assert len(left_out) < len(SHOWN) / 2
    assert {"exact_dedup", "normalize", "words", "boilerplate", "split"} <= set(SHOWN) - left_out


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_sums_hold_and_neither_batches_nor_order_decide(name: str, kind: str, tmp_path: Path) -> None:
    operators = SHOWN[name]
    rows = rows_for(kind, operators)
    whole = curate(rows, operators, engine=Local(len(rows)))
    entries = whole.ledger.entries
    assert whole.ledger.problems() == []
    assert entries[0].made == len(rows) and entries[-1].kept == len(whole.kept)
    assert sum(sum(e.dropped.values()) for e in entries) == len(whole.dropped)

    came = origins(whole)
    assert set(came) == {(row.source.digest, row.source.index) for row in rows}
    if not any(e.children for e in entries):
        assert set(came.values()) == {1}
    given = {row.id for row in rows}
    children = [row for row in whole.kept.rows() if came[row.source.digest, row.source.index] > 1]
    assert all(child.parent in given for child in children)

    assert_same(curate(shuffled(rows), operators, engine=Local(17)), whole, tmp_path)
    few = shuffled(rows)[:12]
    try:
        all_at_once = curate(few[::-1], operators)
    except UserError as error:  # `split` refuses where a part stays empty
        with pytest.raises(UserError, match=re.escape(error.what)):
            curate(few, operators, engine=Local(1))
    else:
        assert_same(curate(few, operators, engine=Local(1)), all_at_once, tmp_path / "few")


def shuffled(rows: Sequence[Any]) -> list[Any]:
    return random.Random(0).sample(rows, len(rows))


def assert_same(one: Curated, two: Curated, folder: Path) -> None:
    """The same rows, digests, dropped rows and ledger; only times may differ."""
    for name, curated in (("one", one), ("two", two)):
        curated.kept.write(folder / name)
    assert table.digest(folder / "one") == table.digest(folder / "two")
    assert one.kept.frame().equals(two.kept.frame())
    assert one.dropped.frame().equals(two.dropped.frame())
    lines = [[e.model_copy(update={"seconds": 0}) for e in c.ledger.entries] for c in (one, two)]
    assert lines[0] == lines[1]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_row_by_itself_gets_what_it_gets_among_others(name: str, kind: str) -> None:
    """The path by row and the path by frame are one."""
    operators = SHOWN[name]
    rows = rows_for(kind, operators)
    rows = rows[:: 2 if kind == "conversations" else 6]  # pairs and candidates hold the same texts
    for number, operator in enumerate(operators):
        given: list[Any] = curate(rows, operators[:number]).kept.rows() if number else rows
        operator.prepare()
        frame = to_frame(given, type(given[0]))
        if isinstance(operator, Mapper):
            made = [child for row in given for child in operator.map(row)]
            assert made == curate_only(operator, given)
        if isinstance(operator, Filter):
            assert [operator.reason(row) for row in given] == operator.reasons(frame).to_list()
        if isinstance(operator, Scorer):
            scores = operator.score_frame(frame).to_list()
            assert operator.score(given) == scores == [operator.score([row])[0] for row in given]


def curate_only(operator: Mapper, rows: Sequence[Any]) -> list[Any]:
    """What the frame path makes of all rows, as rows, in their order."""
    from curation.frame import to_rows, with_ids

    frame = to_frame(rows, type(rows[0]))
    made = with_ids(operator.map_frame(frame))
    origin = made["row"].to_list() if "row" in made.columns else list(range(len(made)))
    counts = Counter(origin)
    children = to_rows(made.drop("row", strict=False))
    return [
        child.with_(parent=rows[at].id) if counts[at] > 1 else child for at, child in zip(origin, children, strict=True)
    ]
