"""The pages of operators are the code's own, and what they show is true."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from curation.operator import OPERATOR_FIELD
from curation.pipeline import check_operators
from curation.registry import OPERATORS, builtin_names, lookup
from rlhf.recipe.fields import names
from rlhf.recipe.operators import example, pages, reasons, write

FOLDER = Path(__file__).parents[3] / "docs" / "operators"
NAMES = sorted(builtin_names(OPERATORS))


def test_the_pages_are_current() -> None:
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    assert found == pages(), "run: python -m rlhf.recipe.operators docs/operators"


def test_there_is_a_page_for_each_operator_and_the_index_leads_to_it() -> None:
    made = pages()
    assert set(made) == {"index.md", *(f"{name}.md" for name in NAMES)}
    assert all(f"]({name}.md)" in made["index.md"] for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_stands_on_its_page(name: str) -> None:
    page = pages()[f"{name}.md"]
    cls = lookup(OPERATORS, name)
    for key in names(cls):
        if key != "op" and not (key == "on" and ("conversations" not in cls.rows or not cls.takes_on)):
            assert f"| `{key}` |" in page, key


@pytest.mark.parametrize("name", NAMES)
def test_its_example_is_a_recipes_and_fits_the_rows_that_it_is_for(name: str) -> None:
    cls = lookup(OPERATORS, name)
    written = YAML(typ="safe").load(example(name, cls))
    made = [OPERATOR_FIELD.parse(item) for item in written]
    assert any(isinstance(operator, cls) for operator in made)
    kind = "conversations" if "conversations" in cls.rows else sorted(cls.rows)[0]
    assert check_operators(made, kind) == []


def test_reason_words_are_read_from_the_class() -> None:
    assert reasons(lookup(OPERATORS, "turns")) == ["too_few_turns", "too_many_turns"]
    assert reasons(lookup(OPERATORS, "exact_dedup"))[0] == "duplicate"


def test_a_page_of_an_operator_that_is_gone_goes(tmp_path: Path) -> None:
    (tmp_path / "was_here.md").write_text("old", encoding="utf-8")
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(pages())


def test_no_heavy_library_is_loaded_for_them() -> None:
    heavy = ["torch", "transformers", "polars", "pyarrow", "datasets", "openai", "scipy", "ray"]
    code = (
        "import sys; from rlhf.recipe.operators import pages; pages(); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.strip() == "[]"
