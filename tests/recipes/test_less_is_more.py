"""`recipes/less-is-more.yaml`: what it chooses is DEITA's rule, and what it is compared with is drawn by lot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.conversation import Conversation, Message, Source
from curation.operator import Selector
from curation.pipeline import curate
from rlhf.recipe.load import load


def rated(count: int) -> list[Conversation]:
    """Chats of some topics, each asked about several times in nearly the same words, with ratings."""
    things = "bees tides bread locks rain violins glaciers bridges cheese stars roots kites radios salt clocks".split()
    rows = []
    for i in range(count):
        thing = things[i % len(things)]
        question = f"Explain {thing} to a class of {20 + i} children, please."
        answer = f"With {thing} it begins small, and step {i % 4} is the one that people forget ({i})."
        scores = {"evol_score": (1 + (i * 7 % 50) / 10) * (1 + (i * 13 % 50) / 10)}
        messages = (Message("user", question), Message("assistant", answer))
        rows.append(Conversation(messages=messages, scores=scores, source=Source(digest="d", index=i), split="train"))
    return rows


def chosen_by_hand(rows: list[Conversation], budget: int, limit: float) -> set[str]:
    """DEITA, step by step: the best first; one goes if it is more similar than the limit to one chosen before it."""
    selector: Any = load("less-is-more").steps["chosen"].operators[0]  # type: ignore[attr-defined]  # a curate step
    from curation.frame import to_frame

    vectors = selector.keys(to_frame(rows, Conversation))["vector"]
    unit = {row.id: np.array(v, dtype=np.float64) / np.linalg.norm(v) for row, v in zip(rows, vectors, strict=True)}
    order = sorted(rows, key=lambda row: (-row.scores["evol_score"], row.id))
    taken: list[str] = []
    for row in order:
        if len(taken) < budget and all(unit[row.id] @ unit[other] <= limit for other in taken):
            taken.append(row.id)
    return set(taken)


def operators(step: str, **changes: Any) -> list[Selector]:
    curated: Any = load("less-is-more").steps[step]
    return [operator.model_copy(update=changes) for operator in curated.operators]


def test_what_is_chosen_is_deitas_rule() -> None:
    rows = rated(120)
    curated = curate(rows, operators("chosen", budget=10))
    assert {row.id for row in curated.kept.rows()} == chosen_by_hand(rows, 10, 0.9)
    assert curated.ledger.dropped().keys() == {"select: similar", "select: over_budget"}


def test_the_rule_is_the_papers() -> None:
    (select,) = operators("chosen")
    assert (select.by, select.max_similarity, select.budget) == ("evol_score", 0.9, 6000)  # type: ignore[attr-defined]


def test_what_it_is_compared_with_is_drawn_by_lot_and_as_large() -> None:
    recipe = load("less-is-more")
    (drawn,) = operators("drawn")
    assert drawn.op == "random" and drawn.n == operators("chosen")[0].budget  # type: ignore[attr-defined]
    kept = {row.id for row in curate(rated(120), operators("drawn", n=10)).kept.rows()}
    assert len(kept) == 10 and kept != chosen_by_hand(rated(120), 10, 0.9)
    assert recipe.steps["chosen"].data == recipe.steps["drawn"].data  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["less-is-more", "mini/less-is-more"])
def test_both_are_trained_for_as_many_tokens_and_tested_on_rows_of_neither(name: str) -> None:
    steps: Any = load(name).steps
    differ = {"data", "seed"}
    first, second = (steps[step].model_dump(mode="json", exclude=differ) for step in ("sft", "sft_drawn"))
    assert first == second and steps["sft"].packing and steps["sft"].max_steps > 0
    assert (steps["chosen"].data[0].written, steps["report"].prompts.written) == ("rated.train", "rated.test")
    assert steps["report"].baseline.written == "sft_drawn"


def test_a_row_that_lacks_a_rating_is_not_chosen() -> None:
    rows = rated(6)
    rows[0] = rows[0].with_(scores={})
    curated = curate(rows, operators("chosen", max_similarity=None))
    assert [r.id for r in curated.dropped.rows()] == [rows[0].id]
    assert curated.ledger.dropped() == {"select: no_score": 1}


def test_the_recipe_rates_before_it_chooses_and_looks_at_the_test_rows_last(tmp_path: Path) -> None:
    rated_step: Any = load("less-is-more").steps["rated"]
    names = [operator.op for operator in rated_step.operators]
    assert names.index("keep") < names.index("evol_score") < names.index("split") == len(names) - 1
