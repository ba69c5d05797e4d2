"""`evol_instruct`: a model makes prompts harder, round after round, and answers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from curation.artifact import Conversations, Kind, Ref
from curation.errors import UserError
from curation.settings import ONE_OR_MORE
from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.writing import Writing, published, writer

Operation = Literal["constraints", "deepen", "concretise", "reasoning", "complicate_input", "breadth"]


class EvolInstruct(Writing):
    """Harder prompts out of those that there are, with answers (WizardLM's Evol-Instruct).

    The last message of the user is what evolves; what stands before it stays. Each row names the row that it evolved
    from as its parent. Reasons: `no_prompt`, `needs_tools`, `repeated_prompt`, `beyond_max_prompts`; of a rewriting
    `unchanged`, `no_gain` (it asks for the same), `echoes_request` (it repeats what the model was told), `cut_off`; of
    its answer `no_answer`, `says_nothing` (no word), `refusal` (a short one that begins like that); and why the model
    gave none (`not_taken`, `withheld`, `prompt_too_long`, `control_token`, `template_refuses`).
    """

    step: Literal["evol_instruct"] = "evol_instruct"
    prompts: Ref[Conversations]
    """Whose prompts evolve. A split data set gives its part `train`, unless another one is named."""
    rounds: int = Field(4, ge=1)
    """How often each prompt is rewritten. Every rewriting that is kept is a row, and the next round begins with it."""
    operations: Annotated[list[Operation], ONE_OR_MORE] = Field(
        default=["constraints", "deepen", "concretise", "reasoning", "complicate_input", "breadth"], min_length=1
    )
    """Ways of rewriting, of which a hash draws one a prompt and round: in depth, or to another prompt of the same field
    (`breadth`). One that stands twice is drawn twice as often."""
    check_gain: bool = True
    """Ask the model of each rewriting whether it asks for the same as before, and drop it then: one question more."""
    max_prompts: int | None = Field(None, ge=1)
    """Prompts that evolve, chosen by a hash of each, so that a larger number keeps the earlier choice. None: all."""
    license: str = ""
    """SPDX id of what is made, as far as the terms of the model that writes decide it. Empty: that of the prompt."""
    max_completion_length: int = Field(2048, ge=1)
    """Tokens of a rewriting, and of an answer."""

    def makes(self) -> type[Kind]:
        return Conversations

    def scores(self, steps: Mapping[str, Step]) -> set[str]:
        return set()

    def run(self, room: Room) -> Done:
        from curation import table
        from curation.conversation import Conversation
        from curation.ledger import Entry, Ledger
        from curation.synthesis import evol_instruct as loop
        from curation.synthesis.answers import choose
        from curation.synthesis.made import Dropped, counted

        rows = table.rows(self.prompts.folder, table.part_or(self.prompts.folder, self.prompts.part, "train"))
        chosen, dropped = choose(rows, self.max_prompts)
        able = [row for row in chosen if row.messages[-1].role == "user"]
        dropped += [Dropped(row, "no_prompt") for row in chosen if row.messages[-1].role != "user"]
        plan = loop.Plan(self.rounds, tuple(self.operations), self.check_gain, self.license, self.seed)
        with writer(self, room) as (who, connections):
            made = loop.EvolInstruct(able, who, plan, room.progress).run()
            tried = len(made.rows) + len(made.dropped)
            made.dropped = [*dropped, *made.dropped]
            if not made.rows:
                hint = "more rounds or prompts, `check_gain: false`, or a larger model"
                raise UserError(f"no prompt evolved: {counted(made.dropped)}", hint=hint)
            entry = Entry(
                operator="evol_instruct",
                made=len(rows),
                children=tried,
                kept=len(made.rows),
                dropped=made.reasons(),
                replaced=len(able),
            )
            return published(room, made, Conversation, Ledger(entries=[entry]), [who], connections)
