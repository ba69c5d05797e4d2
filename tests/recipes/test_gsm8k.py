"""`recipes/gsm8k.yaml` in miniature: sums keep their solutions, answers are rewarded by them, and GRPO runs on that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from through import RECIPES, through

from curation.conversation import Message
from curation.errors import UserError
from rlhf.recipe.load import load
from rlhf.training.rewarding import Rewards, answered

SUMS = [json.loads(line) for line in (RECIPES / "data" / "sums.jsonl").read_text(encoding="utf-8").splitlines()]


def test_our_sums_are_right() -> None:
    for row in SUMS:
        *work, result = row["answer"].splitlines()
        said = work[-1].rstrip(".").replace("times", "*").replace(" is ", " = ").split(",")[-1].replace(" and ", " ")
        left, _, right = said.partition(" = ")
        a, sign, b = left.split()
        value = {"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b)}[sign]
        assert value == int(right) == int(result.removeprefix("#### ")), row


@pytest.mark.parametrize("name", ["gsm8k", "mini/gsm8k"])
def test_a_right_answer_in_its_form_is_worth_most(name: str, tmp_path: Path) -> None:
    found = through(name, SUMS[:20], tmp_path, chats="sums", without=["split"])
    assert len(found.kept) == 20
    row: Any = found.kept[0]
    assert row.messages[0] == Message("system", "Think step by step. Write the result on the last line, after ####.")
    assert [m.role for m in row.messages] == ["system", "user"]
    result = row.meta["answer"].rpartition("#### ")[2]
    step: Any = load(name).steps["grpo"]
    rewards = Rewards(step.rewards, step.reward_weights)
    texts = [f"Let me see.\n#### {result}", f"It is {result}.", "#### 100000", "I do not know."]
    scored = rewards([answered(row, text, finished=True) for text in texts])
    assert scored.total == pytest.approx([1.2, 1.0, 0.2, 0.0])
    assert scored.parts == {"math_answer": [1, 1, 0, 0], "format": [1, 0, 1, 0]}


def test_grpo_runs_on_them(micro_copy: Path, tmp_path: Path) -> None:
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1] / "rlhf" / "training"))
    from small_runs import data_ref, model_ref, room

    rows = through("mini/gsm8k", SUMS[:6], tmp_path, chats="sums", without=["split"]).kept
    step: Any = load("mini/gsm8k").steps["grpo"]
    bare = [row.with_(messages=row.messages[1:], split=None) for row in rows]  # type: ignore[union-attr]
    small = step.model_copy(
        update={
            "prompts": data_ref(tmp_path / "rows", bare),
            "policy": model_ref(micro_copy),
            "lora_r": 4,
            "max_steps": 1,
            "global_batch_size": 16,
            "max_completion_length": 6,
        }
    )
    done: Any = small.run(room(tmp_path / "room"))
    assert set(done.curves) >= {"reward", "reward math_answer", "reward format"}
    lost = data_ref(tmp_path / "lost", [row.with_(meta={}) for row in bare])
    with pytest.raises(UserError, match="no reference answer"):
        small.model_copy(update={"prompts": lost}).run(room(tmp_path / "lost-room"))
