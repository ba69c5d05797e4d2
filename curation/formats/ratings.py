"""Rated answers: one prompt, several completions, and what each is worth, as UltraFeedback and its kin write it.

    {"instruction": "...", "completions": [{"response": "...", "annotations": {"honesty": {"Rating": "4"}}}, ...]}
    {"prompt": "...", "responses": ["...", "..."], "ratings": [4, 2]}
    {"prompt": "...", "answers": [{"answer": "...", "model": "a", "rank": 1}, ...]}
    {"question": {"full_text": "..."}, "answer_0": "...", "score_0": 1, "answer_1": "...", "score_1": -1}

An answer's rating is one number, the higher the better: the mean of its annotations, else its own `rating` or `score`;
a `rank` counts from 1, the best, and is turned around. `by` names one aspect (`honesty`) or one key (`overall_score`)
instead. As preferences the best stands against the worst, or every answer against every other; as candidates the
answers stand side by side to be judged anew; as conversations the best answer counts, or the best and the worst as a
good and a bad example, or each (for labels by rating).

Cui et al. 2023, "UltraFeedback", https://arxiv.org/abs/2310.01377; Zhu et al. 2023, "Starling" (ranks).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any, ClassVar, Literal

from pydantic import Field

from curation.conversation import Answer, AnyRow, Candidates, Conversation, Message, Preference
from curation.formats.completion import prompted
from curation.formats.fields import (
    SYSTEM,
    Refused,
    absent,
    clean,
    first_of,
    number,
    record_id,
    text,
    unpacked,
)
from curation.formats.format import Format, Makes, Outcome

LISTS = ("completions", "responses", "generations", "answers", "candidates", "outputs")
_TEXTS = ("response", "text", "answer", "completion", "content", "output", "generation")
_NUMBERS = ("rating", "score", "overall_score")
_RATINGS, _RANKS = ("ratings", "rating", "scores"), ("ranks", "rank")
_MODELS = ("models", "generation_models", "model_names")
PROMPTS = ("prompt", "instruction", "question")
_NUMBERED = {f"answer_{i}": f"score_{i}" for i in range(8)}
"""Answers in columns of their own, as WebGPT's comparisons have them, and where each one's rating stands."""


@dataclass(frozen=True, slots=True)
class Rated:
    """One completion."""

    content: str
    policy: str
    rating: float | None


class Ratings(Format):
    """Several answers to one prompt, each with a rating or a rank."""

    makes: ClassVar[frozenset[Makes]] = frozenset({"conversations", "candidates", "preferences"})
    reads: ClassVar[frozenset[str]] = frozenset(
        {*PROMPTS, *LISTS, *_RATINGS, *_RANKS, *_MODELS, *SYSTEM, *_NUMBERED, *_NUMBERED.values(), "id"}
    )
    telling: ClassVar[frozenset[str]] = frozenset(LISTS)

    op: Literal["ratings"] = "ratings"
    by: str | None = None
    """What counts: the aspect of that name among an answer's annotations, or the key of that name beside it. None: the
    mean of all aspects, else `rating`, `score`, `overall_score` or `rank`."""
    pairs: Literal["best_worst", "all"] = "best_worst"
    """As preferences: one pair a prompt, or every rated answer against every other."""
    min_gap: float = Field(0.0, ge=0)
    """As preferences: answers whose ratings differ by less are a tie, and so are equal ones; `tied` drops them."""
    answers: Literal["best", "best_worst", "all"] = "best"
    """As conversations: the answer with the best rating (of equal ones the first); or the best and the worst, labelled
    good and bad, where they differ; or each answer as a row of its own. The rating is the score `rating`."""

    @classmethod
    def evidence(cls, record: Mapping[str, Any]) -> str:
        name = next((name for name in LISTS if isinstance(record.get(name), list | str)), None)
        name = "answer_0" if name is None and {"answer_0", "answer_1", "score_0", "score_1"} <= record.keys() else name
        if name is None or not any(asked in record for asked in PROMPTS):
            return ""
        try:
            rated = _rated(record, None)
        except Refused:
            return ""
        told = [one for one in rated if one.rating is not None]
        if told:
            return f"`{name}` holds {len(rated)} answers, {len(told)} of them rated"
        return f"`{name}` holds {len(rated)} answers" if len(rated) > 1 else ""

    def scores(self, makes: Makes) -> frozenset[str]:
        names = {"preferences": {"rating_chosen", "rating_rejected"}, "conversations": {"rating"}}
        return frozenset(names.get(makes, ()))

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        return self._read(record, makes)[0]

    def outcomes(
        self, records: Iterable[tuple[int, Any]], makes: Makes, carry: Sequence[str] = ()
    ) -> Iterator[Outcome]:
        """As `Format.outcomes`; answers of a used record that are in no row are counted as left out."""
        for index, record in records:
            for outcome in super().outcomes([(index, record)], makes, carry):
                unused = self._read(record, makes)[1] if outcome.used else 0
                yield (
                    Outcome(rows=outcome.rows, used=outcome.used, left_out={"unrated_answer": unused})
                    if unused
                    else outcome
                )

    def _read(self, record: Mapping[str, Any], makes: Makes) -> tuple[list[AnyRow], int]:
        """The rows, and how many answers are in none because they have no rating."""
        prompt = first_of(record, PROMPTS)
        if isinstance(prompt, Mapping) and "full_text" in prompt:
            prompt = prompt["full_text"]
        asked = prompted({**record, "prompt": prompt})
        every = _rated(record, self.by)
        meta = record_id(record)
        if makes == "candidates":
            given = [one.rating for one in every]
            meta = {**meta, "ratings": given} if any(r is not None for r in given) else meta
            answers = tuple(Answer(one.content, one.policy) for one in every)
            return [Candidates(prompt=asked, answers=answers, meta=meta)], 0
        rated = [one for one in every if one.rating is not None]
        unused = len(every) - len(rated)
        if not rated:
            raise Refused("no_rating")
        best_first = sorted(rated, key=lambda one: -_value(one))  # stable: of equal ones the first stays first
        if makes == "preferences":
            return self._pairs(asked, best_first, meta), unused
        kept: list[tuple[Rated, bool | None]] = [(one, None) for one in rated]
        if self.answers == "best":
            kept = [(best_first[0], None)]
        elif self.answers == "best_worst":
            gap = _value(best_first[0]) - _value(best_first[-1])
            if gap <= 0 or gap < self.min_gap:
                raise Refused("no_best_answer")
            kept = [(best_first[0], True), (best_first[-1], False)]
        rows: list[AnyRow] = [
            Conversation(
                messages=(*asked, Message("assistant", one.content)),
                scores={"rating": _value(one)},
                meta=meta,
                label=label,
            )
            for one, label in kept
        ]
        return rows, unused

    def _pairs(self, asked: tuple[Message, ...], best_first: Sequence[Rated], meta: Mapping[str, Any]) -> list[AnyRow]:
        """The pairs of different answers.

        Raises:
            Refused: there are no two.
        """
        if len(best_first) < 2:
            raise Refused("one_answer")
        ends = [(best_first[0], best_first[-1])]
        found = ends if self.pairs == "best_worst" else list(combinations(best_first, 2))
        different = [(a, b) for a, b in found if a.content.strip() != b.content.strip()]
        if not different:
            raise Refused("identical_answers")
        return [self._pair(asked, a, b, meta) for a, b in different]

    def _pair(self, asked: tuple[Message, ...], better: Rated, worse: Rated, meta: Mapping[str, Any]) -> Preference:
        gap = _value(better) - _value(worse)
        return Preference(
            prompt=asked,
            chosen=(Message("assistant", better.content),),
            rejected=(Message("assistant", worse.content),),
            verdict="tie" if gap <= 0 or gap < self.min_gap else "chosen",
            scores={"rating_chosen": _value(better), "rating_rejected": _value(worse)},
            meta=meta,
        )


def _value(one: Rated) -> float:
    if one.rating is None:
        raise RuntimeError("an answer without a rating was compared")
    return one.rating


def _rated(record: Mapping[str, Any], by: str | None) -> list[Rated]:
    """The completions of a record.

    Raises:
        Refused: `no_answers`, `no_text`, `not_text`, or `uneven_lists` where there are not as many ratings as answers.
    """
    found = unpacked(first_of(record, LISTS))
    if found is None:
        pairs = [(record[a], record.get(b)) for a, b in _NUMBERED.items() if not absent(record.get(a))]
        found = [{"answer": said, "rating": rating} for said, rating in pairs]
    if not isinstance(found, list) or not found:
        raise Refused("no_answers")
    models = unpacked(first_of(record, _MODELS))
    models = models if isinstance(models, list) and len(models) == len(found) else [None] * len(found)
    beside = _beside(record, len(found), by)
    made = []
    for completion, model, given in zip(found, models, beside, strict=True):
        if isinstance(completion, Mapping):
            said = first_of(completion, _TEXTS)
            own = completion.get("model", model)
            rating = _rating(completion, by)
        else:
            said, own, rating = completion, model, None
        content = text(said, "no_text")
        made.append(Rated(content, clean(own) if isinstance(own, str) else "", given if rating is None else rating))
    return made


def _beside(record: Mapping[str, Any], answers: int, by: str | None) -> list[float | None]:
    """The numbers that stand in a list beside the answers."""
    names = ((by,), ()) if by is not None else (_RATINGS, _RANKS)
    for several, sign in zip(names, (1, -1), strict=True):
        found = unpacked(first_of(record, several))
        if isinstance(found, list):
            if len(found) != answers:
                raise Refused("uneven_lists")
            values = [number(value) for value in found]
            return [None if value is None else sign * value for value in values]
    return [None] * answers


def _rating(completion: Mapping[str, Any], by: str | None) -> float | None:
    """The number of one answer."""
    notes = completion.get("annotations")
    aspects = notes if isinstance(notes, Mapping) else {}
    if by is not None:
        told = _aspect(aspects.get(by)) if by in aspects else number(completion.get(by))
        return -told if told is not None and by == "rank" else told
    if told_by_all := [value for value in map(_aspect, aspects.values()) if value is not None]:
        return fmean(told_by_all)
    own = next((value for name in _NUMBERS if (value := number(completion.get(name))) is not None), None)
    if own is not None:
        return own
    rank = number(completion.get("rank"))
    return None if rank is None else -rank


def _aspect(value: Any) -> float | None:
    """The number of one annotation: `4`, `"4"`, `{"Rating": "4", ...}`; `N/A` is none."""
    if isinstance(value, Mapping):
        value = next((value[name] for name in ("Rating", "rating", "score") if not absent(value.get(name))), None)
    return number(value)
