"""Every step that docs/evaluate.md shows is one that the steps themselves accept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from curation.registry import STEPS, lookup

PAGE = Path(__file__).parents[2] / "docs" / "evaluate.md"


def shown() -> dict[str, dict[str, Any]]:
    """`number name` -> settings, of all YAML on the page that defines steps."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    found: dict[str, dict[str, Any]] = {}
    for number, block in enumerate(blocks):
        for name, settings in (YAML(typ="safe").load(block) or {}).items():
            if isinstance(settings, dict) and "step" in settings:
                found[f"{number} {name}"] = settings
    return found


@pytest.mark.parametrize("name", shown())
def test_a_step_on_the_page_is_one(name: str) -> None:
    settings = shown()[name]
    assert lookup(STEPS, settings["step"]).model_validate(settings)


def test_the_page_shows_gold_a_study_and_a_calibration() -> None:
    steps = list(shown().values())
    assert any("gold_file" in s for s in steps) and any("calibrate" in s for s in steps)
    assert any("people" in judge for s in steps for judge in s.get("judges", ()) if isinstance(judge, dict))


def test_the_page_names_every_way_to_agree() -> None:
    from curation.labeling.consensus import METHODS

    assert all(f"| `{way}` |" in PAGE.read_text(encoding="utf-8") for way in METHODS)
