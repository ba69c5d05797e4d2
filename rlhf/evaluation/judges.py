"""Who can judge in an evaluation: any scorer, or people whose verdicts a `compare` step holds."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from curation.artifact import Preferences, Ref
from curation.operator import Plugin, Scorer
from curation.registry import OPERATORS
from curation.settings import Settings

PEOPLE = "people"


class PeopleJudge(Settings):
    """What people said of the answers, blind and in random order.

    The answers are those that a `sample` step drew from the policies and that `labels` compares; nothing is asked anew.
    """

    model_config = ConfigDict(populate_by_name=True)

    revision: ClassVar[int] = 1

    op: Literal["people"] = PEOPLE
    labels: Ref[Preferences]
    """The step that holds their verdicts: a `compare` over answers of the policies."""
    as_: str | None = Field(None, alias="as")
    """What metrics call this judge. Default: `people`."""

    @property
    def column(self) -> str:
        """The name in metrics."""
        return self.as_ or self.op


class JudgePlugin(Plugin):
    """A scorer, or `{people: {labels: STEP}}`."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        labels = {"type": "string", "description": Ref.what((Preferences,))}
        own = {
            "type": "object",
            "required": ["labels"],
            "properties": {"labels": labels, "as": {"type": "string"}},
            "additionalProperties": False,
        }
        people = {"type": "object", "required": [PEOPLE], "properties": {PEOPLE: own}, "additionalProperties": False}
        return {"anyOf": [people, super().__get_pydantic_json_schema__(schema, handler)]}

    def parse(self, value: Any) -> Any:
        if isinstance(value, PeopleJudge):
            return value
        if value == PEOPLE or (isinstance(value, dict) and list(value) == [PEOPLE]):
            try:
                return PeopleJudge.model_validate((value[PEOPLE] if isinstance(value, dict) else None) or {})
            except ValidationError as error:
                problems = error.errors(include_url=False)
                raise PydanticCustomError(
                    "nested", "{name} has wrong settings", {"name": PEOPLE, "errors": problems}
                ) from None
        return super().parse(value)


JUDGE_FIELD = JudgePlugin(OPERATORS, Scorer)
