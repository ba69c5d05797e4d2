"""The recipe engine: what the YAML means, what is done already, and the run of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlhf.recipe.door import Artifact, Recipe

__all__ = ["Artifact", "Recipe"]


def __getattr__(name: str) -> object:
    if name in __all__:  # late: every step imports this package
        from rlhf.recipe import door

        return getattr(door, name)
    raise AttributeError(f"module 'rlhf.recipe' has no attribute {name!r}")
