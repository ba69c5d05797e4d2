"""Questions whose answer is known, mixed in among the others, to see who answers with care.

They look like all others and are asked like them, with the same question: nobody can tell which they are. What people
say of them tells how right they are, and goes into the log; it never becomes data to train on.

What is known of an item is one of three, by its question: the ranks of its answers; for each aspect the points that
are right; the actions of a review that are right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil, floor

from curation.conversation import Conversation, Preference, digest, framed
from curation.errors import UserError
from curation.labeling.across import Across
from curation.labeling.agreement import Share
from curation.labeling.answers import same
from curation.labeling.consensus.ranks import Ranks, dense, duels
from curation.labeling.pair import Pair
from curation.labeling.question import Item, Question, Verdict
from curation.labeling.ranking import FEWEST, MOST, Ranking
from curation.labeling.rating import POINTS, Rating
from curation.labeling.review import Review
from curation.labeling.tasks import Asked, as_ranks

Known = Ranks | Mapping[str, frozenset[int]] | frozenset[str]
"""What is right to say of an item."""
Gold = tuple[Item, Known]
Make = Callable[[Question], Iterable[Gold]]


def of_pairs(pairs: Sequence[Preference]) -> list[Gold]:
    """The gold questions that decided pairs make: each pair, and a ranking of all answers to a prompt where every two
    of them are decided and no circle is among them.
    """
    made: list[Gold] = []
    prompts: dict[str, list[Preference]] = {}
    for pair in pairs:
        if pair.across:
            item = Across.item_of(pair.chosen, pair.rejected)
            made.append((item, _ranks(pair, item.chat(0) == pair.chosen)))
        elif len(pair.chosen) == len(pair.rejected) == 1 and not same(pair.chosen[0], pair.rejected[0]):
            item = Pair.item(pair.prompt, pair.chosen[0], pair.rejected[0])
            made.append((item, _ranks(pair, item.answers[0] == pair.chosen[0])))
            prompts.setdefault(framed(pair.prompt), []).append(pair)
    return made + [found for own in prompts.values() if (found := _ranking(own))]


def _ranks(pair: Preference, in_order: bool) -> Ranks:
    """Of its two sides, in the order of an item; whether the chosen one comes first there."""
    return (1, 1) if pair.verdict == "tie" else (1, 2) if in_order else (2, 1)


def _ranking(pairs: Sequence[Preference]) -> Gold | None:
    """Of one prompt. Ranks are by wins; that they say what every pair says is looked at."""
    answers = list(dict.fromkeys(m for pair in pairs for m in (*pair.chosen, *pair.rejected)))
    worth = {frozenset((*pair.chosen, *pair.rejected)): pair for pair in pairs}
    if not FEWEST <= len(answers) <= MOST or len(worth) < len(answers) * (len(answers) - 1) // 2:
        return None
    wins = dict.fromkeys(answers, 0.0)
    for pair in worth.values():
        tie = pair.verdict == "tie"
        wins[pair.chosen[0]] += 0.5 if tie else 1.0
        wins[pair.rejected[0]] += 0.5 if tie else 0.0
    for pair in worth.values():
        better, worse = wins[pair.chosen[0]], wins[pair.rejected[0]]
        if (better != worse) if pair.verdict == "tie" else (better <= worse):
            return None
    item = Ranking.item(pairs[0].prompt, answers)
    return item, dense([-wins[answer] for answer in item.answers])


def of_points(rows: Iterable[Conversation], rating: Rating) -> list[Gold]:
    """Rated chats: right are the points that a score in an aspect's name lies at, or between."""
    made: list[Gold] = []
    for row in rows:
        known = {
            name: frozenset({floor(row.scores[name]), ceil(row.scores[name])})
            for name, _ in rating.aspects
            if POINTS[0] <= row.scores.get(name, 0) <= POINTS[-1]
        }
        if known and row.reply:
            made.append((Item(rating, row.prompt, (row.messages[-1],), row.tools), known))
    return made


def of_labels(rows: Iterable[Conversation], review: Review) -> list[Gold]:
    """Chats that are labelled good, which are accepted or edited, or bad, which are dropped."""
    right = {True: frozenset({"accept", "edit"}), False: frozenset({"drop"})}
    return [
        (Item(review, row.prompt, (row.messages[-1],), row.tools), right[row.label])
        for row in rows
        if row.label is not None and row.reply
    ]


def mix_in(asked: Asked, gold: Sequence[Gold], size: float) -> dict[str, Known]:
    """Adds questions to those that are asked; gives item -> what is known of it.

    Which ones are taken a hash of each decides, so that more of them keep those that there were. Only what is asked in
    the same way as something else is taken: pairs among rankings could be told apart.

    Args:
        gold: What is asked anyhow is left out: that answer is sought.
        size: How many: a share of the questions that are asked, where it is less than 1, else their number.

    Raises:
        UserError: none of them can be used.
    """
    questions = asked.questions
    items = {item.id: (item, known) for item, known in gold if item.question in questions}
    items = {key: found for key, found in items.items() if key not in asked.items}
    if not items:
        ways = " and ".join(sorted({_WAYS[question.name](question) for question in questions}))
        there = sorted({_WAYS[item.question.name](item.question) for item, _ in gold})
        hint = f"people are asked about {ways}; the gold holds {' and '.join(there) or 'nothing that can be asked'}"
        if there and any(item.id in asked.items for item, _ in gold):
            hint += ", and what people are asked about anyhow is left out: give others"
        raise UserError("none of the gold questions can be mixed in", hint=hint)
    wanted = max(1, round(size * len(asked.items))) if size < 1 else round(size)
    taken = sorted(items, key=lambda key: digest("gold", key))[:wanted]
    for key in taken:
        asked.items[key] = items[key][0]  # with no row, so that nothing comes of it
    return {key: items[key][1] for key in taken}


_WAYS: Mapping[str, Callable[[Question], str]] = {
    "preference": lambda q: "pairs of answers",
    "across": lambda q: "pairs of conversations",
    "ranking": lambda q: f"rankings of {getattr(q, 'count', '')} answers",
    "rating": lambda q: "points for chats",
    "review": lambda q: "chats to review",
}


def is_right(verdict: Verdict, known: Known) -> bool | None:
    """Whether somebody said what is known; None for no opinion.

    Answers that share a rank in a known ranking of three and more may come in any order. Every aspect that is known
    must have points that are right.
    """
    if isinstance(known, tuple):
        ranks = as_ranks(verdict)
        if ranks is None:
            return None
        if len(known) == 2:
            return dense(ranks) == dense(known)
        return all(tie or ranks[better] < ranks[worse] for better, worse, tie in duels(known))
    if not isinstance(verdict, Mapping):
        return None
    if isinstance(known, frozenset):
        return verdict["action"] in known
    return all(verdict.get(name) in points for name, points in known.items())


def right(said: Mapping[str, Mapping[str, Verdict]], known: Mapping[str, Known]) -> dict[str, Share]:
    """Person -> of how many gold questions they gave an opinion, and how often the right one."""
    found: dict[str, Share] = {}
    for item, answer in known.items():
        for who, verdict in said.get(item, {}).items():
            if (hit := is_right(verdict, answer)) is not None:
                before = found.get(who, Share(0, 0))
                found[who] = Share(before.agreed + hit, before.pairs + 1)
    return found
