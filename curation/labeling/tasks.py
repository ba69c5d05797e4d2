"""What people are asked about a set of rows. Each step that asks has a class of its own that says what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal, TypeVar

from curation.conversation import Candidates, Preference, Row, digest, framed
from curation.errors import UserError
from curation.labeling.across import Across, drawn
from curation.labeling.answers import Distinct
from curation.labeling.consensus import agreed, dense
from curation.labeling.pair import Pair
from curation.labeling.question import SKIP, Item, Question, Ranks, Verdict
from curation.labeling.ranking import MOST, Ranking

PEOPLE = "people"
Ask = Literal["pairs", "ranking"]
Consensus = Callable[[Mapping[str, Mapping[str, Ranks]]], Mapping[str, Ranks]]
"""Item -> person -> ranks (1 is best, equal is a tie) -> item -> ranks that stand for all."""
_CHOICES: Mapping[str, Ranks] = {"first": (1, 2), "second": (2, 1), "tie": (1, 1)}
PARENTS = "parents"
"""In the `meta` of a preference over two prompts: the rows that its sides come from, for a row has room for one."""
R = TypeVar("R", bound=Row)
Lost = list[tuple[R, str]]
"""Rows that nothing came of, each with its reason in one word."""


@dataclass
class Asked:
    """Items that people are asked about. The same item in two rows is one item."""

    items: dict[str, Item] = field(default_factory=dict)
    row_of: dict[str, int] = field(default_factory=dict)
    """Item -> the number of the (first) row that holds it."""
    later: frozenset[str] = frozenset()
    """Items of the same asking that are not up yet. What was said of them already is not lost."""
    suggested: dict[str, Verdict] = field(default_factory=dict)
    """Item -> what a model says of it, where people are to see that. Empty: they are asked blind."""

    @property
    def questions(self) -> list[Question]:
        """The ways in which they are asked."""
        return list(dict.fromkeys(item.question for item in self.items.values()))

    def add(self, item: Item, row: int) -> None:
        """One more item of a row."""
        if item.id not in self.items:
            self.items[item.id] = item
            self.row_of[item.id] = row


@dataclass
class Compared(Asked):
    """Which of several answers is better?"""

    rows: list[Distinct] = field(default_factory=list)
    across: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Item -> the rows of its two answers, for those that compare answers to different prompts."""

    @classmethod
    def about(cls, candidates: Iterable[Candidates], ask: Ask | None = None, cross_prompt: int = 0) -> Compared:
        """The items of some candidates.

        Args:
            cross_prompt: So many pairs of answers to different prompts are items too; see `across.drawn`.
            ask: `pairs`: every two different answers are an item. `ranking`: all different answers of a row are ranked;
                two are a pair all the same. None: `ranking`.

        Raises:
            UserError: a row has more answers than people can rank.
        """
        asked = cls()
        for number, row in enumerate(candidates):
            distinct = Distinct.of(row)
            asked.rows.append(distinct)
            answers = [answer.message() for answer in distinct.answers]
            if ask == "pairs" or len(answers) <= 2:
                for a, b in combinations(answers, 2):
                    asked.add(Pair.item(row.prompt, a, b), number)
            elif len(answers) <= MOST:
                asked.add(Ranking.item(row.prompt, answers), number)
            else:
                hint = f"keep up to {MOST} of them (`num_generations`), or ask about every two with `ask: pairs`"
                raise UserError(f"a prompt has {len(answers)} different answers, too many for a ranking", hint=hint)
        if cross_prompt:
            asked._add_across(cross_prompt)
        return asked

    def _add_across(self, count: int) -> None:
        flat = [
            (number, (*d.row.prompt, answer.message()), d.row.split or "")
            for number, d in enumerate(self.rows)
            for answer in d.answers
        ]
        for i, j in drawn([(split, chat) for _, chat, split in flat], count):
            item = Across.item_of(flat[i][1], flat[j][1])
            in_order = (i, j) if item.chat(0) == flat[i][1] else (j, i)
            self.add(item, flat[i][0])
            self.across[item.id] = (flat[in_order[0]][0], flat[in_order[1]][0])

    def _rows_of(self, key: str) -> tuple[int, ...]:
        """The rows whose answers an item compares; none of a question whose answer is known."""
        if key in self.across:
            return self.across[key]
        return (self.row_of[key],) if key in self.row_of else ()

    def suggest(self, scores: Sequence[Sequence[float]]) -> None:
        """Lets people see what a model's scores say of each item.

        Args:
            scores: Of each different answer of each row.
        """
        for key in self.row_of:
            item, numbers = self.items[key], self._rows_of(key)
            of = [{a.message(): x for a, x in zip(self.rows[n].answers, scores[n], strict=True)} for n in numbers]
            ranks = dense([-of[place % len(of)][answer] for place, answer in enumerate(item.answers)])
            pair = isinstance(item.question, Pair)
            self.suggested[key] = next(word for word, r in _CHOICES.items() if r == ranks) if pair else ranks

    def rankings(self, said: Mapping[str, Mapping[str, Verdict]]) -> dict[str, dict[str, Ranks]]:
        """Item -> person -> ranks of its answers; a choice is a ranking of two. Skips are none."""
        heard = (key for key in self.items if key in said)
        found = {key: {who: r for who, v in said[key].items() if (r := as_ranks(v))} for key in heard}
        return {key: people for key, people in found.items() if people}

    def names(self) -> dict[str, list[str]]:
        """Item -> a name for each of its answers: the same answer to the same prompt has one name in all items."""
        return {
            key: [digest("answer", framed(c[:-1]), c[-1].framed()) for c in map(item.chat, range(len(item.answers)))]
            for key, item in self.items.items()
        }

    def preferences(
        self,
        said: Mapping[str, Mapping[str, Verdict]],
        consensus: Consensus | None = None,
        names: Mapping[str, str] | None = None,
    ) -> tuple[list[Preference], Lost[Candidates]]:
        """What the answers come to, and the rows that came to nothing: `unanswered`, `skipped`, `repeated_pair` (or
        `repeated_ranking`), and the reasons of `Distinct`. A ranking of k answers gives k (k - 1) / 2 preferences. A
        row is not lost where an answer of it was compared with one of another row.

        Args:
            said: Item -> person -> verdict.
            consensus: Makes one ranking of several people's, over all items. None: as `agreed` does by itself.
            names: Person -> what the pairs call them, for a name is never kept. None: `annotator1` ... by the alphabet.
        """
        names = names or {n: f"annotator{i}" for i, n in enumerate(sorted({w for v in said.values() for w in v}), 1)}
        rankings = self.rankings(said)
        made: dict[int, list[Preference]] = {}
        heard = {number for key in self.row_of if key in said for number in self._rows_of(key)}
        used: set[int] = set()
        agreed_on = consensus(rankings) if consensus else agreed(rankings)[0]
        for key, ranks in agreed_on.items():
            if not (numbers := self._rows_of(key)):  # a question whose answer is known; see `gold`
                continue
            own = {names[who]: rankings[key].get(who) for who in said[key]}
            used.update(numbers)
            item, rows = self.items[key], [self.rows[n] for n in numbers]
            pairs = [_cross_prompt(item, rows, ranks, own)] if key in self.across else _pairs(item, rows[0], ranks, own)
            made.setdefault(numbers[0], []).extend(pairs)
        asked = {number for key in self.row_of for number in self._rows_of(key)}
        lost: Lost[Candidates] = []
        for number, distinct in enumerate(self.rows):
            if number not in used:
                again = "repeated_pair" if len(distinct.answers) == 2 else "repeated_ranking"
                word = "skipped" if number in heard else "unanswered" if number in asked else again
                lost.append((distinct.row, word if number in asked else distinct.reason or word))
        return [pair for pairs in made.values() for pair in pairs], lost


def _pairs(item: Item, row: Distinct, ranks: Ranks, own: Mapping[str, Ranks | None]) -> list[Preference]:
    """Every two answers, by the ranks that stand for all; each pair keeps who put it how. None is a skip."""
    made = []
    for a, b in combinations(range(len(ranks)), 2):
        better, worse = (a, b) if ranks[a] <= ranks[b] else (b, a)
        votes = {who: _word(one[better], one[worse]) if one else SKIP for who, one in own.items()}
        meta: dict[str, Any] = {"votes": dict(sorted(votes.items()))}
        if len(ranks) > 2:
            meta["ranks"] = [ranks[better], ranks[worse]]
        tie = ranks[better] == ranks[worse]
        made.append(row.pair(item.answers[better], item.answers[worse], PEOPLE, tie=tie, meta=meta))
    return made


def _cross_prompt(item: Item, rows: Sequence[Distinct], ranks: Ranks, own: Mapping[str, Ranks | None]) -> Preference:
    """The preference of two conversations: no prompt is shared, so each side is a whole chat."""
    better, worse = (0, 1) if ranks[0] <= ranks[1] else (1, 0)
    sides = [(item.chat(place), rows[place]) for place in (better, worse)]
    cut = {
        f"{name}_finished": False
        for name, (chat, row) in zip(("chosen", "rejected"), sides, strict=True)
        if not all(a.finished for a in row.answers if a.message() == chat[-1])
    }
    votes = {who: _word(one[better], one[worse]) if one else SKIP for who, one in own.items()}
    return Preference(
        prompt=(),
        chosen=sides[0][0],
        rejected=sides[1][0],
        verdict="tie" if ranks[0] == ranks[1] else "chosen",
        decided_by=PEOPLE,
        source=sides[0][1].row.source,
        parent=sides[0][1].row.id,
        split=sides[0][1].row.split,
        meta={**cut, "votes": dict(sorted(votes.items())), PARENTS: [row.row.id for _, row in sides]},
    )


def _word(better: int, worse: int) -> str:
    return "tie" if better == worse else "chosen" if better < worse else "rejected"


def as_ranks(verdict: Verdict) -> Ranks | None:
    """A choice between two, or a ranking, as ranks; None for a skip."""
    if isinstance(verdict, tuple):
        return verdict
    return _CHOICES.get(verdict) if isinstance(verdict, str) else None


def nearly_done(missing: Mapping[str, int], enough: int, out: Iterable[str] = ()) -> list[str]:
    """The items to hand out, nearly finished ones first, and no more than what gives `enough` answers.

    Args:
        missing: Item -> answers that it lacks, for items that lack any.
        out: Items that lie before people already; they come before others that lack as much.
    """
    there = set(out)
    order = sorted(missing, key=lambda item: (missing[item], item not in there, item))
    chosen: list[str] = []
    for item in order:
        if enough <= 0:
            break
        chosen.append(item)
        enough -= missing[item]
    return chosen
