"""`rate`: how good is the last answer of each chat, in several aspects? People give points, or a scorer stands in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import Conversations, Kind, Ref
from curation.errors import UserError
from curation.operator import PairScorer, Scorer
from curation.registry import OPERATORS
from curation.settings import UNLESS_DEFAULT
from rlhf.recipe.step import Done, Room, Step, Waiting
from rlhf.steps.asking import FOR_PEOPLE, PEOPLE, AsksPeople, Decider, heard, reasons, set_aside
from rlhf.steps.mixing_gold import FOR_GOLD, MixesGold
from rlhf.steps.people import names_of, of_questions

if TYPE_CHECKING:
    from curation import conversation
    from curation.labeling.chats import Rated
    from curation.labeling.gold import Known


class Rate(MixesGold, AsksPeople, Step):
    """Conversations with a score for each aspect: the mean of the 1 to 5 points that people gave the last answer.

    With a scorer there is one aspect, and its score is what the scorer says, on the scorer's own scale; who rated
    stands in every row, and on every page and card. Reasons: `no_answer`; `unanswered` and `skipped` where people rate.
    """

    step: Literal["rate"] = "rate"
    data: Ref[Conversations]
    """The chats."""
    aspects: dict[str, str] = Field(default_factory=dict)
    """Aspect -> what earns its points, in one line; its name becomes the score's. Other words ask another question, and
    old points do not count. Empty: instruction, truth, honesty and help; with a scorer, its own column."""
    decided_by: Annotated[Literal["people"] | Scorer, Decider(OPERATORS, Scorer)] = "people"
    """`people`, or the scorer that rates instead."""
    suggestions: bool = False
    """People see the scores of these names that a row has already, and can take them over with one key. That draws
    their own points towards them, so every such answer is marked in the log. For Argilla; forms stay blind."""

    gold: Annotated[Ref[Conversations] | None, UNLESS_DEFAULT] = None
    """Chats that carry scores in the aspects' names, mixed in and not marked: they tell who rates with care. Right are
    the points that a score lies at, or between. They count as answers, and nothing comes of them."""

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        from curation.labeling.rating import RESERVED

        for name in self.aspects:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in RESERVED:
                raise ValueError(f"an aspect is named by a-z, 0-9 and _, and not like a column of a form: not {name!r}")
        by = self.decided_by
        if not isinstance(by, Scorer):
            self.check_gold(self.gold, self.suggestions)
            return self
        if people := (FOR_PEOPLE | FOR_GOLD) & self.model_fields_set:
            raise ValueError(f"`{min(people)}` is for people, and here `{by.op}` decides")
        if by.on:
            raise ValueError(f"`{by.op}` reads the whole chat where it decides; remove its `on`")
        if isinstance(by, PairScorer):
            raise ValueError(f"`{by.op}` says who wins and gives no points; take a scorer that does")
        if len(self.aspects) > 1:
            raise ValueError(f"`{by.op}` gives one number: leave one aspect, or none")
        return self

    def makes(self) -> type[Kind]:
        return Conversations

    def _aspects(self) -> Mapping[str, str]:
        from curation.synthesis.ratings import ASPECTS

        return self.aspects or ASPECTS

    def _columns(self) -> list[str]:
        if isinstance(self.decided_by, Scorer):
            return list(self.aspects) or [self.decided_by.column]
        return list(self._aspects())

    def scores(self, steps: Mapping[str, Step]) -> set[str] | None:
        given = steps[self.data.step].scores(steps) if self.data.step in steps else None
        return None if given is None else given | set(self._columns())

    def _rows(self) -> list[conversation.Conversation]:
        from curation import table

        return table.rows(self.data.folder, self.data.part)

    def asks(self) -> Rated | None:
        return None if isinstance(self.decided_by, Scorer) else self._asked()[0]

    def _asked(self) -> tuple[Rated, Mapping[str, Known]]:
        """What people are asked, and what is known of the gold questions among it."""
        from curation import table
        from curation.labeling.chats import Rated
        from curation.labeling.gold import of_points
        from curation.labeling.rating import Rating

        rating = Rating(tuple(self._aspects().items()))
        asked = Rated.about(self._rows(), self._aspects(), suggestions=self.suggestions)
        found = of_points(table.rows(self.gold.folder, self.gold.part), rating) if self.gold else None
        return asked, self.mixed_in(asked, found, "rate", rating)

    def run(self, room: Room) -> Done | Waiting:
        if isinstance(self.decided_by, Scorer):
            return self._scored(self.decided_by, self._rows(), room)
        asked, known = self._asked()
        now = self.put_to_people(asked, room)
        if isinstance(now, Waiting):
            return now
        made, lost = asked.scored(now.said)
        about = of_questions(now, dict, names_of(now, room), room, grades=True, known=known)
        return self._published(asked.rows, made, lost, {**heard(now), **about}, PEOPLE, room)

    def _scored(self, scorer: Scorer, rows: Sequence[conversation.Conversation], room: Room) -> Done:
        from curation.labeling.chats import BY
        from rlhf.evaluation.judging import scores
        from rlhf.steps.endpoints import judged, reachable
        from rlhf.steps.local_models import on_its_device

        able = [row for row in rows if row.messages and row.messages[-1].role == "assistant"]
        lost = [(row, "no_answer") for row in rows if not (row.messages and row.messages[-1].role == "assistant")]
        with on_its_device([scorer], room) as numerics, reachable(room) as connections:
            found = scores(scorer, able, work=room.work / "scores", cache=room.scores, progress=room.progress)
            metrics = judged(connections)
        (column,) = self._columns()
        made = [
            row.with_(scores={**row.scores, column: x}, meta={**row.meta, BY: scorer.op})
            for row, x in zip(able, found, strict=True)
        ]
        done = self._published(rows, made, lost, metrics, scorer.op, room)
        done.tokens, done.usd, done.numerics = connections.usage.tokens(), connections.usage.usd, numerics
        return done

    def _published(
        self,
        rows: Sequence[conversation.Conversation],
        made: Sequence[conversation.Conversation],
        lost: Sequence[tuple[conversation.Conversation, str]],
        metrics: Mapping[str, Any],
        decided_by: str,
        room: Room,
    ) -> Done:
        from curation import table
        from curation.conversation import Conversation
        from curation.ledger import Entry, Ledger, in_words

        dropped = reasons(lost)
        if not made:
            why = in_words(dropped) or "there are no rows"
            raise UserError(f"no chat was rated: {why}", hint="look at why rows were left out, or rate others")
        table.write_rows(room.out, made, Conversation)
        means = {name: sum(row.scores[name] for row in made) / len(made) for name in self._columns()}
        entry = Entry(operator="rate", made=len(rows), kept=len(made), dropped=dropped)
        return Done(
            ledger=Ledger(entries=[entry]),
            metrics={"rows": len(rows), "rated": len(made), "mean": means, **metrics},
            side=set_aside(lost, Conversation, "rate", room),
            decided_by=decided_by,
        )
