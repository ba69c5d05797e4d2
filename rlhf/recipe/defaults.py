"""The table of defaults in docs/training.md: what each method does where a recipe says nothing, with LoRA and without.

It is read off the classes, as docs/keys.md is, and stands between two marks:
`python -m rlhf.recipe.defaults docs/training.md` writes it, and a test says when that was forgotten.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from curation.registry import STEPS, builtin_names, lookup

BEGIN = "<!-- from here on written by `python -m rlhf.recipe.defaults docs/training.md` -->"
END = "<!-- until here -->"
COLUMNS = (
    "learning_rate",
    "global_batch_size",
    "num_train_epochs",
    "max_length",
    "max_completion_length",
    "num_generations",
    "loss_type",
    "beta",
)
"""Settings that differ between methods and decide most; all others are the same for all or stand in docs/keys.md."""


def table() -> str:
    """Markdown: a row for each method and way to tune, a column a setting."""
    head = ("step", "`tune`", *(f"`{name}`" for name in COLUMNS))
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, cls in _trainers():
        ways = [way for way in ("lora", "full") if way in _choices(cls, "tune")]
        rows = {way: [_default(cls, column, way) for column in COLUMNS] for way in ways}
        for way, row in rows.items():
            lines.append(f"| `{name}` | {way} | {' | '.join(row)} |")
    return "\n".join(lines)


def _trainers() -> Iterator[tuple[str, type[BaseModel]]]:
    for name in builtin_names(STEPS):
        cls = lookup(STEPS, name)
        if {"tune", "learning_rate"} <= cls.model_fields.keys():
            yield name, cls


def _choices(cls: type[BaseModel], name: str) -> tuple[Any, ...]:
    """What a setting may be, where it is one of several words."""
    return getattr(cls.model_fields[name].annotation, "__args__", ())


def _default(cls: type[BaseModel], name: str, tune: str) -> str:
    field = cls.model_fields.get(name)
    if field is None:
        return ""
    found = field.get_default(call_default_factory=True, validated_data={"tune": tune})
    if found is PydanticUndefined:
        return "must be written"
    if isinstance(found, float):
        return f"{found:.0e}".replace("e-0", "e-") if 0 < found < 0.01 else f"{found:g}"
    return str(found)


def written(page: str) -> str:
    """The page with the table as the classes have it.

    Raises:
        ValueError: the page has not both marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks one of the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(written(document.read_text(encoding="utf-8")), encoding="utf-8")
