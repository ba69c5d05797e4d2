"""`select` is DEITA's rule, and `semantic_dedup` and `novelty` compare as exactly: against loops over all pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from curation import table as tables
from curation.artifact import Ref, Rows
from curation.conversation import Conversation, Message, Preference, Source
from curation.engines.local import Local
from curation.frame import to_frame
from curation.operators.balance import Balance
from curation.operators.embedding_distance import EmbeddingDistance
from curation.operators.keep import Keep
from curation.operators.nearest import nearest, nearest_before
from curation.operators.novelty import Novelty
from curation.operators.select import Select
from curation.operators.semantic_dedup import SemanticDedup
from curation.operators.stratified import Stratified
from curation.operators.top import Top
from curation.operators.words import Words
from curation.pipeline import check_operators, curate


def table(rows: Sequence[tuple[str, Any, float | None]]) -> pl.DataFrame:
    """(id, vector or angle in degrees, score) each."""
    vectors = [
        v if isinstance(v, np.ndarray) else np.array([np.cos(np.radians(v)), np.sin(np.radians(v))]) for _, v, _ in rows
    ]
    array = pl.Array(pl.Float32, len(vectors[0]))
    return pl.DataFrame(
        {
            "id": [i for i, _, _ in rows],
            "origin": [f"d:{n:010d}" for n in range(len(rows))],
            "scores.s": pl.Series([s for _, _, s in rows], dtype=pl.Float64),
            "vector": pl.Series(np.array(vectors, dtype=np.float32).tolist(), dtype=array),
        }
    )


def decided(operator: Any, rows: pl.DataFrame) -> dict[str, tuple[str | None, str | None]]:
    """id -> (reason, evidence); the same in any order of the rows."""
    found = []
    for order in (list(range(len(rows))), list(reversed(range(len(rows))))):
        mixed = rows[order]
        decision = operator.decide(mixed)
        said = decision.evidence if decision.evidence is not None else pl.Series([None] * len(rows), dtype=pl.String)
        found.append({i: (r, e) for i, r, e in zip(mixed["id"], decision.reasons, said, strict=True)})
    assert found[0] == found[1]
    return found[0]


def test_deita_s_rule_on_a_worked_example() -> None:
    """Angles between rows: cos 20 = 0.9397 and cos 10 = 0.9848 exceed 0.9; cos 30 = 0.8660 does not.

    b goes because of a. c stays: it is near to b, which was not chosen. e goes because of c, the nearer of a and c.
    The budget is reached at f, so g is not even compared.
    """
    rows = [("a", 0, 9.0), ("b", 20, 8.0), ("c", 30, 7.0), ("e", 20.5, 6.0), ("f", 180, 5.0), ("g", 180, 4.0)]
    found = decided(Select(budget=3, by="s", max_similarity=0.9), table([*rows, ("h", 90, None)]))
    assert found == {
        "a": (None, None),
        "b": ("similar", "a, similarity 0.9397"),
        "c": (None, None),
        "e": ("similar", "c, similarity 0.9863"),
        "f": (None, None),
        "g": ("over_budget", None),
        "h": ("no_score", None),
    }


def by_the_paper(rows: list[tuple[str, np.ndarray, float]], bound: float, budget: int) -> list[str]:
    """Algorithm of the paper, a row at a time, in float64."""
    chosen: list[tuple[str, np.ndarray]] = []
    for name, vector, _ in sorted(rows, key=lambda row: (-row[2], row[0])):
        if len(chosen) == budget:
            break
        if not chosen or max(float(vector @ other) for _, other in chosen) <= bound:
            chosen.append((name, vector))
    return sorted(name for name, _ in chosen)


@pytest.mark.parametrize(("count", "budget", "bound"), [(300, 40, 0.6), (1700, 1700, 0.7), (1700, 600, 0.8), (5, 9, 0)])
def test_blocks_choose_what_one_row_at_a_time_chooses(count: int, budget: int, bound: float) -> None:
    rng = np.random.default_rng(count + budget)
    topics = rng.normal(size=(60, 8))
    vectors = topics[rng.integers(60, size=count)] + 0.35 * rng.normal(size=(count, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"{n:05d}" for n in rng.permutation(count)]
    rows = [(i, v, float(s)) for i, v, s in zip(names, vectors, rng.integers(20, size=count), strict=True)]  # with ties
    found = decided(Select(budget=budget, by="s", max_similarity=bound), table(rows))
    assert sorted(i for i, (reason, _) in found.items() if reason is None) == by_the_paper(rows, bound, budget)
    vector, score = {i: v for i, v, _ in rows}, {i: s for i, _, s in rows}
    for i, (reason, said) in found.items():
        if reason == "similar":
            other, _, likeness = str(said).partition(", similarity ")
            assert found[other][0] is None and (-score[other], other) < (-score[i], i)
            wanted = float(vector[i] @ vector[other])
            assert float(likeness) == pytest.approx(wanted, abs=1e-4) and wanted > bound - 1e-6


def test_only_what_exceeds_the_bound_goes() -> None:
    """cos 60 is 0.5: at the bound a row stays. Rows that are the same row of numbers have a similarity of 1."""
    assert decided(Select(by="s", max_similarity=0.5), table([("a", 0, 2.0), ("b", 60, 1.0)]))["b"][0] is None
    same = table([("a", 17, 2.0), ("b", 17, 1.0)])
    assert decided(Select(by="s", max_similarity=1), same)["b"][0] is None
    assert decided(Select(by="s", max_similarity=0.999), same)["b"][0] == "similar"


def test_equal_scores_go_by_id_and_a_formula_ranks() -> None:
    rows = table([("b", 0, 1.0), ("a", 90, 1.0), ("c", 180, -3.0)])
    assert [i for i, (r, _) in decided(Select(by="s", budget=1), rows).items() if r is None] == ["a"]
    assert [i for i, (r, _) in decided(Select(by="-s", budget=1), rows).items() if r is None] == ["c"]
    assert Select(by="quality * complexity").reads() == {"quality", "complexity"}


def test_rows_that_are_not_compared_need_no_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.models.embedding.embedder", None)
    made = curate(CHATS, [Words(), Select(budget=2, by="words", max_similarity=None)])
    assert sorted(r.source.index or 0 for r in made.kept.rows()) == [2, 5]  # 10 words, and 13 of Chinese


def chat(question: str, answer: str, index: int = 0) -> Conversation:
    return Conversation(
        messages=(Message("user", question), Message("assistant", answer)), source=Source(digest="d", index=index)
    )


CHATS = [
    chat("How do I bake bread?", "Mix flour, water, salt and yeast, then bake it.", 1),
    chat("How can I bake bread?", "Mix flour, water, yeast and salt and then bake it.", 2),
    chat("Which planet is the largest?", "Jupiter is the largest planet.", 3),
    chat("Làm sao nướng bánh mì?", "Trộn bột mì, nước, muối và men rồi nướng.", 4),
    chat("面包怎么烤？", "把面粉、水、盐和酵母混合，然后烤。", 5),
    chat("Jak upiec chleb?", "Wymieszaj mąkę, wodę, sól i drożdże, potem upiecz.", 6),
]


@pytest.mark.parametrize("batch_rows", [1, 4, 100])
def test_batches_change_nothing(batch_rows: int) -> None:
    """The two English recipes for bread have a similarity of 0.98 by wordllama's own `embed`."""
    operators = [Words(), Select(budget=4, by="words", max_similarity=0.9), Novelty(), EmbeddingDistance(text="bread")]
    made = curate(CHATS, operators, engine=Local(batch_rows=batch_rows))
    whole = curate(CHATS, operators)
    assert made.kept.frame().equals(whole.kept.frame()) and made.dropped.frame().equals(whole.dropped.frame())
    gone = made.dropped.frame()
    assert sorted(zip(gone["reason"], [r.source.index for r in made.dropped.rows()], strict=True)) == [
        ("over_budget", 3),
        ("similar", 1),
    ]
    assert gone.filter(pl.col("reason") == "similar")["evidence"][0].startswith(CHATS[1].id)


def test_no_rows_are_no_problem() -> None:
    for operator in (
        Select(by="words", budget=3),
        SemanticDedup(),
        Novelty(),
        Top(by="words", n=1),
        Balance(by=["source"], max="smallest"),
        Stratified(by=["source"], n=3),
    ):
        made = curate(CHATS[:2], [Words(), Keep(condition="words > 99"), operator])
        assert len(made.kept) == 0 and len(made.dropped) == 2


def test_check_names_a_score_that_nothing_makes() -> None:
    for operator in (Select(by="qualty * words"), SemanticDedup(prefer="qualty"), Novelty(prefer="qualty")):
        (found,) = check_operators([Words(as_="quality"), operator], "conversations", {"words"})
        assert "needs the score 'qualty', which nothing makes" in found.what and "'quality'" in found.hint


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"by": "quality *"}, "expected a number or a name"), ({"by": "1 + 1"}, "names no score"), ({}, "Field required")],
)
def test_what_rows_are_ranked_by_must_be_a_formula_of_scores(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said.replace("*", r"\*")):
        Select.model_validate(settings)


# semantic_dedup


def test_one_of_several_that_mean_the_same_stays_and_likeness_is_not_passed_on() -> None:
    """cos 18 = 0.951 reaches 0.95, cos 36 = 0.809 does not: b goes for a, c stays although it is near to b."""
    rows = table([("a", 0, 1.0), ("b", 18, 2.0), ("c", 36, 3.0), ("d", 90, None), ("e", 90, None)])
    assert decided(SemanticDedup(threshold=0.95), rows) == {
        "a": (None, None),
        "b": ("semantic_duplicate", "a, similarity 0.9511"),
        "c": (None, None),
        "d": (None, None),
        "e": ("semantic_duplicate", "d, similarity 1.0000"),
    }
    preferred = decided(SemanticDedup(threshold=0.95, prefer="s"), rows)
    assert {i for i, (reason, _) in preferred.items() if reason} == {"b", "e"} and preferred["b"][1] == (
        "c, similarity 0.9511"
    )


def test_at_the_threshold_a_row_goes() -> None:
    same = table([("a", 17, None), ("b", 17, None), ("c", 77, None)])
    assert {i for i, (r, _) in decided(SemanticDedup(threshold=1.0), same).items() if r} == {"b"}
    assert {i for i, (r, _) in decided(SemanticDedup(threshold=0.5), same).items() if r} == {"b", "c"}


def stored(folder: Path, rows: list[Any], kind: type = Conversation) -> Ref[Rows]:
    tables.write(folder, to_frame(rows, kind))
    return Ref(folder.name, folder, tables.digest(folder))


def test_rows_of_other_sets_count_as_seen(tmp_path: Path) -> None:
    older = stored(tmp_path / "older", [CHATS[1], CHATS[3]])
    made = curate(CHATS, [SemanticDedup(threshold=0.95, against=[older])])
    gone = made.dropped.frame()
    assert set(gone["reason"]) == {"semantic_duplicate_elsewhere"}
    assert {r.source.index for r in made.dropped.rows()} == {1, 2, 4}
    for said, row in zip(gone["evidence"], made.dropped.rows(), strict=True):
        assert said.startswith(CHATS[3].id if row.source.index == 4 else CHATS[1].id)


def test_prompts_of_pairs_are_compared_with_prompts_of_chats(tmp_path: Path) -> None:
    pair = Preference(
        prompt=(Message("user", "Which planet is the largest?"),),
        chosen=(Message("assistant", "Jupiter."),),
        rejected=(Message("assistant", "Bread."),),
    )
    older = stored(tmp_path / "older", CHATS)
    made = curate([pair], [SemanticDedup(on="prompt", threshold=0.99, against=[older])])
    assert made.dropped.frame()["reason"].to_list() == ["semantic_duplicate_elsewhere"]


# Distances


def test_the_nearest_is_the_nearest_of_all_pairs() -> None:
    rng = np.random.default_rng(3)
    vectors, others = (rng.normal(size=(n, 6)).astype(np.float32) for n in (1300, 9000))
    vectors, others = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (vectors, others))
    places, likeness = nearest(vectors, others)
    every = vectors.astype(np.float64) @ others.astype(np.float64).T
    np.testing.assert_allclose(likeness, every.max(axis=1), atol=2e-6)
    np.testing.assert_allclose(every[np.arange(1300), places], every.max(axis=1), atol=2e-6)
    places, likeness = nearest_before(vectors)
    own = np.tril(vectors.astype(np.float64) @ vectors.astype(np.float64).T, -1) - np.triu(np.full((1300, 1300), 9.0))
    np.testing.assert_allclose(likeness[1:], own.max(axis=1)[1:], atol=2e-6)
    assert places[0] == -1 and (places[1:] < np.arange(1, 1300)).all()
    assert nearest(vectors[:2], others[:0])[0].tolist() == [-1, -1]


def test_novelty_is_the_distance_to_what_came_before() -> None:
    """1 - cos 60 = 0.5, 1 - cos 90 = 1, 1 - cos 30 = 0.134."""
    rows = table([("a", 0, 3.0), ("b", 60, 2.0), ("c", 30, 1.0), ("d", 150, 0.0)])
    made = dict(zip(rows["id"], Novelty().decide(rows).columns["scores.novelty"], strict=True))
    assert made == pytest.approx({"a": 1, "b": 0.5, "c": 1 - np.cos(np.radians(30)), "d": 1}, abs=1e-6)
    made = dict(zip(rows["id"], Novelty(prefer="-s", as_="new").decide(rows).columns["scores.new"], strict=True))
    assert made == pytest.approx(
        {"d": 1, "c": 1 - np.cos(np.radians(120)), "b": 1 - np.cos(np.radians(30)), "a": 1 - np.cos(np.radians(30))},
        abs=1e-6,
    )


def test_novelty_against_another_set_is_a_score_a_reward_and_a_condition(tmp_path: Path) -> None:
    older = stored(tmp_path / "older", CHATS[:2])
    scorer = Novelty(against=[older])
    made = {r.source.index: r.scores["novelty"] for r in curate(CHATS, [scorer]).kept.rows()}
    assert made[1] == made[2] == 0 and min(made[3], made[4], made[5], made[6]) > 0.2
    assert scorer.score(CHATS) == pytest.approx([made[i] for i in range(1, 7)], abs=1e-6)
    first, second, *_ = Novelty().score(CHATS)
    assert first == 1 and 0 < second < 0.1


def test_distance_to_a_text_a_file_and_the_middle_of_a_set(tmp_path: Path) -> None:
    from curation.artifact import InputFile
    from curation.models.embedding import embedder

    page = tmp_path / "topic.txt"
    page.write_text("bread", encoding="utf-8")
    by_text = EmbeddingDistance(text="bread").score(CHATS)
    assert by_text == EmbeddingDistance(file=InputFile("topic.txt", page, "1" * 64)).score(CHATS)
    vectors = embedder()(["\n".join(m.content for m in c.messages) for c in CHATS]).astype(np.float64)
    assert by_text == pytest.approx(list(1 - vectors @ embedder()(["bread"])[0]), abs=1e-5)
    assert max(by_text[:2]) < by_text[2]
    middle = vectors[:3].mean(axis=0)
    wanted = 1 - vectors @ (middle / np.linalg.norm(middle))
    older = stored(tmp_path / "older", CHATS[:3])
    assert EmbeddingDistance(to=[older]).score(CHATS) == pytest.approx(list(wanted), abs=1e-5)
    with pytest.raises(ValidationError, match="needs one reference"):
        EmbeddingDistance(text="a", to=[older])
