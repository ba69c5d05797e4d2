"""A blind study: people compared the answers of two policies, and what they said says which policy is better.

Label artifacts know pairs of texts and not who wrote them, for people were to be blind; the candidates that the pairs
were made from know the writer of each answer. Both are brought together here. Where two policies gave the same answer
nobody was asked, and it is a tie. A prompt of which nobody had an opinion is counted, and is part of no rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from curation.artifact import Preferences, Ref
from curation.conversation import Answer, Candidates, Preference
from curation.errors import UserError
from curation.labeling.agreement import Votes
from curation.labeling.answers import same
from curation.labeling.panel import Panel
from curation.labeling.votes import votes_of
from rlhf.evaluation.ancestry import Manifests, ancestors
from rlhf.evaluation.leaks import Seen, prompt_id
from rlhf.evaluation.wins import tally

_WORTH = {"chosen": 1.0, "tie": 0.5, "rejected": 0.0}
_WORDS = {1.0: "ours", 0.5: "tie", 0.0: "theirs"}
Text = tuple[str, str | None]


LENGTH = 12
"""Digits of a policy's digest in an answer, as `sample` writes it."""


@dataclass
class Study:
    """What people said of one policy against the baseline."""

    outcomes: list[float] = field(default_factory=list)
    """1, 0.5 or 0 a pair of answers: what they said together."""
    prompts: list[str] = field(default_factory=list)
    """What each pair answers."""
    votes: dict[str, dict[str, float]] = field(default_factory=dict)
    """Pair -> annotator -> 1, 0.5 or 0."""
    prompt_of: dict[str, str] = field(default_factory=dict)
    """Pair -> what it answers."""
    identical: int = 0
    """Pairs of equal answers."""
    without_verdict: int = 0
    """Pairs of different answers of which nobody had an opinion, or that nobody was asked about."""
    trained_on: int = 0
    """Prompts that are left out, because a policy was trained on them."""
    shown: list[tuple[Candidates, Answer, Answer, float]] = field(default_factory=list)
    """(row, our answer, theirs, outcome) of each pair that people decided."""

    def left_out(self) -> Counter[str]:
        """Why a pair or a prompt counts in no rate."""
        return Counter({"trained_on": self.trained_on, "without_verdict": self.without_verdict})

    def to_dict(self) -> dict[str, Any]:
        """What the artifact keeps: every outcome, and every vote by pseudonym."""
        return {"prompts": self.prompts, "outcomes": self.outcomes, "votes": self.votes}

    def figures(self, seed: int) -> dict[str, Any]:
        """`win_rate` with its interval over prompts, over all and by annotator, and how far people agree."""
        people = sorted({who for votes in self.votes.values() for who in votes}, key=lambda who: (len(who), who))
        by_person = {}
        for who in people:
            own = [(votes[who], self.prompt_of[pair]) for pair, votes in self.votes.items() if who in votes]
            by_person[who] = tally([o for o, _ in own], [p for _, p in own], seed)
        words: Votes = {pair: {w: _WORDS[o] for w, o in votes.items()} for pair, votes in self.votes.items()}
        return {
            **tally(self.outcomes, self.prompts, seed),
            "identical": self.identical,
            "without_verdict": self.without_verdict,
            "by": "people",
            "annotators": by_person,
            "agreement": Panel(words).agreement(seed),
        }


def study(pairs: Iterable[Preference], candidates: Iterable[Candidates], ours: str, theirs: str, seen: Seen) -> Study:
    """What people said of the answers of two policies.

    Args:
        pairs: What they said; the parent of a pair is the row that it was made from.
        candidates: The rows with the answers.
        ours, theirs: What answers call their policies: the beginnings of their digests.
        seen: Prompts that are left out, because a policy was trained on them.
    """
    said: dict[str, dict[frozenset[Text], Preference]] = {}
    for pair in pairs:
        said.setdefault(pair.parent or "", {})[frozenset((_text(pair.chosen[0]), _text(pair.rejected[0])))] = pair
    found = Study()
    for row in candidates:
        if prompt_id(row.prompt) in seen.prompts:
            found.trained_on += 1
            continue
        own, other = (_of(row.answers, who) for who in (ours, theirs))
        for n, (a, b) in enumerate(product(own, other)):
            if same(a.message(), b.message()):
                found.identical += 1
                found.outcomes.append(0.5)
                found.prompts.append(row.id)
                continue
            verdict = said.get(row.id, {}).get(frozenset((_text(a.message()), _text(b.message()))))
            if verdict is None:
                found.without_verdict += 1
                continue
            sign = 1 if _text(verdict.chosen[0]) == _text(a.message()) else -1

            def worth(word: str, sign: int = sign) -> float:
                return 0.5 + sign * (_WORTH[word] - 0.5)

            found.outcomes.append(worth(verdict.verdict))
            found.prompts.append(row.id)
            found.shown.append((row, a, b, found.outcomes[-1]))
            if votes := votes_of(verdict):
                key = f"{row.id} {n}"
                found.votes[key] = {who: worth(word) for who, word in votes.items()}
                found.prompt_of[key] = row.id
    return found


def _of(answers: Sequence[Answer], policy: str) -> list[Answer]:
    return [answer for answer in answers if answer.policy == policy]


def _text(message: Any) -> Text:
    """What makes an answer the same answer; see `curation.labeling.answers.same`."""
    return message.content.strip(), message.extra


def study_examples(studies: Mapping[str, Study], baseline: Iterable[str], most: int = 8) -> list[dict[str, Any]]:
    """The first rows by id, side by side, chosen by nothing else."""
    (theirs,) = baseline
    words = {1.0: "wins", 0.5: "ties", 0.0: "loses"}
    return [
        {
            "prompt": "\n\n".join(m.content for m in row.prompt),
            "answers": {theirs: b.content, name: a.content},
            "verdict": f"people: {name} {words[outcome]}",
        }
        for name, made in studies.items()
        for row, a, b, outcome in made.shown[:most]
    ][:most]


@dataclass
class Compared:
    """What people were shown, and what they said."""

    pairs: list[Preference]
    candidates: list[Candidates]

    @classmethod
    def behind(cls, labels: Ref[Preferences], manifests: Manifests) -> Compared:
        """The verdicts of a step, and the candidates that it compares, found by what it stands on.

        Raises:
            UserError: it stands on none.
        """
        from curation import table

        found = [
            m["output"]["digest"]
            for m in ancestors([labels.digest], manifests).values()
            if m["output"]["kind"] == "candidates"
        ]
        if not found:
            hint = "`labels` is a `compare` step over a `sample` step with the same policies"
            raise UserError(f"who wrote the answers that {str(labels)!r} compares is not known", hint=hint)
        store = labels.folder.parent
        rows: dict[str, Candidates] = {}
        for digest in dict.fromkeys(found):
            rows |= {row.id: row for row in table.rows(store / digest)}
        return cls(table.rows(labels.folder, labels.part), [rows[key] for key in sorted(rows)])

    def writer(self, name: str, digest: str) -> str:
        """What the answers call a policy.

        Raises:
            UserError: none of them is by it.
        """
        known = digest[:LENGTH]
        if not any(answer.policy == known for row in self.candidates for answer in row.answers):
            hint = "name the policies that the `sample` step behind the labels asked, as they were then"
            raise UserError(f"people have compared no answer of {name!r}", hint=hint)
        return known
