"""The recipe that docs/choose.md shows is right, and what it links to is there."""

from __future__ import annotations

import re
from pathlib import Path

from curation.operators import BUILTIN
from rlhf.recipe.load import load

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "choose.md").read_text()


def test_the_recipe_of_the_page_is_right(tmp_path: Path) -> None:
    recipe = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)[-1]
    (tmp_path / "recipe.yaml").write_text(recipe.replace("data/", f"{ROOT}/recipes/data/"))
    loaded = load(tmp_path / "recipe.yaml")
    assert [o.op for o in loaded.steps["chosen"].operators] == ["keep", "balance", "select"]  # type: ignore[attr-defined]


def test_every_operator_that_the_page_names_has_its_page() -> None:
    linked = re.findall(r"\[`(\w+)`\]\(operators/(\w+)\.md\)", PAGE)
    assert len(linked) > 15 and all(name == page and name in BUILTIN for name, page in linked)
