"""`best_of_n`: a model answers each prompt several times; the best answer is kept, or best and worst as a pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import KINDS, Conversations, Kind, Ref
from curation.conversation import Conversation
from curation.errors import UserError
from curation.operator import SCORER_FIELD, Scorer
from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.writing import Writing, published, writer


class BestOfN(Writing):
    """The best of several answers to each prompt, as a scorer sees it.

    A prompt is all that stands before the last answer of a conversation; that answer is not looked at. Reasons:
    `no_prompt`, `needs_tools`, `repeated_prompt`, `beyond_max_prompts`, `no_answer`, and why a model gave none
    (`not_taken`, `withheld`, `prompt_too_long`, `control_token`, `template_refuses`); of pairs also `one_answer` and
    `identical_answers`.
    """

    step: Literal["best_of_n"] = "best_of_n"
    prompts: Ref[Conversations]
    """Whose prompts are answered. A split data set gives its part `train`, unless another one is named."""
    rows: Literal["conversations", "preferences"] = Field("conversations", alias="makes")
    """`conversations`: each prompt with its best answer. `preferences`: the best answer against the worst."""
    scorer: Annotated[Scorer, SCORER_FIELD]
    """Says how good an answer is, more being better: `brevity`, `{reward_model: {reward: STEP}}`, `{llm_judge: {...}}`
    (one question an answer, in points)."""
    num_generations: int = Field(4, ge=2)
    """Answers to a prompt."""
    min_gap: float = Field(0.0, ge=0)
    """Pairs whose scores differ by less are ties, which trainers leave out."""
    max_prompts: int | None = Field(None, ge=1)
    """Prompts that are answered, chosen by a hash of each, so that a larger number keeps the earlier choice. None:
    all."""
    max_completion_length: int = Field(1024, ge=1)
    """Tokens of an answer, its end token included. One that is longer is cut, and counts as not finished."""

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.scorer.on:
            raise ValueError(f"`{self.scorer.op}` reads the whole chat where it decides; remove its `on`")
        if self.temperature == 0:
            raise ValueError("`temperature: 0` gives the same answer every time; there is no best among them")
        if self.min_gap and self.rows == "conversations":
            raise ValueError("`min_gap` is for `makes: preferences`")
        return self

    def makes(self) -> type[Kind]:
        return KINDS[self.rows]

    def scores(self, steps: Mapping[str, Step]) -> set[str]:
        ends = ("", "_mean") if self.rows == "conversations" else ("_chosen", "_rejected")
        return {self.scorer.column + end for end in ends}

    def run(self, room: Room) -> Done:
        from curation import table
        from curation.conversation import Preference
        from curation.synthesis import best_of_n
        from curation.synthesis.answers import answered, choose
        from curation.synthesis.made import Made, counted
        from rlhf.evaluation.judging import scores
        from rlhf.steps.local_models import on_its_device

        rows = table.rows(self.prompts.folder, table.part_or(self.prompts.folder, self.prompts.part, "train"))
        chosen, dropped = choose(rows, self.max_prompts)

        def score(chats: list[Conversation]) -> list[float]:
            return scores(self.scorer, chats, work=room.work / "scores", cache=room.scores, progress=room.progress)

        with on_its_device([self.scorer], room), writer(self, room) as (who, connections):
            candidates, silent = answered(chosen, [who], self.num_generations)
            column = self.scorer.column
            made: Made[Any]
            if self.rows == "conversations":
                made = best_of_n.best(candidates, score, column)
            else:
                made = best_of_n.pairs(candidates, score, column, self.scorer.op, self.min_gap)
            made.dropped = [*dropped, *silent, *made.dropped]
            if not made.rows:
                hint = "other prompts, or a larger max_completion_length"
                raise UserError(f"no row came out of {len(rows)} prompts: {counted(made.dropped)}", hint=hint)
            kind = Conversation if self.rows == "conversations" else Preference
            answers = sum(len(row.answers) for row in candidates)
            made.figures = {"prompts": len(candidates), "answers": answers, **made.figures}
            done = published(room, made, kind, made.ledger("best_of_n", who.name), [who], connections)
        done.decided_by = self.scorer.op
        return done
