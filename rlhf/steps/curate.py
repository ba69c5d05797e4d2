"""Sends rows through operators: normal forms, rules, scores, decisions, and the split into parts.

The work is done in `curation.pipeline`. The step makes the kind of rows that it is given; what was dropped is kept
beside it with the operator and the reason. A run that is cut off goes on at the batch that it was at.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from curation.artifact import Kind, Ref, Rows
from curation.errors import UserError
from curation.ledger import Ledger
from curation.operator import OPERATOR_FIELD, Operator
from curation.pipeline import advice, check_operators, scores_made
from curation.settings import ONE_OR_MORE
from rlhf.recipe.profile import Profile
from rlhf.recipe.step import Done, Misfit, Room, Step

if TYPE_CHECKING:
    from curation.pipeline import Engine


class Curate(Step):
    """Sends rows through operators and accounts for every one of them."""

    like: ClassVar[str | None] = "data"

    step: Literal["curate"] = "curate"
    data: Annotated[list[Ref[Rows]], ONE_OR_MORE] = Field(min_length=1)
    """The rows: one data set, or several of one kind that become one."""
    operators: list[Annotated[Operator, OPERATOR_FIELD]]
    """What is done to them, in this order: names, or one name with its settings each. What an operator drops, the next
    ones do not see."""

    def misfits(self, steps: Mapping[str, Step], kinds: Mapping[str, type[Kind]]) -> list[Misfit]:
        """What the operators say about the kind of the rows and about one another."""
        kind = kinds.get(self.data[0].step)
        if kind is None:
            return []
        found = check_operators(self.operators, kind.name, self._given(steps))
        return [Misfit(("operators", m.index), m.what, m.hint) for m in found]

    def scores(self, steps: Mapping[str, Step]) -> set[str] | None:
        given = self._given(steps)
        return None if given is None else given | scores_made(self.operators)

    def advice(self) -> list[str]:
        return advice(self.operators)

    def _given(self, steps: Mapping[str, Step]) -> set[str] | None:
        """Names of the scores that the data have; None where that is not known."""
        given: set[str] = set()
        for ref in self.data:
            scores = steps[ref.step].scores(steps) if ref.step in steps else None
            if scores is None:
                return None
            given |= scores
        return given

    def run(self, room: Room) -> Done:
        from curation.pipeline import curate
        from rlhf.report.seen import look
        from rlhf.steps.endpoints import judged, reachable
        from rlhf.steps.local_models import on_its_device

        with on_its_device(self.operators, room) as numerics, reachable(room) as connections:
            curated = curate(
                [(ref.folder, ref.part) for ref in self.data],
                self.operators,
                engine=_engine(room.profile),
                work=room.work / "curate",
                scores=room.scores,
                progress=room.progress,
            )
        kept = curated.kept.write(room.out)
        if not kept:
            raise UserError("no row is left", hint="\n  ".join(curated.ledger.waterfall()))
        dropped = room.work / "dropped"
        shutil.rmtree(dropped, ignore_errors=True)
        lost = curated.dropped.write(dropped)
        seen = look(room.out, dropped if lost else None, curated.ledger)
        return Done(
            ledger=curated.ledger,
            metrics={**_metrics(curated.ledger, kept, room), **judged(connections)},
            examples=seen.examples,
            pictures=seen.pictures,
            side={"dropped": dropped} if lost else {},
            tokens=connections.usage.tokens(),
            usd=connections.usage.usd,
            numerics=numerics,
        )


def _engine(profile: Profile) -> Engine:
    engine = profile.engine
    if engine.kind == "local":
        from curation.engines.local import Local

        return Local(engine.batch_rows)
    from curation.engines.ray import Ray

    return Ray(engine.address, engine.batch_rows, engine.workers, profile.training.threads or 1)


def _metrics(ledger: Ledger, kept: int, room: Room) -> dict[str, Any]:
    """How many rows came, stayed and went for which reason, and the range of each score among those that stayed."""
    import polars as pl

    from curation import table
    from curation.frame import SCORES

    given = ledger.entries[0].made if ledger.entries else kept
    reasons: dict[str, int] = {}
    for entry in ledger.entries:
        for word, n in entry.dropped.items():
            reasons[word] = reasons.get(word, 0) + n
    lazy = table.scan(room.out)
    scores: dict[str, dict[str, float | None]] = {}
    for column in (c for c in lazy.collect_schema().names() if c.startswith(SCORES)):
        c = pl.col(column)
        figures = lazy.select(low=c.min(), median=c.median(), mean=c.mean(), high=c.max()).collect().row(0, named=True)
        scores[column.removeprefix(SCORES)] = figures
    return {"rows": given, "kept": kept, "dropped": reasons, **({"scores": scores} if scores else {})}
