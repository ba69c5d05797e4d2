"""Planted duplicates, in ten languages, through both deduplications: what must go goes, what is merely like it stays.

The truth is the generator's: its similarities are counted on sets of tuples in plain Python.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from curation.conversation import Conversation, Message, Source
from curation.operators.exact_dedup import ExactDedup
from curation.operators.near_dedup import NearDedup
from curation.pipeline import Curated, curate

ROLES = {"human": "user", "gpt": "assistant"}


def script(name: str) -> ModuleType:
    """One of the scripts beside the benchmarks, as a module."""
    path = Path(__file__).parents[2] / "benchmarks" / "curation" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    found: list[tuple[dict[str, Any], dict[str, Any]]] = script("chats").chunk(0, 2400, seed=11)
    return found


@pytest.fixture(scope="module")
def truth(made: list[tuple[dict[str, Any], dict[str, Any]]]) -> pl.DataFrame:
    return pl.DataFrame([fact for _, fact in made])


@pytest.fixture(scope="module")
def curated(made: list[tuple[dict[str, Any], dict[str, Any]]]) -> Curated:
    rows = []
    for index, (record, _) in enumerate(made):
        messages = tuple(Message(ROLES[turn["from"]], turn["value"]) for turn in record["conversations"])
        rows.append(Conversation(messages=messages, source=Source(digest="d", index=index)))
    return curate(rows, [ExactDedup(), NearDedup()])


@pytest.fixture(scope="module")
def counted(curated: Curated, truth: pl.DataFrame) -> pl.DataFrame:
    kept = curated.kept.frame()["source"].struct.field("index")
    found: pl.DataFrame = script("survivors").survivors(truth, truth["id"].gather(kept).to_list())
    return found


def test_copies_are_found_in_every_language(counted: pl.DataFrame) -> None:
    assert len(counted) == 11, "ten languages, and all"
    assert counted["copies"].min() >= 10
    assert counted.filter(pl.col("recall") < 0.99).is_empty(), counted


def test_copies_below_the_threshold_stay(counted: pl.DataFrame) -> None:
    (total,) = counted.filter(language="all").to_dicts()
    assert total["below"] > 50
    assert total["removed"] + total["merged"] <= 0.03


def test_strangers_are_not_merged(counted: pl.DataFrame, curated: Curated, truth: pl.DataFrame) -> None:
    assert counted["lost"].max() == 0
    dropped = curated.dropped.frame()
    gone = truth["root"].gather(dropped["source"].struct.field("index"))
    kept = curated.kept.frame()
    place = dict(zip(kept["id"], kept["source"].struct.field("index"), strict=True))
    named = [truth["root"][place[i]] if i in place else None for i in dropped["evidence"]]
    strangers = sum(a != b for a, b in zip(gone, named, strict=True) if b is not None)
    assert strangers <= 0.0002 * len(truth)


def test_the_count_by_hand() -> None:
    """Group a: two of three copies gone. b: nothing but its distant copy is left. c: nothing at all."""
    rows = [
        ("a0", "base", "a0"), ("a1", "exact", "a0"), ("a2", "near", "a0"), ("a3", "near", "a0"), ("a4", "below", "a0"),
        ("b0", "base", "b0"), ("b1", "below", "b0"),
        ("c0", "base", "c0"), ("c1", "near", "c0"),
        ("d0", "refusal", "d0"),
    ]  # fmt: skip
    truth = pl.DataFrame(
        [{"id": i, "kind": kind, "root": root, "language": "en", "chars": 1000} for i, kind, root in rows]
    )
    counted = script("survivors").survivors(truth, ["a0", "a3", "b1"])
    assert counted.filter(language="en").to_dicts() == [
        {
            "language": "en",
            "rows": 9,
            "copies": 4,  # a1, a2, a3 and c1
            "recall": 3 / 4,  # a1, a2 and one of c0 and c1
            "below": 2,
            "removed": 1 / 2,  # a4
            "merged": 1 / 2,  # b1 in place of b0
            "lost": 1 / 9,  # c
        }
    ]
