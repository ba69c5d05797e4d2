"""`compare`: of several answers to a prompt, which is better? People decide, or a scorer stands in for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import Candidates, Kind, Preferences, Ref
from curation.errors import UserError
from curation.operator import PairScorer, Plugin, Scorer
from curation.registry import OPERATORS
from curation.settings import UNLESS_DEFAULT
from rlhf.recipe.step import Done, Room, Step, Waiting
from rlhf.steps.acquiring import IN_BATCHES, Acquires, InBatches, in_batches
from rlhf.steps.asking import FOR_PEOPLE, PEOPLE, AsksPeople, Decider, heard, reasons, set_aside
from rlhf.steps.mixing_gold import FOR_GOLD, MixesGold
from rlhf.steps.people import figures, names_of

if TYPE_CHECKING:
    from curation import conversation
    from curation.labeling.answers import Distinct
    from curation.labeling.gold import Known
    from curation.labeling.ranked import Pairs
    from curation.labeling.tasks import Compared


class Compare(Acquires, MixesGold, AsksPeople, Step):
    """Preferences from candidates.

    With `people` the step hands out what they are asked, waits, and reads what they said; every answer is kept in a log
    that outlives the step. With a scorer the answers are scored, and who decided stands on every page and card.
    Reasons: `no_answer`, `one_answer`, `identical_answers`, `repeated_pair`, `repeated_ranking`; `unanswered` and
    `skipped` where people decide.
    """

    step: Literal["compare"] = "compare"
    data: Ref[Candidates]
    """The answers."""
    decided_by: Annotated[Literal["people"] | Scorer, Decider(OPERATORS, Scorer)] = "people"
    """`people`, or the scorer that decides instead: `brevity`, `{reward_model: {reward: STEP}}`, `{llm_judge: ...}`."""
    ask: Literal["pairs", "ranking"] | None = None
    """How people are asked about more than two different answers to a prompt. `ranking` (None means it too): all of
    them at once, three to five, ties allowed; it gives every pair. `pairs`: about every two by themselves, however many
    they are."""
    cross_prompt: Annotated[int | None, UNLESS_DEFAULT] = Field(None, ge=1)
    """So many pairs of answers to different prompts are asked about as well: two whole conversations, and which of them
    went better (arXiv 2502.04354). A hash draws them, never across two splits. The preferences have an empty prompt and
    a chat on each side: `reward` learns from them, and methods that train a policy refuse them. For people."""
    suggestions: Annotated[Scorer, Plugin(OPERATORS, Scorer)] | None = None
    """A scorer whose choice people see, and can take over with one key. That draws their own towards it, so every such
    answer is marked in the log. For Argilla; forms stay blind. None: people are asked blind."""
    pairs: Literal["best_worst", "all"] | None = None
    """`best_worst`: one pair a prompt. `all`: every answer against every other. None: `best_worst` for a scorer; people
    always give every pair."""
    min_gap: float = Field(0.0, ge=0)
    """Answers whose scores differ by less are a tie. For scorers that give numbers."""
    consensus: Literal["majority", "ranked_pairs", "dawid_skene", "bradley_terry"] | None = None
    """How what several people say becomes one verdict. `majority`: the verdict with more votes than any other, else a
    tie. `ranked_pairs` (Tideman): the clearest majorities first, none that would close a circle. `dawid_skene` (of two
    answers) and `bradley_terry` also find out how far each person can be relied on, and weigh them by that. None:
    `majority` for two answers, `ranked_pairs` for rankings. Another way costs no label."""
    gold: Ref[Preferences] | None = None
    """Pairs whose better answer is known, mixed in among the questions and not marked: they tell who answers with care.
    They count as answers, and never become preferences. Where people rank, prompts are taken of which every two of as
    many answers are decided; see `gold_file`, too."""
    gold_items: float = Field(0.1, gt=0)  # unlike in `MixesGold`: it has been a part of this step's key from the start
    """How many gold questions: a share of the questions that are asked, where it is less than 1, else their number."""

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        written = {name for name in self.model_fields_set if getattr(self, name) is not None}
        people = (FOR_PEOPLE | IN_BATCHES | {"ask", "acquire", "consensus", "cross_prompt"} | FOR_GOLD) & written
        scorers = {"pairs", "min_gap"} & written
        by = self.decided_by
        if not isinstance(by, Scorer):
            self.check_gold(self.gold, self.suggestions)
            if scorers:
                raise ValueError(
                    f"`{min(scorers)}` is for scorers; people give every pair, and say themselves what ties"
                )
            if isinstance(self.suggestions, PairScorer):
                raise ValueError(f"`{self.suggestions.op}` gives no numbers; suggest by a scorer that does")
            self.check_batches(self.min_submitted, self.max_answers)
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

    def _rows(self) -> list[conversation.Candidates]:
        from curation import table

        return table.rows(self.data.folder, self.data.part)

    def _asked(self) -> tuple[Compared, Mapping[str, Known]]:
        """What people are asked, and what is known of the gold questions among it."""
        from curation import table
        from curation.labeling.gold import of_pairs
        from curation.labeling.tasks import Compared

        asked = Compared.about(self._rows(), self.ask, self.cross_prompt or 0)
        if self.consensus == "dawid_skene" and any(len(item.answers) > 2 for item in asked.items.values()):
            hint = "`ask: pairs` asks about two at a time; or take `ranked_pairs` or `bradley_terry`"
            raise UserError("`consensus: dawid_skene` is for two answers, and people are to rank more", hint=hint)
        found = of_pairs(table.rows(self.gold.folder, self.gold.part)) if self.gold else None
        return asked, self.mixed_in(asked, found, "compare")

    def asks(self) -> Compared | None:
        return None if isinstance(self.decided_by, Scorer) else self._asked()[0]

    def run(self, room: Room) -> Done | Waiting:
        if isinstance(self.decided_by, Scorer):
            return _scored(self.decided_by, self.pairs or "best_worst", self.min_gap, self._rows(), room)
        from curation.labeling.consensus import agreed, used
        from curation.labeling.gold import right
        from curation.labeling.panel import Panel

        asked, known = self._asked()
        if self.suggestions is not None:
            asked.suggest(_suggested(self.suggestions, asked.rows, room))
        batches = None if self.acquire is None else in_batches(self, asked, known, room)
        now = batches.now if isinstance(batches, InBatches) else batches or self.put_to_people(asked, room)
        if isinstance(now, Waiting):
            return now
        rankings = asked.rankings(now.said)
        together, reliability = agreed(rankings, self.consensus, asked.names())
        names = names_of(now, room)
        made, lost = asked.preferences(now.said, lambda _: together, names)
        panel = Panel.of_rankings(rankings, gold=right(now.said, known), reliability=reliability)
        metrics = {**heard(now), "identical": sum(d.identical for d in asked.rows)}
        metrics |= {"consensus": self.consensus or used(rankings), **figures(panel, now, names, room)}
        if known:
            metrics["gold"] = len(known)
        if not isinstance(batches, InBatches):
            return _published(len(asked.rows), made, lost, metrics, PEOPLE, room)
        done = _published(len(asked.rows), made, lost, metrics | batches.metrics, PEOPLE, room)
        done.pictures = batches.pictures
        return done


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


def _suggested(scorer: Scorer, rows: Sequence[Distinct], room: Room) -> list[list[float]]:
    from rlhf.steps.endpoints import reachable
    from rlhf.steps.local_models import on_its_device

    with on_its_device([scorer], room), reachable(room):
        return _numbers(scorer, rows, room)


def _numbers(scorer: Scorer, rows: Sequence[Distinct], room: Room) -> list[list[float]]:
    """A number for each different answer of each row."""
    from rlhf.evaluation.judging import scores

    chats = [chat for d in rows for chat in d.candidates().conversations()]
    found = iter(scores(scorer, chats, work=room.work / "scores", cache=room.scores, progress=room.progress))
    return [[next(found) for _ in d.answers] for d in rows]


def _by_score(
    scorer: Scorer, able: Sequence[Distinct], pairs: Pairs, min_gap: float, room: Room
) -> list[conversation.Preference]:
    from curation.labeling.ranked import by_score

    made = []
    for d, own in zip(able, _numbers(scorer, able, room), strict=True):
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
    from curation import table
    from curation.conversation import Candidates, Preference
    from curation.ledger import Entry, Ledger, in_words

    dropped = reasons(lost)
    if not made:
        why = in_words(dropped) or "there are no candidates"
        hint = "raise `num_generations` or `temperature` of the step that samples, so that answers differ"
        raise UserError(f"there is no pair to prefer in: {why}", hint=hint)
    table.write_rows(room.out, made, Preference)
    side = set_aside(lost, Candidates, "compare", room)
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
