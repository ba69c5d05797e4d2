"""Recipes, steps, training, evaluation and export; the command is `rlhf`, the Python door is `Recipe`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlhf.recipe import Recipe

__all__ = ["Recipe"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "Recipe":  # late, so that `rlhf --help` does not pay for pydantic
        from rlhf.recipe import Recipe

        return Recipe
    raise AttributeError(f"module 'rlhf' has no attribute {name!r}")
