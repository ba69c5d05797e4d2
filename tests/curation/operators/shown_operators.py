"""The built-in operators as their pages show them, so that a new one is tested as soon as it is known by name."""

from __future__ import annotations

from collections.abc import Sequence

from curation.artifact import pointers
from curation.engines.ray import asks_endpoints
from curation.operator import OPERATOR_FIELD, Operator
from curation.registry import OPERATORS, builtin_names, lookup
from rlhf.recipe.document import parse
from rlhf.recipe.operators import example
from rlhf.recipe.problem import Place


def _shown(name: str) -> list[Operator]:
    node = parse(example(name, lookup(OPERATORS, name)), Place())
    return [OPERATOR_FIELD.parse(written) for written in node.plain()]


def alone(operators: Sequence[Operator]) -> bool:
    """Whether they need nothing but rows: no model, no endpoint, no other data, no reference beside each row."""
    return not any(
        getattr(o, "chunked", False) or asks_endpoints(o) or [*pointers(o)] or hasattr(o, "reference")
        for o in operators
    )


SHOWN: dict[str, list[Operator]] = {name: _shown(name) for name in builtin_names(OPERATORS)}
"""Operator -> the operators of its page's example."""
