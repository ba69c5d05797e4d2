"""`compare`: of several answers to a prompt, which is better? People decide, or a scorer stands in for them."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from curation.artifact import Candidates, InputFile, Kind, Preferences, Ref
from curation.errors import UserError, did_you_mean
from curation.operator import PairScorer, Plugin, Scorer
from curation.registry import OPERATORS
from rlhf.recipe.step import Done, Room, Step, Waiting

if TYPE_CHECKING:
    from curation import conversation
    from curation.labeling.answers import Distinct
    from curation.labeling.ranked import Pairs

PEOPLE = "people"


class _Decider(Plugin):
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


class Compare(Step):
    """Preferences from candidates.

    With `people` the step writes forms, waits, and reads what was filled in; every answer is kept in a log that
    outlives the step. With a scorer the answers are scored, and who decided stands on every page and card.
    """

    step: Literal["compare"] = "compare"
    data: Ref[Candidates]
    """The answers."""
    decided_by: Annotated[Literal["people"] | Scorer, _Decider(OPERATORS, Scorer)] = "people"
    """`people`, or the scorer that decides instead: `brevity`, `{reward_model: {reward: STEP}}`, `{llm_judge: ...}`."""
    pairs: Literal["best_worst", "all"] | None = None
    """`best_worst`: one pair a prompt. `all`: every answer against every other. None: `best_worst` for a scorer; people
    always see every pair."""
    min_gap: float = Field(0.0, ge=0)
    """Answers whose scores differ by less are a tie. For scorers that give numbers."""
    guidelines: InputFile | None = None
    """What people should go by. Answers given under other guidelines answer another question, and do not count."""
    min_submitted: int = Field(1, ge=1)
    """People who must have answered each pair before the step goes on."""
    max_answers: int | None = Field(None, ge=1)
    """Answers of people in all after which it goes on, whatever was left out. None: no such bound."""

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        people = {"guidelines", "min_submitted", "max_answers"} & self.model_fields_set
        scorers = {"pairs", "min_gap"} & self.model_fields_set
        by = self.decided_by
        if not isinstance(by, Scorer):
            if scorers:
                raise ValueError(
                    f"`{min(scorers)}` is for scorers; people see every pair, and say themselves what ties"
                )
            return self
        if people:
            raise ValueError(f"`{min(people)}` is for people, and here `{by.op}` decides")
        if by.on:
            raise ValueError(f"`{by.op}` reads the whole chat where it decides; remove its `on`")
        if isinstance(by, PairScorer) and self.min_gap:
            raise ValueError(f"`{by.op}` says who wins and gives no numbers; remove `min_gap`")
        return self

    def makes(self) -> type[Kind]:
        return Preferences

    def scores(self, steps: Mapping[str, Step]) -> set[str] | None:
        given = steps[self.data.step].scores(steps) if self.data.step in steps else None
        if given is None or not isinstance(self.decided_by, Scorer):
            return given
        column = self.decided_by.column
        if isinstance(self.decided_by, PairScorer):
            if self.pairs == "all":
                return given
            column += "_wins"
        return given | {f"{column}_chosen", f"{column}_rejected"}

    def run(self, room: Room) -> Done | Waiting:
        from curation import table

        rows: list[conversation.Candidates] = table.rows(self.data.folder, self.data.part)
        if isinstance(self.decided_by, Scorer):
            return _scored(self.decided_by, self.pairs or "best_worst", self.min_gap, rows, room)
        return self._asked(rows, room)

    def _asked(self, rows: Sequence[conversation.Candidates], room: Room) -> Done | Waiting:
        from curation.labeling.rounds import Terms, look
        from curation.labeling.tasks import Asked

        if room.labels is None or room.labeling is None:
            raise RuntimeError("people can only be asked where there is a log for their answers")
        asked = Asked.about(rows)
        folder = room.labeling / room.name
        terms = Terms(self.guidelines.digest if self.guidelines else "", self.min_submitted, self.max_answers)
        how = room.profile.labeling
        if how.backend == "argilla":
            from curation.labeling import online
            from curation.labeling.argilla import Server

            text = self.guidelines.text() if self.guidelines else ""
            connection = Server.of(how.api_url, how.workspace).connect()
            now, where = online.look(asked, connection, room.labels, terms, room.name, text)
        else:
            now = look(asked, folder, room.labels, terms, format=how.format)
            where = str(now.forms[0] if len(now.forms) == 1 else folder)
        if now.stranded:
            room.warn(f"{now.stranded} answers about these pairs were given under other guidelines and do not count")
        if not now.complete:
            if self.guidelines and how.backend == "file":
                self._lay_out(self.guidelines, folder)
            return Waiting(now.message(), where)
        made, lost = asked.preferences(now.said)
        people = {name for said in now.said.values() for name in said}
        metrics = {"answers": sum(map(len, now.said.values())), "annotators": len(people)}
        metrics["identical"] = sum(d.identical for d in asked.rows)
        return _published(len(rows), made, lost, metrics, PEOPLE, room)

    @staticmethod
    def _lay_out(guidelines: InputFile, folder: Path) -> None:
        """Puts the guidelines beside the forms, under a name of their own for each version."""
        copy = folder / f"guidelines-{guidelines.digest[:8]}{guidelines.folder.suffix or '.txt'}"
        if folder.is_dir() and not copy.exists():
            copy.write_text(guidelines.text(), encoding="utf-8")


def _scored(scorer: Scorer, pairs: Pairs, min_gap: float, rows: Sequence[conversation.Candidates], room: Room) -> Done:
    from curation.labeling.answers import Distinct
    from rlhf.steps.endpoints import reachable
    from rlhf.steps.local_models import on_its_device

    distinct = [Distinct.of(row) for row in rows]
    able = [d for d in distinct if d.reason is None]
    lost = [(d.row, d.reason) for d in distinct if d.reason is not None]
    metrics: dict[str, Any] = {"identical": sum(d.identical for d in distinct)}
    with on_its_device([scorer], room) as numerics, reachable(room) as connections:
        if isinstance(scorer, PairScorer):
            made, metrics["unreadable"] = _side_by_side(scorer, able, pairs)
        else:
            made = _by_score(scorer, able, pairs, min_gap, room)
    if metrics.get("unreadable"):
        room.warn(f"{metrics['unreadable']} pairs are ties because a verdict on them could not be read")
    done = _published(len(rows), made, lost, metrics, scorer.op, room)
    done.tokens, done.usd, done.numerics = connections.usage.tokens(), connections.usage.usd, numerics
    return done


def _by_score(
    scorer: Scorer, able: Sequence[Distinct], pairs: Pairs, min_gap: float, room: Room
) -> list[conversation.Preference]:
    from curation.labeling.ranked import by_score
    from rlhf.evaluation.judging import scores

    chats = [chat for d in able for chat in d.candidates().conversations()]
    found = iter(scores(scorer, chats, work=room.work / "scores", cache=room.scores, progress=room.progress))
    made = []
    for d in able:
        own = [next(found) for _ in d.answers]
        made += by_score(d, own, scorer.column, scorer.op, pairs, min_gap)
    return made


def _side_by_side(
    judge: PairScorer, able: Sequence[Distinct], pairs: Pairs
) -> tuple[list[conversation.Preference], int]:
    """The pairs, and how many verdicts could not be read. With `best_worst` an answer is worth the pairs it wins."""
    from curation.labeling.ranked import by_score
    from rlhf.evaluation.judging import compare

    chats = [d.candidates().conversations() for d in able]
    places = [(n, i, j) for n, d in enumerate(able) for i, j in combinations(range(len(d.answers)), 2)]
    verdicts = compare(judge, [(chats[n][i], chats[n][j]) for n, i, j in places])
    wins = [[0.0] * len(d.answers) for d in able]
    made = []
    for (n, i, j), verdict in zip(places, verdicts, strict=True):
        wins[n][i] += verdict.outcome
        wins[n][j] += 1 - verdict.outcome
        if pairs == "all":
            better, worse = (i, j) if verdict.outcome >= 0.5 else (j, i)
            a, b = able[n].answers[better].message(), able[n].answers[worse].message()
            made.append(able[n].pair(a, b, judge.op, tie=verdict.outcome == 0.5))
    if pairs == "best_worst":
        for d, own in zip(able, wins, strict=True):
            made += by_score(d, own, f"{judge.column}_wins", judge.op, pairs)
    return made, sum(v.forth is None or v.back is None for v in verdicts)


def _published(
    rows: int,
    made: Sequence[conversation.Preference],
    lost: Sequence[tuple[conversation.Candidates, str]],
    metrics: dict[str, Any],
    decided_by: str,
    room: Room,
) -> Done:
    """Writes the pairs, and beside them the rows that gave none."""
    import polars as pl

    from curation import table
    from curation.conversation import Candidates, Preference
    from curation.frame import to_frame
    from curation.ledger import Entry, Ledger

    words = Counter(reason for _, reason in lost)
    dropped = {word: words[word] for word in sorted(words)}
    if not made:
        reasons = ", ".join(f"{n} {word}" for word, n in dropped.items()) or "there are no candidates"
        hint = "raise `num_generations` or `temperature` of the step that samples, so that answers differ"
        raise UserError(f"there is no pair to prefer in: {reasons}", hint=hint)
    table.write_rows(room.out, made, Preference)
    side: dict[str, Path] = {}
    if lost:
        side["dropped"] = room.work / "dropped"
        shutil.rmtree(side["dropped"], ignore_errors=True)
        why = pl.Series("reason", [reason for _, reason in lost], dtype=pl.String)
        frame = to_frame([row for row, _ in lost], Candidates)
        table.write(side["dropped"], frame.with_columns(pl.lit("compare").alias("dropped_by"), why))
    entry = Entry(
        operator="compare",
        made=rows,
        children=len(made),
        kept=len(made),
        dropped=dropped,
        replaced=rows - len(lost),
    )
    ties = sum(pair.verdict == "tie" for pair in made)
    return Done(
        ledger=Ledger(entries=[entry]),
        metrics={"pairs": len(made), "ties": ties, **metrics},
        side=side,
        decided_by=decided_by,
    )
