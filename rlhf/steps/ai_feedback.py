"""`ai_feedback`: several models answer, a judge rates the answers, and pairs come out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import Conversations, InputFile, Kind, Policy, Preferences, Ref
from curation.errors import UserError
from curation.models.settings import DType, Sampling
from curation.settings import ONE_OR_MORE
from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.writing import endpoint, policy, published

if TYPE_CHECKING:
    from curation.conversation import Candidates, Preference
    from curation.operator import TwoOrders
    from curation.synthesis.made import Made
    from curation.synthesis.writers import Writer

DECIDED_BY = "llm_judge"
"""What rows, pages and cards say: a language model, whichever way it was asked."""


class AiFeedback(Sampling, Step):
    """Preferences between answers of several models, by a model's ratings (UltraFeedback's idea).

    With `judging: aspects` the judge gives each answer 1 to 5 points in each aspect, and the pair goes by their mean.
    With `both_orders` it sees every two answers in both orders, and where the order decides they are a tie. Reasons:
    `no_prompt`, `needs_tools`, `repeated_prompt`, `beyond_max_prompts`, `no_answer`, and why a model gave none
    (`not_taken`, `withheld`, `prompt_too_long`, `control_token`, `template_refuses`); `one_answer`,
    `identical_answers`, and `unrated` where the judge's points could not be read.
    """

    inherits_policy: ClassVar[bool] = False

    step: Literal["ai_feedback"] = "ai_feedback"
    prompts: Ref[Conversations]
    """Whose prompts are answered. A split data set gives its part `train`, unless another one is named."""
    endpoint_models: Annotated[list[str], ONE_OR_MORE] = Field(default_factory=list)
    """Who answers: entries of `endpoints` in the profile."""
    policies: Annotated[list[Ref[Policy]], ONE_OR_MORE] = Field(default_factory=list)
    """Who answers besides: steps that make a model (`base` is one)."""
    num_generations: int = Field(1, ge=1)
    """Answers of each of them to a prompt."""
    judge: str | None = None
    """Who rates: an entry of `endpoints` in the profile."""
    judge_policy: Ref[Policy] | None = None
    """Who rates, instead of an endpoint: a step that makes a model."""
    judging: Literal["aspects", "both_orders"] = "aspects"
    """How the judge is asked: about each answer by itself, or about every two in both orders (`k` answers cost
    `k (k - 1)` questions a prompt; `judge` alone can do that)."""
    aspects: dict[str, str] = Field(default_factory=dict)
    """Aspect -> what earns its points, in words for the judge. Empty: instruction, truth, honesty and help."""
    rubric: InputFile | None = None
    """For `both_orders`: what counts, in words, for the judge as for people."""
    pairs: Literal["best_worst", "all"] = "best_worst"
    """`best_worst`: one pair a prompt. `all`: every answer against every other."""
    min_gap: float = Field(0.0, ge=0)
    """For `aspects`: answers whose mean points differ by less are a tie, which trainers leave out."""
    judge_temperature: float | None = Field(0.0, ge=0)
    """Of the judge. None: its server's default, for models that take no temperature."""
    judge_max_completion_length: int = Field(1024, ge=8)
    """Tokens that the judge may write. What is cut off before its points cannot be read."""
    max_prompts: int | None = Field(None, ge=1)
    """Prompts that are answered, chosen by a hash of each, so that a larger number keeps the earlier choice. None:
    all."""
    max_completion_length: int = Field(1024, ge=1)
    """Tokens of an answer, its end token included. One that is longer is cut, and counts as not finished."""
    dtype: DType = "float32"
    """How finely the weights of `policies` are kept."""

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        who = [*self.endpoint_models, *map(str, self.policies)]
        if len(set(who)) < len(who):
            raise ValueError("somebody is named twice; raise `num_generations` instead")
        if len(who) * self.num_generations < 2:
            raise ValueError("a pair needs two answers: name several `endpoint_models` or `policies`")
        if (self.judge is None) == (self.judge_policy is None):
            raise ValueError("who rates? give `judge: NAME` or `judge_policy: STEP`, one of the two")
        if self.top_k and self.endpoint_models:
            raise ValueError("`top_k` is for `policies`: OpenAI-compatible endpoints do not know it")
        if self.temperature == 0 and len(who) == 1:
            raise ValueError("`temperature: 0` gives the same answer every time; there is no pair in them")
        for name in self.aspects:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name == "rating":
                raise ValueError(f"an aspect is named by a-z, 0-9 and _, and not `rating`: not {name!r}")
        aspects_only = {"aspects", "min_gap"} & self.model_fields_set
        if self.judging == "both_orders" and aspects_only:
            raise ValueError(f"`{min(aspects_only)}` is for `judging: aspects`")
        if self.judging == "both_orders" and self.judge is None:
            raise ValueError("`judging: both_orders` asks an endpoint: give `judge: NAME`")
        if self.judging == "aspects" and self.rubric is not None:
            raise ValueError("`rubric` is for `judging: both_orders`; write what counts into `aspects`")
        return self

    def makes(self) -> type[Kind]:
        return Preferences

    def scores(self, steps: Mapping[str, Step]) -> set[str]:
        from curation.synthesis.ratings import ASPECTS, OVERALL

        if self.judging == "aspects":
            names = [OVERALL, *(self.aspects or ASPECTS)]
        else:
            names = ["wins"] if self.pairs == "best_worst" else []
        return {f"{name}_{end}" for name in names for end in ("chosen", "rejected")}

    def run(self, room: Room) -> Done:
        from curation import table
        from curation.conversation import Preference
        from curation.synthesis.answers import answered, choose
        from curation.synthesis.made import counted
        from rlhf.steps.endpoints import reachable

        rows = table.rows(self.prompts.folder, table.part_or(self.prompts.folder, self.prompts.part, "train"))
        chosen, dropped = choose(rows, self.max_prompts)
        with ExitStack() as stack:
            connections = stack.enter_context(reachable(room))
            writers: list[Writer] = [endpoint(name, self) for name in self.endpoint_models]
            writers += [policy(ref, self, self.dtype, room) for ref in self.policies]
            for one in writers:
                stack.callback(one.close)
            candidates, silent = answered(chosen, writers, self.num_generations)
            made = self._judged(candidates, room)
            made.dropped = [*dropped, *silent, *made.dropped]
            if not made.rows:
                hint = "more prompts, a smaller `min_gap`, or a judge that keeps to the form it is asked for"
                raise UserError(f"no pair came out of {len(rows)} prompts: {counted(made.dropped)}", hint=hint)
            if made.figures["unrated"]:
                room.warn(f"{made.figures['unrated']} ratings could not be read")
            made.figures = {"prompts": len(candidates), "pairs": len(made.rows), **made.figures}
            done = published(room, made, Preference, _ledger(made), writers, connections)
        done.decided_by = DECIDED_BY
        return done

    def _judged(self, candidates: Sequence[Candidates], room: Room) -> Made[Preference]:
        from curation.operators.llm_judge import LlmJudge
        from curation.synthesis import ratings
        from curation.synthesis.writers import EndpointWriter
        from rlhf.evaluation.judging import compare

        if self.judging == "aspects":
            length, warmth = self.judge_max_completion_length, self.judge_temperature
            if self.judge is not None:
                judge: Writer = EndpointWriter(self.judge, length, warmth, seed=self.seed)
            elif self.judge_policy is not None:
                how = Sampling(max_completion_length=length, temperature=warmth or 0.0, seed=self.seed)
                judge = policy(self.judge_policy, how, self.dtype, room, "rating")
            aspects = self.aspects or ratings.ASPECTS
            try:
                return ratings.by_aspects(candidates, judge, aspects, self.pairs, DECIDED_BY, self.min_gap)
            finally:
                judge.close()
        scorer = LlmJudge(
            endpoint_model=str(self.judge),
            rubric=self.rubric,
            temperature=self.judge_temperature,
            max_completion_length=self.judge_max_completion_length,
        )

        def sides(asked: Sequence[tuple[Candidates, int, int]]) -> list[TwoOrders]:
            chats = [(row.conversations(), i, j) for row, i, j in asked]
            return compare(scorer, [(own[i], own[j]) for own, i, j in chats])

        return ratings.by_both_orders(candidates, sides, self.pairs, DECIDED_BY)


def _ledger(made: Made[Any]) -> Any:
    """One prompt may give several pairs, or none."""
    from curation.ledger import Entry, Ledger

    prompts = len({(pair.parent, pair.source.digest, pair.source.index) for pair in made.rows})
    pairs = len(made.rows)
    entry = Entry(
        operator="ai_feedback",
        made=prompts + len(made.dropped),
        children=pairs,
        kept=pairs,
        dropped=made.reasons(),
        replaced=prompts,
    )
    return Ledger(entries=[entry])
