"""Every error that people read says what to do next."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
ERRORS = {"UserError", "RecipeError"}


def test_each_has_a_hint() -> None:
    """By keyword: the sentence that says what is wrong seldom says what to do."""
    without = []
    for file in sorted(path for room in ("curation", "rlhf") for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            call = node.exc if isinstance(node, ast.Raise) else None
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ERRORS:
                hints = [keyword.value for keyword in call.keywords if keyword.arg == "hint"]
                if not hints or (isinstance(hints[0], ast.Constant) and not str(hints[0].value).strip()):
                    without.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert without == []
