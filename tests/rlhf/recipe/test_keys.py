"""The table of every key is the code's own."""

from __future__ import annotations

from pathlib import Path

from curation.registry import OPERATORS, STEPS, builtin_names, lookup
from rlhf.recipe.fields import names
from rlhf.recipe.keys import page

DOCUMENT = Path(__file__).parents[3] / "docs" / "keys.md"


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == page(), "run: python -m rlhf.recipe.keys > docs/keys.md"


def test_every_key_of_every_step_and_operator_is_in_it() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for door in (STEPS, OPERATORS):
        for name in builtin_names(door):
            for key in names(lookup(door, name)):
                assert key in ("step", "op") or f"| `{key}` |" in text, f"{name}.{key}"


def test_whose_name_a_key_is() -> None:
    lines = [line.split(" | ") for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    named = {line[0].strip("| `"): line[2] for line in lines}
    assert named["learning_rate"] == "transformers"
    assert named["beta"] == named["lora_r"] == named["assistant_only_loss"] == "TRL"
    assert named["cliprange"] == named["num_ppo_epochs"] == named["kl_coef"] == "TRL"  # of a version that is gone
    assert named["target_kl"] == named["max_update_kl"] == "us"
    assert named["global_batch_size"] == named["tune"] == "us"
