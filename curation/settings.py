"""What every settings object is: frozen, typed, no unknown keys. Steps, operators and models share it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


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
