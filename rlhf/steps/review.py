"""`review`: is each chat good enough to learn from? People accept it, drop it for a reason, or put its answer right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import Conversations, Kind, Ref
from curation.errors import UserError
from curation.settings import UNLESS_DEFAULT
from rlhf.recipe.step import Done, Room, Step, Waiting
from rlhf.steps.asking import PEOPLE, AsksPeople, heard, reasons, set_aside
from rlhf.steps.mixing_gold import MixesGold
from rlhf.steps.people import names_of, of_questions

if TYPE_CHECKING:
    from curation import conversation
    from curation.labeling.chats import Reviewed
    from curation.labeling.gold import Known


class Review(MixesGold, AsksPeople, Step):
    """Conversations that people let through, some with an answer that they put right.

    An edited chat is a child of the one that it came from (`parent`). Of several people more drops than other verdicts
    drop a chat, and more edits than accepts take the edit. Reasons: those of `reasons`, `no_reason` of a drop without
    one, `no_answer` of a chat that ends on none, `unanswered`, `skipped`.
    """

    step: Literal["review"] = "review"
    data: Ref[Conversations]
    """The chats."""
    reasons: list[str] = Field(default_factory=list)
    """Why a chat may be dropped, a snake_case word each. A longer list costs no answer. Empty: wrong, unclear,
    off_topic, harmful and bad_language."""

    gold: Annotated[Ref[Conversations] | None, UNLESS_DEFAULT] = None
    """Chats with a `label`, mixed in and not marked: they tell who reviews with care. Of a good one it is right to
    accept or edit it, of a bad one to drop it. They count as answers, and nothing comes of them."""

    @model_validator(mode="after")
    def _words(self) -> Self:
        for word in self.reasons:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", word):
                raise ValueError(f"a reason is one word of a-z, 0-9 and _, not {word!r}")
        if len(set(self.reasons)) < len(self.reasons):
            raise ValueError("a reason is named twice")
        self.check_gold(self.gold, None)
        return self

    def makes(self) -> type[Kind]:
        return Conversations

    def scores(self, steps: Mapping[str, Step]) -> set[str] | None:
        return steps[self.data.step].scores(steps) if self.data.step in steps else None

    def asks(self) -> Reviewed:
        return self._asked()[0]

    def _asked(self) -> tuple[Reviewed, Mapping[str, Known]]:
        """What people are asked, and what is known of the gold questions among it."""
        from curation import table
        from curation.labeling import review
        from curation.labeling.chats import Reviewed
        from curation.labeling.gold import of_labels

        question = review.Review(tuple(self.reasons or review.REASONS))
        rows: list[conversation.Conversation] = table.rows(self.data.folder, self.data.part)
        asked = Reviewed.about(rows, question.reasons)
        found = of_labels(table.rows(self.gold.folder, self.gold.part), question) if self.gold else None
        return asked, self.mixed_in(asked, found, "review", question)

    def run(self, room: Room) -> Done | Waiting:
        from curation import table
        from curation.conversation import Conversation
        from curation.ledger import Entry, Ledger, in_words

        asked, known = self._asked()
        now = self.put_to_people(asked, room)
        if isinstance(now, Waiting):
            return now
        out = asked.outcome(now.said)
        kept = [*out.accepted, *out.edited]
        dropped = reasons(out.lost)
        if not kept:
            why = in_words(dropped) or "no rows"
            raise UserError(f"no chat is left: {why}", hint="put up other rows: what people said stays in the log")
        table.write_rows(room.out, kept, Conversation)
        edited = len(out.edited)
        about = of_questions(
            now, lambda v: {"action": v["action"]}, names_of(now, room), room, grades=False, known=known
        )
        entry = Entry(
            operator="review", made=len(asked.rows), children=edited, kept=len(kept), dropped=dropped, replaced=edited
        )
        return Done(
            ledger=Ledger(entries=[entry]),
            metrics={"rows": len(asked.rows), "accepted": len(out.accepted), "edited": edited, **heard(now), **about},
            side=set_aside(out.lost, Conversation, "review", room),
            decided_by=PEOPLE,
        )
