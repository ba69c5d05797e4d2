"""What is picked of a step's rows: fair, bounded, and the same whatever the order, the batches or the files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from curation import table
from curation.conversation import Conversation, Message, Preference, Source
from curation.frame import to_frame
from curation.ledger import Entry, Ledger
from curation.sources.intake import Malformed
from rlhf.report import projection
from rlhf.report.datamap import FEWEST, POINTS, data_map
from rlhf.report.histograms import BINS, histograms
from rlhf.report.samples import EACH, dropped_samples, malformed_samples, text_of
from rlhf.report.seen import look


def chat(text: str, dataset: str = "d", **scores: float) -> Conversation:
    messages = (Message("user", f"ask {text}"), Message("assistant", text))
    return Conversation(messages=messages, source=Source(dataset=dataset, digest=dataset), scores=scores)


def kept(folder: Path, rows: list) -> Path:
    table.write(folder, to_frame(rows, type(rows[0])))
    return folder


def gone(folder: Path, rows: list[tuple[Conversation, str, str]]) -> Path:
    frame = to_frame([row for row, _, _ in rows], Conversation)
    words = {"dropped_by": [by for _, by, _ in rows], "reason": [word for _, _, word in rows]}
    table.write(folder, frame.with_columns(pl.Series(name, values) for name, values in words.items()))
    return folder


def test_ten_rows_of_each_reason_in_the_order_of_the_operators(tmp_path):
    rows = [(chat(f"a{i}"), "later", "second") for i in range(30)]
    rows += [(chat(f"b{i}"), "first", "one") for i in range(3)]
    entries = [Entry(operator="first", dropped={"one": 3}), Entry(operator="later", dropped={"second": 30})]
    found = dropped_samples(gone(tmp_path / "a", rows), entries)
    assert [(s["dropped by"], s["reason"]) for s in found] == [("first", "one")] * 3 + [("later", "second")] * EACH
    assert found == dropped_samples(gone(tmp_path / "b", rows[::-1]), entries)
    smallest = sorted((row.id, row.reply) for row, by, _ in rows if by == "later")[:EACH]
    assert [s["text"].rpartition("assistant: ")[2] for s in found[3:]] == [reply for _, reply in smallest]


def test_what_an_operator_said_of_a_row_comes_along(tmp_path):
    folder = gone(tmp_path, [(chat("a"), "op", "word"), (chat("b"), "op", "word")])
    frame = table.scan(folder).collect()
    said = pl.when(pl.col("id") == chat("a").id).then(pl.lit("like another"))
    table.write(tmp_path / "said", frame.with_columns(said.alias("evidence")))
    found = dropped_samples(tmp_path / "said", [Entry(operator="op", dropped={"word": 2})])
    assert {s["text"]: s.get("evidence") for s in found} == {
        text_of(chat("a")): "like another",
        text_of(chat("b")): None,
    }


def test_records_that_gave_no_row_are_shown_from_all_over_the_file(tmp_path):
    held = Malformed(tmp_path / "malformed")
    for i in range(100):
        held.add("chats.jsonl", i, "no_role", {"number": i})
    held.add("chats.jsonl", 100, "no_messages", {"cut": 1})
    held.flush()
    found = malformed_samples(tmp_path / "malformed")
    assert [s["reason"] for s in found] == ["no_role"] * EACH + ["no_messages"]
    assert [s["text"] for s in found[1:3]] == [f'chats.jsonl, record {i}: {{"number": {i}}}' for i in (10, 20)]
    assert found[-1]["text"] == 'chats.jsonl, record 100: {"cut": 1}'
    assert malformed_samples(None) == malformed_samples(tmp_path / "none") == []


def test_many_reasons_share_what_fits(tmp_path):
    rows = [(chat(f"{r}-{i}"), "op", f"r{r}") for r in range(100) for i in range(5)]
    found = dropped_samples(gone(tmp_path, rows), [Entry(operator="op", dropped={f"r{r}": 5 for r in range(100)})])
    assert len(found) == 300
    assert len({s["reason"] for s in found}) == 100


def test_a_sample_shows_both_ends_of_a_long_message():
    text = text_of(chat("start " + "x" * 1_000_000 + " end"))
    assert len(text) < 1200
    assert "assistant: start" in text and text.endswith("end") and "characters …]" in text


def test_a_pair_shows_both_answers():
    pair = Preference(
        prompt=(Message("user", "q"),), chosen=(Message("assistant", "a"),), rejected=(Message("assistant", "b"),)
    )
    assert text_of(pair) == "user: q\nchosen: a\nrejected: b"


def test_counts_of_a_score_are_all_rows_that_have_it(tmp_path):
    stay = kept(tmp_path / "k", [chat(f"a{i}", words=float(i)) for i in range(100)])
    went = [(chat(f"b{i}", words=0.0), "keep", "low_words") for i in range(20)] + [(chat("c"), "roles", "x")]
    (found,) = histograms(stay, gone(tmp_path / "d", went))
    assert found["score"] == "words" and not found["log"]
    assert sum(found["kept"]) == 100 and len(found["kept"]) == BINS
    assert found["dropped"] == [20, *[0] * (BINS - 1)]
    assert found["without"] == 1


def test_counts_are_numpys(tmp_path):
    values = [math.sin(i) * 50 for i in range(400)]
    stay = kept(tmp_path / "k", [chat(f"a{i}", s=v) for i, v in enumerate(values)])
    (found,) = histograms(stay, None)
    expected, _ = np.histogram(np.clip(values, found["low"], found["high"]), BINS, (found["low"], found["high"]))
    assert found["kept"] == expected.tolist()


def test_a_score_over_orders_of_magnitude_has_a_logarithmic_axis(tmp_path):
    stay = kept(tmp_path / "k", [chat(f"a{i}", ppl=10.0 ** (i % 6)) for i in range(600)])
    (found,) = histograms(stay, None)
    assert found["log"] and (found["low"], found["high"]) == (1.0, 100_000.0)
    assert [n for n in found["kept"] if n] == [100] * 6


def test_one_value_has_a_place(tmp_path):
    (found,) = histograms(kept(tmp_path / "k", [chat(f"a{i}", s=3.0) for i in range(5)]), None)
    assert sum(found["kept"]) == 5 and found["low"] < 3.0 < found["high"]


def test_a_map_of_few_rows_is_none(tmp_path):
    assert data_map(kept(tmp_path / "k", [chat(f"a{i}") for i in range(FEWEST - 1)]), None) is None


def test_the_map_is_the_same_in_any_order_of_rows_and_knows_source_and_fate(tmp_path):
    rows = [chat(f"the {i} of a thing", dataset="one") for i in range(40)]
    rows += [chat(f"Wie geht es {i}?", dataset="two") for i in range(20)]
    went = [(chat(f"left {i}", dataset="one"), "op", "word") for i in range(10)]
    a = data_map(kept(tmp_path / "a", rows), gone(tmp_path / "da", went))
    b = data_map(kept(tmp_path / "b", rows[::-1]), gone(tmp_path / "db", went[::-1]))
    assert a == b and a
    points = [tuple(map(int, point.split(","))) for point in a["points"].split()]
    assert len(points) == a["of"] == 70
    assert a["sources"] == ["one", "two"]
    assert [sum(p[2] == i for p in points) for i in (0, 1)] == [50, 20]
    assert sum(p[3] for p in points) == 10


def test_a_map_is_a_bounded_fair_sample(tmp_path):
    rows = [chat(f"row {i}", dataset="big" if i % 4 else "small") for i in range(3000)]
    found = data_map(kept(tmp_path / "k", rows), None)
    assert found and found["of"] == 3000
    sources = [int(point.split(",")[2]) for point in found["points"].split()]
    assert len(sources) == POINTS
    assert sources.count(1) / POINTS == pytest.approx(0.25, abs=0.05)


def test_the_rarest_of_many_sources_share_a_colour(tmp_path):
    rows = [chat(f"{s} {i}", dataset=f"set {s}") for s in range(12) for i in range(20 - s)]
    found = data_map(kept(tmp_path / "k", rows), None)
    assert found and found["sources"] == [*(f"set {s}" for s in range(7)), "others"]
    assert {int(p.split(",")[2]) for p in found["points"].split()} == set(range(8))


def test_alike_texts_lie_together_without_a_model(monkeypatch):
    monkeypatch.setattr(projection, "_wordllama", lambda texts: None)
    greek = [f"Η γάτα κοιμάται στο σπίτι {i}" for i in range(30)]
    thai = [f"แมวนอนอยู่ในบ้านหลังที่ {i}" for i in range(30)]
    plane = projection.place([*greek, *thai])
    assert plane.by == "character n-grams"
    points = np.array(plane.places, dtype=float)
    a, b = points[:30], points[30:]
    spread = max(np.linalg.norm(p - p.mean(axis=0), axis=1).mean() for p in (a, b))
    assert np.linalg.norm(a.mean(axis=0) - b.mean(axis=0)) > 3 * spread


def test_components_are_those_of_a_full_decomposition():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(80, 30)) * np.array([9.0, 6.0, *[1.0] * 28])
    centred = vectors - vectors.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(projection.principal(vectors)), np.abs(u[:, :2] * s[:2]), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("texts", [[""] * 30, ["same"] * 30, ["a", ""] * 15], ids=["empty", "equal", "two"])
def test_texts_without_differences_have_places_too(texts, monkeypatch):
    monkeypatch.setattr(projection, "_wordllama", lambda texts: None)
    assert all(0 <= v <= projection.SIDE for place in projection.place(texts).places for v in place)


def test_landmarks_stand_in_different_regions():
    corners = [(x, y) for x in (0, 900) for y in (0, 900)]
    places = [(x + i % 5, y + i // 5) for x, y in corners for i in range(20)]
    found = projection.landmarks(places, 4)
    assert sorted((places[i][0] // 800, places[i][1] // 800) for i in found) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_what_is_seen_is_small(tmp_path):
    rows = [chat(f"{i} " + "word " * 2000, words=float(i)) for i in range(300)]
    went = [(chat(f"x{i} " + "word " * 2000), "op", "word") for i in range(100)]
    ledger = Ledger(entries=[Entry(operator="op", made=400, kept=300, dropped={"word": 100})])
    seen = look(kept(tmp_path / "k", rows), gone(tmp_path / "d", went), ledger)
    assert set(seen.pictures) == {"histograms", "map"}
    assert len(str(seen)) < 60_000
