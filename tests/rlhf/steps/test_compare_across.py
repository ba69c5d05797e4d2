"""`compare` with `cross_prompt`: from the form to a reward model, and that no policy is trained on it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parent))

from asking_room import Cells, data, fill, room

from curation import table
from curation.artifact import Policy, Preferences, Ref
from curation.conversation import Answer, Candidates, Message, Preference
from curation.errors import UserError
from curation.operators.cross_prompt import CrossPrompt
from curation.pipeline import curate
from rlhf.recipe.identity import step_key
from rlhf.recipe.step import Done, Waiting
from rlhf.steps.compare import Compare
from rlhf.steps.dpo import Dpo
from rlhf.steps.reward import Reward

ROWS = [
    Candidates(
        prompt=(Message("user", f"How do I fix the {thing}?"),),
        answers=(Answer(f"Please fix the {thing} by hand."), Answer(f"Fix the {thing}.")),
    )
    for thing in "door box car boat tent lamp".split()
]


def polite(cells: Cells) -> Cells:
    """A person who likes whatever says please; one form shows pairs, the other whole chats."""
    shown = [cells[name] for name in ("answer_a", "answer_b", "chat_a", "chat_b") if name in cells]
    a, b = ("Please" in text for text in shown)
    return {"verdict": "tie" if a == b else "a" if a else "b", "annotator": "ann"}


@pytest.fixture
def labeled(tmp_path: Path) -> tuple[Done, Path]:
    step = Compare(data=data(tmp_path, ROWS), cross_prompt=8)
    now = step.run(room(tmp_path))
    assert isinstance(now, Waiting) and now.message == "0 of 14 answered"
    forms = sorted((tmp_path / "labeling" / "human").glob("*.csv"))
    assert len(forms) == 2, "one for pairs, one for conversations"
    for form in forms:
        fill(form, polite)
    here = room(tmp_path)
    done = step.run(here)
    assert isinstance(done, Done)
    return done, here.out


def test_pairs_of_both_kinds_come_of_it_and_every_row_is_accounted_for(labeled: tuple[Done, Path]) -> None:
    done, out = labeled
    rows: list[Preference] = table.rows(out)
    across = [pair for pair in rows if pair.across]
    assert len(rows) == done.metrics["pairs"] == 14 and len(across) == 8
    assert done.ledger is not None and done.ledger.problems() == []
    for pair in rows:
        said = ["Please" in pair_side[-1].content for pair_side in (pair.chosen, pair.rejected)]
        assert said == [True, False] if pair.verdict == "chosen" else said[0] == said[1]
    kept = curate(table.read(out), [CrossPrompt()]).kept
    assert len(kept) == 6, "an operator takes them out"


def test_a_reward_model_learns_from_them_and_a_policy_refuses(
    labeled: tuple[Done, Path], tmp_path: Path, micro: Path
) -> None:
    _, out = labeled
    folder = tmp_path / "artifacts" / "labels"
    out.rename(folder)
    labels: Ref[Any] = Ref("human", folder, table.digest(folder), (Preferences,))
    policy: Ref[Any] = Ref("base", micro, micro.name, (Policy,))
    quick: dict[str, Any] = {"lora_r": 4, "global_batch_size": 4, "max_steps": 2}
    clear = sum(pair.verdict == "chosen" for pair in table.rows(folder))
    assert any(pair.across and pair.verdict == "chosen" for pair in table.rows(folder))
    done = Reward(data=[labels], policy=policy, **quick).run(room(tmp_path))
    assert isinstance(done, Done) and done.metrics["data"]["used"] == clear
    with pytest.raises(UserError, match="8 of 14 pairs compare two conversations with different prompts") as error:
        Dpo(data=[labels], policy=policy, **quick).run(room(tmp_path))
    assert "operators: [cross_prompt]" in error.value.hint


def test_without_it_the_step_is_the_step_that_it_was(tmp_path: Path) -> None:
    rows = data(tmp_path, ROWS)
    assert step_key(Compare(data=rows)) == step_key(Compare(data=rows, cross_prompt=None))
    assert step_key(Compare(data=rows)) != step_key(Compare(data=rows, cross_prompt=8))
    with pytest.raises(ValidationError, match="`cross_prompt` is for people"):
        Compare.model_validate({"data": "answers", "decided_by": "brevity", "cross_prompt": 3})
