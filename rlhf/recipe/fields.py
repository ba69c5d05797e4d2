"""What a settings class takes, read off its annotations: to explain mistakes, document keys and make the schema."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from curation.errors import RecipeError
from curation.operator import Plugin
from curation.registry import lookup


def names(cls: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys that a user may write -> their fields (an alias stands for its field)."""
    return {field.alias or name: field for name, field in cls.model_fields.items()}


def described(cls: type[BaseModel]) -> type[BaseModel]:
    """The class, its fields with the sentence that stands under each in the source as their description.

    A field that a class takes over keeps the sentence of the class that wrote it.
    """
    for owner in cls.__mro__:
        if issubclass(owner, BaseModel) and owner is not BaseModel:
            for name, text in _sentences(owner).items():
                if name in cls.model_fields and cls.model_fields[name].description is None:
                    cls.model_fields[name].description = text
    return cls


@cache
def _sentences(cls: type[BaseModel]) -> dict[str, str]:
    """Field -> the text under it, of the fields that the class's own source annotates."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):  # made on the fly, or shipped without its source
        return {}
    body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.ClassDef) else []
    return {
        line.target.id: inspect.cleandoc(under.value.value)
        for line, under in itertools.pairwise(body)
        if isinstance(line, ast.AnnAssign)
        and isinstance(line.target, ast.Name)
        and isinstance(under, ast.Expr)
        and isinstance(under.value, ast.Constant)
        and isinstance(under.value.value, str)
    }


def inside(annotation: Any) -> Iterator[type[BaseModel] | Plugin]:
    """The settings classes and plugin fields that an annotation holds, at any depth."""
    if isinstance(annotation, Plugin) or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        yield annotation
    else:
        for arg in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
            yield from inside(arg)


def of_field(field: FieldInfo) -> list[type[BaseModel] | Plugin]:
    """The same for a field, whose outer metadata pydantic keeps apart; a plugin comes before its class."""
    plugins: list[type[BaseModel] | Plugin] = [m for m in field.metadata if isinstance(m, Plugin)]
    found = [*plugins, *inside(field.annotation)]
    return [x for x in found if isinstance(x, Plugin)] or found


def at(cls: type[BaseModel], place: Sequence[str | int]) -> tuple[list[type[BaseModel] | Plugin], FieldInfo | None]:
    """What the settings at a place may be, and the field that the place belongs to.

    Places are pydantic's: list indices, map keys and union tags in them lead no further down.
    """
    here: list[type[BaseModel] | Plugin] = [cls]
    field: FieldInfo | None = None
    for part in place:
        for model in here:
            if isinstance(model, type) and part in (known := names(described(model))):
                field = known[str(part)]
                here = of_field(field)
                break
        else:
            for plugin in here:
                if isinstance(plugin, Plugin) and isinstance(part, str):
                    try:
                        here, field = [lookup(plugin.door, part)], None
                    except RecipeError:
                        continue
                    break
    return here, field


def first_sentence(text: str | None) -> str:
    """The first sentence of a field's or class's documentation, on one line."""
    line = " ".join((text or "").split())
    return line.partition(". ")[0].rstrip(".")
