"""What every settings object is: frozen, typed, no unknown keys. Steps, operators and models share it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Settings(BaseModel):
    """Frozen, typed, no unknown keys; the sentence under a field is its help and its schema text.

    That sentence is read when somebody asks (`rlhf.recipe.fields.described`): pydantic's `use_attribute_docstrings`
    reads the source of every class that is imported, a sixth of the time of `rlhf check`.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        defer_build=True,
    )


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


ONE_OR_MORE = BeforeValidator(_listed)
"""For fields that take one thing or a list: `data: Annotated[list[Ref[Conversations]], ONE_OR_MORE]`."""


@dataclass(frozen=True)
class UnlessDefault:
    """Marks a field that enters a key only where it is set away from its default."""


UNLESS_DEFAULT = UnlessDefault()
"""For fields that came later than results that are kept: `packing: Annotated[bool, UNLESS_DEFAULT] = False`. What was
made before the field was there was made with its default, so its key stays.
"""
