"""A source whose rows are one template filled in goes as a whole; what people write stays, copies and all."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest

from curation.conversation import Conversation, Message, Source
from curation.engines.barriers import choose, table_of
from curation.frame import to_frame
from curation.operators.homogeneity import Homogeneity

WORDS = [a + b for a in "ba ce di fo gu ha je ki lo mu".split() for b in "ran sel tim von wup zax".split()]


def row(text: str, dataset: str, index: int, file: str = "f") -> Conversation:
    messages = (Message("user", text), Message("assistant", f"answer{index}"))
    return Conversation(messages=messages, source=Source(dataset, file, dataset, index, ""))


def template(slots: int, fixed: int, rng: random.Random) -> str:
    """So many fixed words, and as many others drawn by chance behind them."""
    return " ".join(
        [*(f"fixed{i}" for i in range(fixed)), *(rng.choice(WORDS) + rng.choice(WORDS) for _ in range(slots))]
    )


def source(name: str, rows: int, fixed: int, slots: int, seed: int = 1) -> list[Conversation]:
    rng = random.Random(seed)
    return [row(template(slots, fixed, rng), name, i) for i in range(rows)]


def decided(rows: list[Conversation], **settings: Any) -> list[tuple[str | None, str | None]]:
    own = Homogeneity(**settings)
    decision = choose(own, table_of(to_frame(rows, Conversation), own))
    assert decision.evidence is not None
    return list(zip(decision.reasons.to_list(), decision.evidence.to_list(), strict=True))


def nearest_by_sets(rows: list[Conversation]) -> float:
    """The measure by Python's sets, over all rows."""

    def pairs(one: Conversation) -> set[tuple[str, ...]]:
        found: set[tuple[str, ...]] = set()
        for message in one.messages:
            words = message.content.split()
            found |= {tuple(words[i : i + 2]) for i in range(max(len(words) - 1, 1))}
        return found

    sets = [pairs(one) for one in rows]
    return sum(max(len(a & b) / len(a | b) for b in sets if b is not a) for a in sets) / len(sets)


def test_a_planted_source_goes_as_a_whole_and_the_others_stay() -> None:
    planted, honest = source("planted", 150, fixed=30, slots=10), source("honest", 150, fixed=0, slots=40)
    said = decided([*planted, *honest])
    assert {reason for reason, _ in said[:150]} == {"homogeneous_source"}
    assert said[150:] == [(None, None)] * 150
    figure, _, rest = str(said[0][1]).partition(" ")
    assert float(figure) == pytest.approx(nearest_by_sets(planted), abs=0.06)
    assert rest == "is what each of 150 rows shares with its nearest, on average"


@pytest.mark.parametrize("fixed", [12, 20, 40])
def test_the_bound_cuts_where_the_figure_is(fixed: int) -> None:
    rows = source("one", 120, fixed=fixed, slots=20)
    figure = nearest_by_sets(rows)
    # Which row is nearest is told by an estimate, so that the figure is a little low.
    assert decided(rows, max_similarity=figure + 0.02)[0][0] is None
    assert decided(rows, max_similarity=figure - 0.06)[0][0] == "homogeneous_source"


def test_many_templates_are_one_kind_of_source() -> None:
    # Thirty templates of their own words: two rows in thirty share one, and still each has a twin.
    rng = random.Random(2)
    heads = [" ".join(f"t{t}w{i}" for i in range(30)) for t in range(30)]
    rows = [row(f"{heads[i % 30]} {template(8, 0, rng)}", "many", i) for i in range(300)]
    assert {reason for reason, _ in decided(rows)} == {"homogeneous_source"}


def test_the_same_row_many_times_is_no_template() -> None:
    honest = source("honest", 110, fixed=0, slots=30)
    assert {reason for reason, _ in decided([*honest, *honest, *honest])} == {None}
    one = [row("the same words again and again", "one", 0)] * 500
    assert {reason for reason, _ in decided(one)} == {None}


def test_small_sources_are_not_judged() -> None:
    rows = source("small", 99, fixed=30, slots=5)
    assert {reason for reason, _ in decided(rows)} == {None}
    assert {reason for reason, _ in decided(rows, min_rows=99)} == {"homogeneous_source"}


def test_a_source_may_be_each_file() -> None:
    rng = random.Random(3)
    planted = [row(template(5, 30, rng), "set", i, file="a.jsonl") for i in range(120)]
    honest = [row(template(35, 0, rng), "set", i, file="b.jsonl") for i in range(900)]
    assert {reason for reason, _ in decided([*planted, *honest])} == {None}  # a ninth of the set, which is not much
    by_file = decided([*planted, *honest], by="file")
    assert {reason for reason, _ in by_file[:120]} == {"homogeneous_source"}
    assert {reason for reason, _ in by_file[120:]} == {None}


@pytest.mark.parametrize("script", [0x4E00, 0xAC00, 0x0E01])
def test_templates_are_seen_in_every_script(script: int) -> None:
    rng = random.Random(4)
    letters = [chr(script + i) for i in range(40)]

    def text(fixed: int, slots: int) -> str:
        return "".join([*(letters[i] for i in range(fixed)), *(rng.choice(letters) for _ in range(slots))])

    space = " " if script == 0xAC00 else ""
    planted = [row(space.join(text(34, 6)), "planted", i) for i in range(120)]
    honest = [row(space.join(text(0, 40)), "honest", i) for i in range(120)]
    said = [reason for reason, _ in decided([*planted, *honest])]
    assert said == ["homogeneous_source"] * 120 + [None] * 120


def test_neither_the_order_of_rows_nor_their_batches_change_a_thing() -> None:
    rows = [*source("planted", 130, 30, 10), *source("honest", 130, 0, 40)]
    own = Homogeneity(sample=64)
    frame = to_frame(rows, Conversation)
    whole = choose(own, table_of(frame, own))
    parts = choose(own, pl.concat([table_of(part, own) for part in frame.iter_slices(17)]))
    assert parts.reasons.to_list() == whole.reasons.to_list()
    assert parts.evidence is not None and whole.evidence is not None
    assert parts.evidence.to_list() == whole.evidence.to_list()
    assert decided(rows[::-1], sample=64)[::-1] == list(zip(whole.reasons, whole.evidence, strict=True))
