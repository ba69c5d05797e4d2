"""The recipe and the profile that docs/synthesize.md shows are right."""

from __future__ import annotations

import re
from pathlib import Path

from rlhf.recipe.load import load
from rlhf.steps import BUILTIN

ROOT = Path(__file__).parents[2]
WRITERS = {"ai_feedback", "best_of_n", "evol_instruct", "magpie", "self_instruct"}


def test_the_recipe_and_the_profile_of_the_page_are_right(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "synthesize.md").read_text()
    profile, recipe = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "profile.yaml").write_text(profile)
    (tmp_path / "recipe.yaml").write_text(recipe.replace("data/", f"{ROOT}/recipes/data/"))
    loaded = load(tmp_path / "recipe.yaml", profile=tmp_path / "profile.yaml")
    assert {step.step for step in loaded.steps.values()} >= WRITERS
    assert set(loaded.profile.endpoints) == {"gpt-4.1-mini", "local"}
    assert {kind.name for name, kind in loaded.kinds.items() if name in ("pairs", "best")} == {
        "preferences",
        "conversations",
    }


def test_the_page_names_every_step_that_writes() -> None:
    page = (ROOT / "docs" / "synthesize.md").read_text()
    assert all(f"| `{name}` |" in page and name in BUILTIN for name in WRITERS)
