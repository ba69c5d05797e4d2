"""Where a list of operators must be cut: before each decision that needs the whole table.

Between two cuts every operator works row by row, so batches run through all of them at once. At a cut the batches
wait on the disk until the decision over the small global table is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curation.operator import Operator, Scorer, Selector


@dataclass(frozen=True)
class Stage:
    """Operators that work row by row, and the barrier that ends them."""

    operators: tuple[Operator, ...] = ()
    barrier: Selector | Scorer | None = None
    """None for the last stage alone."""


def stages(operators: Sequence[Operator]) -> list[Stage]:
    """The operators in order, cut after each barrier; there is always a last stage without one."""
    made: list[Stage] = []
    row_by_row: list[Operator] = []
    for operator in operators:
        if isinstance(operator, Selector) or (isinstance(operator, Scorer) and operator.chunked):
            made.append(Stage(tuple(row_by_row), operator))
            row_by_row = []
        else:
            row_by_row.append(operator)
    return [*made, Stage(tuple(row_by_row))]
