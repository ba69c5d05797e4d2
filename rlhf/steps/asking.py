"""What `compare`, `rate` and `review` share: the settings of asking people, one look at what they said, the waiting."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from curation.artifact import InputFile
from curation.errors import did_you_mean
from curation.operator import Plugin, Scorer
from curation.settings import Settings
from rlhf.recipe.step import LabelLog, Room, Waiting

if TYPE_CHECKING:
    from curation.conversation import Row
    from curation.labeling.rounds import Round, Terms
    from curation.labeling.tasks import Asked

PEOPLE = "people"
FOR_PEOPLE = frozenset({"guidelines", "min_submitted", "max_answers", "suggestions"})
"""Settings that mean nothing where a scorer decides."""


class Decider(Plugin):
    """`people`, or a scorer."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def written(value: str | Scorer) -> Any:
            if isinstance(value, str):
                return value
            return {value.op: value.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"op"})}

        return core_schema.no_info_plain_validator_function(
            self.parse, serialization=core_schema.plain_serializer_function_ser_schema(written)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"const": PEOPLE}, super().__get_pydantic_json_schema__(schema, handler)]}

    def parse(self, value: Any) -> Any:
        if value == PEOPLE:
            return value
        if isinstance(value, str) and "did you mean" in (hint := did_you_mean(value, [PEOPLE])):
            raise PydanticCustomError(
                "plugin", "there is no scorer {name}; {hint}", {"name": repr(value), "hint": hint}
            )
        return super().parse(value)


class AsksPeople(Settings):
    """Settings of a step that asks people."""

    guidelines: InputFile | None = None
    """What people should go by. Answers given under other guidelines answer another question, and do not count."""
    min_submitted: int = Field(1, ge=1)
    """People who must have answered each item before the step goes on. Items that lack least are handed out first."""
    max_answers: int | None = Field(None, ge=1)
    """Answers of people in all after which it goes on, whatever was left out. None: no such bound."""

    def asks(self) -> Asked | None:
        """What people are asked, read from the bound data; None where nobody is."""
        raise NotImplementedError

    def terms(self) -> Terms:
        """When there are answers enough."""
        from curation.labeling.rounds import Terms

        return Terms(self.guidelines.digest if self.guidelines else "", self.min_submitted, self.max_answers)

    def stranded(self, name: str, labels: LabelLog, forms: Path) -> list[str]:
        """What people said that would not count any more if this step ran now."""
        from curation.labeling.rounds import foreseen

        asked = self.asks()
        return foreseen(asked, forms, labels, self.terms(), name).warnings() if asked else []

    def put_to_people(self, asked: Asked, room: Room) -> Round | Waiting:
        """One look at what people said: where the asking stands when it is complete, else what is waited for."""
        from curation.labeling.rounds import look

        if room.labels is None or room.labeling is None:
            raise RuntimeError("people can only be asked where there is a log for their answers")
        terms = self.terms()
        how = room.profile.labeling
        if how.backend == "argilla":
            from curation.labeling import online
            from curation.labeling.argilla import Server

            text = self.guidelines.text() if self.guidelines else ""
            connection = Server.of(how.api_url, how.workspace).connect()
            now, where = online.look(asked, connection, room.labels, terms, room.name, text, warn=room.warn)
        else:
            folder = room.labeling / room.name
            now = look(asked, folder, room.labels, terms, format=how.format, warn=room.warn)
            where = str(now.forms[0] if len(now.forms) == 1 else folder)
            if self.guidelines and not now.complete:
                _lay_out(self.guidelines, folder)
        return now if now.complete else Waiting(now.message(), where)


def _lay_out(guidelines: InputFile, folder: Path) -> None:
    """Puts the guidelines beside the forms, under a name of their own for each version."""
    copy = folder / f"guidelines-{guidelines.digest[:8]}{guidelines.folder.suffix or '.txt'}"
    if folder.is_dir() and not copy.exists():
        copy.write_text(guidelines.text(), encoding="utf-8")


def heard(now: Round) -> dict[str, int]:
    """For a step's metrics: how many answers there are, and of how many people."""
    people = {name for said in now.said.values() for name in said}
    return {"answers": sum(map(len, now.said.values())), "annotators": len(people)}


def set_aside(lost: Sequence[tuple[Row, str]], rows: type[Row], step: str, room: Room) -> dict[str, Path]:
    """Writes the rows that nothing came of, with their reasons, as the step's side artifact."""
    import polars as pl

    from curation import table
    from curation.frame import to_frame

    if not lost:
        return {}
    folder = room.work / "dropped"
    shutil.rmtree(folder, ignore_errors=True)
    why = pl.Series("reason", [reason for _, reason in lost], dtype=pl.String)
    frame = to_frame([row for row, _ in lost], rows)
    table.write(folder, frame.with_columns(pl.lit(step).alias("dropped_by"), why))
    return {"dropped": folder}


def reasons(lost: Sequence[tuple[Row, str]]) -> dict[str, int]:
    """Reason -> rows, in alphabetical order."""
    words = Counter(reason for _, reason in lost)
    return {word: words[word] for word in sorted(words)}
