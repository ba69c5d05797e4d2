"""`evaluate`: does a policy answer better than the one before it, by whose judgement, and how sure is that?

The work is done in `rlhf.evaluation`; this file says what can be set, and puts the figures together:

    {policy: {judge: {"win_rate": {mean, low, high}, "wins", "ties", "losses", "n", "by", ...; of people also
                      "annotators": {annotator1: the same}, "agreement": {"raw", "kappa", "alpha"}},
              "win_rate": the first judge's, "finished", "words", "repetition", "empty", "perplexity", "loss"},
     baseline: the same without judges,
     "rewards": {reward model: {"accuracy", "length_accuracy", "over_length", "n"}},
     "calibration": {judge: {"agreement", "kappa", "people", "length_agreement", "flip_rate", "n", ...}},
     "judged_by": [judge, ...], "prompts": number}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from curation.artifact import Conversations, Evaluation, Kind, Policy, Preferences, Ref, RewardModel
from curation.errors import RecipeError, did_you_mean
from curation.models.settings import DType, Sampling
from curation.operator import PairScorer, Scorer
from curation.settings import ONE_OR_MORE
from rlhf.evaluation.judges import JUDGE_FIELD, PeopleJudge
from rlhf.recipe.step import Done, Room, Step

FIGURES = ("win_rate", "finished", "words", "repetition", "empty", "perplexity", "loss")
"""What stands under a policy besides its judges."""
_BOUNDS = ("mean", "low", "high")
TOP = ("rewards", "judged_by", "prompts", "calibration")
"""What stands beside the policies."""


class Evaluate(Sampling, Step):
    """Compares policies with a baseline on prompts that they were not trained on."""

    not_identity: ClassVar[frozenset[str]] = frozenset({"require"})

    step: Literal["evaluate"] = "evaluate"
    policies: Annotated[list[Ref[Policy]], ONE_OR_MORE] = []
    """The policies in question. Metrics call each by the name of its step."""
    baseline: Ref[Policy] | None = None
    """What they are compared with."""
    prompts: Ref[Conversations] | None = None
    """What they answer: everything before the last answer of each chat. A set with parts gives its part `test`, unless
    another one is named. Prompts that a policy was trained on are left out."""
    judges: Annotated[list[Annotated[Scorer | PeopleJudge, JUDGE_FIELD]], ONE_OR_MORE] = []
    """Who says which answer is better: `brevity`, `{reward_model: {reward: STEP}}`, `{llm_judge: {...}}`, any scorer;
    or `{people: {labels: STEP}}`, what people said in a `compare` step of answers that `sample` drew from the policies.
    The first one's win rate is the headline."""
    pairs: Ref[Preferences] | None = None
    """Pairs that `rewards` are tested on; a set with parts gives its part `test`. Pairs whose prompt a reward model was
    trained on are left out."""
    rewards: Annotated[list[Ref[RewardModel]], ONE_OR_MORE] = []
    """Reward models whose accuracy on `pairs` is measured."""
    calibrate: Ref[Preferences] | None = None
    """Pairs that people decided: how far each of `judges` agrees with them is measured, beside how far people agree
    with one another and what length alone would get. Needs no policies. Pairs that a judge's model was trained on are
    left out."""
    held_out: Ref[Conversations] | None = None
    """Chats that every policy's loss is measured on; a set with parts gives its part `test`."""
    require: str | None = None
    """A condition over the metrics, `dpo.win_rate.low > 0.5`. Where it does not hold the run ends with exit code 4 and
    what stands behind this step does not run. Tested at every run; changing it runs nothing anew."""
    max_prompts: int | None = Field(None, ge=1)
    """Prompts that are asked, chosen by a hash of each, so that a larger number keeps the earlier choice. None: all."""
    num_generations: int = Field(1, ge=1)
    """Answers of each policy to each prompt; the n-th of one is compared with the n-th of the other."""
    dtype: DType = "float32"
    """How finely weights are kept. A CPU without bfloat16 arithmetic computes in float32 either way."""
    names: dict[str, str] = {}
    """Step -> what metrics and the page call it. Default: the step's name."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        """Names are part of the metrics, so they are part of the key: a step that was renamed is evaluated anew."""
        if not isinstance(data, dict) or not isinstance(data.get("names") or {}, dict):
            return data
        refs: list[Any] = []
        for field in ("policies", "baseline", "rewards"):
            value = data.get(field)
            refs += value if isinstance(value, list | tuple) else [] if value is None else [value]
        steps = {str(ref): str(ref) for ref in refs if isinstance(ref, str | Ref)}
        return {**data, "names": {**steps, **(data.get("names") or {})}}

    @field_validator("require")
    @classmethod
    def _readable(cls, text: str | None) -> str | None:
        from curation.expression import parse

        if text is not None:
            try:
                parse(text)
            except RecipeError as error:
                raise ValueError(error.what) from None
        return text

    @field_validator("judges")
    @classmethod
    def _judge_chats(cls, judges: list[Scorer | PeopleJudge], info: ValidationInfo) -> list[Scorer | PeopleJudge]:
        seen: set[str] = set()
        for judge in judges:
            if isinstance(judge, Scorer) and judge.on:
                raise ValueError(f"`{judge.op}` reads the whole chat where it judges; remove its `on`")
            if judge.column in seen:
                raise ValueError(f"two judges are called `{judge.column}`; give one of them another name by `as`")
            if judge.column in FIGURES:
                raise ValueError(f"`{judge.column}` is a figure of its own; give the judge another name by `as`")
            seen.add(judge.column)
        return judges

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        scorers = [judge for judge in self.judges if isinstance(judge, Scorer)]
        if self.calibrate is not None and not scorers:
            raise ValueError("`calibrate` is for `judges`: name those whose agreement with people is measured")
        if self.calibrate is not None and not (self.policies or self.baseline or self.prompts):
            return self._agreement_alone()
        if self.judges and not (self.policies and self.baseline):
            raise ValueError("`judges` compare: they need `policies`, a `baseline` and `prompts`")
        if not self.prompts and scorers and self.calibrate is None:
            raise ValueError("`judges` compare answers to `prompts`, which are missing; only `people` have theirs")
        if bool(self.rewards) != (self.pairs is not None):
            raise ValueError("`rewards` and `pairs` belong together: reward models are tested on pairs")
        if (self.held_out or self.prompts) and not self.policies:
            raise ValueError("`policies` is missing")
        if not (self.prompts or self.rewards or self.held_out or self.judges):
            raise ValueError("there is nothing to evaluate: give `prompts` with `judges`, or `held_out`, or `pairs`")
        self._names_fit()
        if self.require is not None:
            self._can_be_tested(self.require)
        return self

    def _agreement_alone(self) -> Self:
        """No policies: judges are held against people, and nothing is judged."""
        if len(self.judges) > sum(isinstance(judge, Scorer) for judge in self.judges):
            raise ValueError("`people` say which policy is better: `policies` and a `baseline` are missing")
        if bool(self.rewards) != (self.pairs is not None):
            raise ValueError("`rewards` and `pairs` belong together: reward models are tested on pairs")
        if self.held_out:
            raise ValueError("`policies` is missing")
        self._names_fit()
        if self.require is not None:
            self._can_be_tested(self.require)
        return self

    def _can_be_tested(self, require: str) -> None:
        """A wrong name in a gate is told now and not after the training."""
        from curation.expression import names, parse

        known = self.numbers()
        for name in names(parse(require)):
            if name not in known:
                raise ValueError(f"`require`: there will be no number called {name!r}; {did_you_mean(name, known)}")

    def numbers(self) -> list[str]:
        """The names of all numbers in the metrics, as `require` may use them."""
        baseline = {self.names[self.baseline.step]} if self.baseline else set()
        found: list[str] = []
        for player in {*(self.names[ref.step] for ref in self.policies), *baseline}:
            if self.held_out:
                found += [f"{player}.loss.{part}" for part in (*_BOUNDS, "tokens", "chats", "left_out")]
            if self.prompts:
                found += [f"{player}.{figure}" for figure in FIGURES if figure not in ("win_rate", "loss")]
            if self.judges and player not in baseline:
                found += [f"{player}.win_rate.{part}" for part in _BOUNDS]
            for judge in self.judges if player not in baseline else []:
                more = ("flip_rate", "unreadable") if isinstance(judge, PairScorer) else ("score", "baseline_score")
                if isinstance(judge, PeopleJudge):
                    more = ("identical", "without_verdict", "agreement.items", "agreement.votes")
                    more += tuple(f"agreement.{a}.{b}" for a in ("raw", "kappa", "alpha") for b in _BOUNDS)
                found += [f"{player}.{judge.column}.win_rate.{part}" for part in _BOUNDS]
                found += [f"{player}.{judge.column}.{part}" for part in ("wins", "ties", "losses", "n", *more)]
        for judge in self.judges if self.calibrate else []:
            if isinstance(judge, Scorer):
                more = ("flip_rate", "unreadable") if isinstance(judge, PairScorer) else ()
                spans = ("agreement", "agreement_without_ties", "kappa", "length_agreement", "over_length", "people")
                found += [f"calibration.{judge.column}.{a}.{b}" for a in spans for b in _BOUNDS]
                found += [f"calibration.{judge.column}.{a}" for a in ("n", "ties", *more)]
        for ref in self.rewards:
            accuracies = [f"{a}.{b}" for a in ("accuracy", "length_accuracy", "over_length") for b in _BOUNDS]
            found += [
                f"rewards.{self.names[ref.step]}.{part}" for part in (*accuracies, "n", "prompts", "ties_left_out")
            ]
        return sorted([*found, *(["prompts"] if self.prompts or self.judges else [])])

    def _names_fit(self) -> None:
        refs: list[Ref[Any]] = [*self.policies, *self.rewards, *([self.baseline] if self.baseline else [])]
        steps = [ref.step for ref in refs]
        for step, name in self.names.items():
            if step not in steps:
                raise ValueError(f"`names` speaks of {step!r}; {did_you_mean(step, steps)}")
            if name in TOP or name in FIGURES or not name:
                raise ValueError(f"nothing can be called {name!r} here: metrics use that word; set it in `names`")
        called = [self.names[ref.step] for ref in self.policies]
        called += [self.names[self.baseline.step]] if self.baseline else []
        if len(set(called)) < len(called):
            raise ValueError("each policy needs a name of its own, and the baseline is none of `policies`")

    def with_names(self, names: Mapping[str, str]) -> Self:
        """Metrics go on calling a step what the recipe calls it."""
        return self.model_copy(update={"names": {names.get(step, step): name for step, name in self.names.items()}})

    def makes(self) -> type[Kind]:
        return Evaluation

    def run(self, room: Room) -> Done:
        from rlhf.evaluation.evaluating import evaluate
        from rlhf.steps.endpoints import reachable

        with reachable(room) as connections:
            return Done(**evaluate(self, room, connections))
