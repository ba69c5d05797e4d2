"""A converted recipe as YAML that people go on with: what was not carried stands above it, by reason."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rlhf.recipe.convert.draft import EMPTY

if TYPE_CHECKING:
    from rlhf.recipe.convert import Converted

_WIDTH = 118


def yaml(data: Mapping[str, Any]) -> str:
    """Plain data as YAML 1.2, in its own order."""
    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = _WIDTH
    stream = io.StringIO()
    writer.dump(data, stream)
    return stream.getvalue()


def written(made: Converted) -> str:
    """The comment and the recipe."""
    lines = "\n".join(_head(made))
    comment = "\n".join(f"# {line}".rstrip() for line in lines.split("\n"))
    return f"{comment}\n{yaml(made.recipe)}"


def _head(made: Converted) -> Iterator[str]:
    yield f"Converted from {' '.join(made.source.name.split())} of {made.tool}: {len(made.carried)} keys carried over."
    if made.to_fill_in:
        yield "To fill in before it loads:"
        for problem in made.to_fill_in:
            yield from _item(f"{problem.path}: {problem.what}" + (f" ({problem.hint})" if problem.hint else ""))
    if made.defaults:
        yield f"Defaults of {made.tool} that are others here, written out:"
        yield from _item(", ".join(made.defaults))
    if made.not_carried:
        yield "Not carried over:"
    for why, keys in by_reason(made.not_carried).items():
        yield from _item(f"{', '.join(keys)}: {why}")


def by_reason(left: Mapping[str, str]) -> dict[str, list[str]]:
    """Reason -> the keys that it holds for; the empty ones last."""
    found: dict[str, list[str]] = {}
    for key, why in left.items():
        found.setdefault(why, []).append(key)
    if EMPTY in found:
        found[EMPTY] = found.pop(EMPTY)
    return found


def _item(text: str) -> list[str]:
    flat = " ".join(text.split())
    return textwrap.wrap(flat, _WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
