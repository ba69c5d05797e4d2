"""One JSON Schema for recipe files, built from the settings classes, so that an editor completes and explains them.

It describes what the loader accepts, the built-in steps and operators and those of installed packages; the loader
stays the judge (it also knows wiring). Put `# yaml-language-server: $schema=recipe.schema.json` into a recipe's first
lines, or tell the editor where the file lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from curation.errors import RecipeError
from curation.operator import Plugin
from curation.registry import FORMATS, OPERATORS, STEPS, Door, known_names, lookup
from curation.settings import ONE_OR_MORE
from rlhf.recipe.fields import described, names, of_field
from rlhf.recipe.load import Top

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLUGIN_PATH = {
    "type": "string",
    "pattern": "[:/]",
    "description": "import path `package.module:Class`, or `package/name`",
}

Schema = dict[str, Any]


class _Generate(GenerateJsonSchema):
    """Defaults that follow other settings have no JSON form; leave them out without a word."""

    def emit_warning(self, kind: Any, detail: str) -> None:
        """Said by `rlhf check`, not here."""


def recipe_schema() -> Schema:
    """The schema of a recipe file."""
    steps = _known(STEPS)
    plugins = {door: _known(door) for door in (OPERATORS, FORMATS)}
    plugin_classes = [cls for found in plugins.values() for cls in found.values()]
    classes: list[type[BaseModel]] = [*_all_classes([*steps.values(), *plugin_classes, Top])]
    placed, whole = models_json_schema(
        [(cls, "validation") for cls in classes], schema_generator=_Generate, ref_template="#/$defs/{model}"
    )
    defs: Schema = whole.get("$defs", {})
    where = {cls: placed[cls, "validation"]["$ref"].rpartition("/")[2] for cls in classes}
    for cls, name in where.items():
        _mend(cls, defs[name])
    for cls in plugin_classes:
        _without(defs[where[cls]], "op")
    for cls in steps.values():
        defs[where[cls]]["required"] = ["step", *(r for r in defs[where[cls]].get("required", []) if r != "step")]
    for plugin in _plugins(classes):
        fitting = {name: cls for name, cls in plugins[plugin.door].items() if issubclass(cls, plugin.base)}
        defs[_plugin_name(plugin.base)] = _plugin(plugin.base, fitting, where)
    return _top(defs, where, steps)


def _known(door: Door) -> dict[str, Any]:
    """Name -> class; a package's plugin that does not import is left out, as it would be in a recipe."""
    found = {}
    for name in known_names(door):
        try:
            found[name] = lookup(door, name)
        except RecipeError:
            continue
    return found


def _top(defs: Schema, where: dict[type[BaseModel], str], steps: dict[str, type[BaseModel]]) -> Schema:
    """The file as a whole; with `extends`, steps may be written in part."""
    top = defs.pop(where[Top])
    base = {**defs[where[steps["base"]]]} if "base" in steps else {"type": "object"}
    _without(base, "step")
    top["properties"]["base"] = {
        "anyOf": [base, {"type": "null"}],
        "description": top["properties"]["base"].get("description", ""),
    }
    top["properties"]["steps"] = {
        "type": "object",
        "description": top["properties"]["steps"].get("description", ""),
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_-]{0,63}$"},
    }
    in_steps = {name: f"#/$defs/{where[cls]}" for name, cls in steps.items()}
    return {
        "$schema": DIALECT,
        "title": "An rlhf recipe",
        **{k: v for k, v in top.items() if k not in ("title", "description")},
        "if": {"required": ["extends"]},
        "then": {"properties": {"steps": {"additionalProperties": {"type": "object"}}}},
        "else": {"properties": {"steps": {"additionalProperties": _step(in_steps)}}, "required": ["steps"]},
        "$defs": defs,
    }


def _plugins(classes: Iterable[type[BaseModel]]) -> Iterator[Plugin]:
    """The plugin fields of these classes."""
    for cls in classes:
        for field in names(cls).values():
            yield from (found for found in of_field(field) if isinstance(found, Plugin))


def _all_classes(roots: Iterable[type[BaseModel]]) -> dict[type[BaseModel], None]:
    """The settings classes and all those inside them; what stands behind a plugin field is no part of its owner."""
    seen: dict[type[BaseModel], None] = {}

    def visit(cls: type[BaseModel]) -> None:
        if cls in seen:
            return
        seen[cls] = None
        for field in names(cls).values():
            for found in of_field(field):
                if isinstance(found, type):
                    visit(found)

    for root in roots:
        visit(root)
    return seen


def _mend(cls: type[BaseModel], schema: Schema) -> None:
    """Says what the generated schema cannot know: plugins, and lists that may be written as one value."""
    for name, field in names(described(cls)).items():
        place = schema.get("properties", {}).get(name)
        if place is None:
            continue
        if field.description:
            place["description"] = " ".join(field.description.split())
        for plugin in of_field(field):
            if isinstance(plugin, Plugin):
                place = _replaced(
                    place, {"x-plugin": plugin.door.what}, {"$ref": f"#/$defs/{_plugin_name(plugin.base)}"}
                )
        if ONE_OR_MORE in field.metadata:
            place = _one_or_more(place)
        schema["properties"][name] = place


def _one_or_more(schema: Schema) -> Schema:
    about: Schema = {k: schema.pop(k) for k in ("description", "default", "title") if k in schema}
    return {**about, "anyOf": [schema.get("items", {}), schema]}


def _replaced(schema: Any, old: Schema, new: Schema) -> Any:
    if isinstance(schema, dict):
        if all(schema.get(k) == v for k, v in old.items()):
            return {**{k: v for k, v in schema.items() if k not in old}, **new}
        return {k: _replaced(v, old, new) for k, v in schema.items()}
    return [_replaced(v, old, new) for v in schema] if isinstance(schema, list) else schema


def _without(schema: Schema, name: str) -> None:
    schema["properties"] = {k: v for k, v in schema.get("properties", {}).items() if k != name}
    schema["required"] = [r for r in schema.get("required", []) if r != name]


def _plugin_name(base: type[BaseModel]) -> str:
    return f"any_{base.__name__.lower()}"


def _plugin(base: type[BaseModel], fitting: dict[str, type[BaseModel]], where: dict[type[BaseModel], str]) -> Schema:
    """A plugin as people write it: a name, or one name with its settings."""
    properties: Schema = {}
    for name, cls in fitting.items():
        settings: list[Schema] = [{"$ref": f"#/$defs/{where[cls]}"}, {"type": "null"}]
        if hasattr(cls, "shorthand"):
            settings.append({"type": ["string", "number", "integer", "boolean", "array"]})
        properties[name] = {"anyOf": settings, "description": " ".join((cls.__doc__ or "").split())}
    bare = [name for name, cls in fitting.items() if not any(f.is_required() for f in cls.model_fields.values())]
    with_settings = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "properties": properties,
        "patternProperties": {"[:/]": {}},
        "additionalProperties": False,
    }
    return {"title": base.__name__, "anyOf": [{"enum": bare}, with_settings, _PLUGIN_PATH]}


def _step(refs: dict[str, str]) -> Schema:
    """A step: `step` decides which settings it takes, so that an editor complains about the one wrong key."""
    return {
        "type": "object",
        "required": ["step"],
        "properties": {"step": {"anyOf": [{"enum": list(refs)}, _PLUGIN_PATH]}},
        "allOf": [
            {"if": {"properties": {"step": {"const": name}}, "required": ["step"]}, "then": {"$ref": ref}}
            for name, ref in refs.items()
        ],
    }
