"""Pairs with a preferred answer, TRL's `prompt`/`chosen`/`rejected`, the prompt written out or implied.

    {"prompt": "...", "chosen": "...", "rejected": "..."}
    {"prompt": [messages], "chosen": [messages], "rejected": [messages]}
    {"chosen": [prompt and answer], "rejected": [prompt and other answer]}
    {"prompt": [], "chosen": [a chat], "rejected": [a chat with another prompt]}

Where the prompt is implied it is what the two share from the start, as in TRL's `extract_prompt`; of two texts that is
cut before the last space. A prompt in text beside two whole chats says nothing new, and the chats count. An empty list
beside two chats that share none says that each has its own: a pair for reward models.

The prompt may be called `question` (Orca's pairs) or `instruction`, with an `input`, or be the chat in `conversations`
(LLaMA-Factory). Ratings of the two (`score_chosen` and `score_rejected`, `chosen-rating` and `rejected-rating` ...)
become the scores `rating_chosen` and `rating_rejected`; a pair whose ratings are equal stays chosen, as the set says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from curation.conversation import Answer, AnyRow, Candidates, Conversation, Message, Preference
from curation.formats.completion import answered, is_list, prompted
from curation.formats.fields import SYSTEM, Refused, absent, first_of, number, record_id, text
from curation.formats.format import Format, Makes

Turns = tuple[Message, ...]

PROMPTS = ("prompt", "question", "instruction", "conversations", "conversation")
_RATED = tuple(
    (f"{a}chosen{b}", f"{a}rejected{b}")
    for a, b in (("rating_", ""), ("score_", ""), ("", "_rating"), ("", "_score"), ("", "-rating"), ("", "-score"))
)
"""Columns with the ratings of the two answers."""


class Pairs(Format):
    """What formats share whose records are pairs."""

    answers: Literal["chosen", "both"] = "chosen"
    """As conversations: the prompt with the chosen answer, or a row for each of the two, labelled good and bad."""


class PreferencePair(Pairs):
    """A prompt with a chosen and a rejected answer. As conversations: the prompt with the chosen one, or with each. As
    candidates: the two answers side by side, to be judged anew.
    """

    makes: ClassVar[frozenset[Makes]] = frozenset({"conversations", "candidates", "preferences"})
    revision: ClassVar[int] = 3
    reads: ClassVar[frozenset[str]] = frozenset(
        {*PROMPTS, "input", "chosen", "rejected", *SYSTEM, "id", *(name for both in _RATED for name in both)}
    )
    telling: ClassVar[frozenset[str]] = frozenset({"chosen", "rejected"})

    op: Literal["preference"] = "preference"

    @classmethod
    def evidence(cls, record: Mapping[str, Any]) -> str:
        return "`chosen` and `rejected`" if "chosen" in record and "rejected" in record else ""

    def scores(self, makes: Makes) -> frozenset[str]:
        return frozenset({"rating_chosen", "rating_rejected"} if makes == "preferences" else {"rating"})

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        chosen, rejected = record.get("chosen"), record.get("rejected")
        for value, reason in ((chosen, "no_chosen"), (rejected, "no_rejected")):
            if absent(value) or value == []:
                raise Refused(reason)
        listed = is_list(chosen) and is_list(rejected)
        asked = _asked(record)
        if asked is None or (listed and not is_list(asked)):
            pair = self._implied(record, chosen, rejected, listed)
        else:
            prompt = prompted({**record, "prompt": asked})
            pair = without_prompt(prompt, answered(chosen, "no_chosen"), answered(rejected, "no_rejected"))
        return made(*pair, makes, record_id(record), self.decided_by, _ratings(record), both=self.answers == "both")

    def _implied(
        self, record: Mapping[str, Any], chosen: Any, rejected: Any, listed: bool
    ) -> tuple[Turns, Turns, Turns]:
        if not listed:
            return shared_text(text(chosen, "no_chosen"), text(rejected, "no_rejected"))
        a, b = answered(chosen, "no_chosen"), answered(rejected, "no_rejected")
        if len(a) == 1 and len(b) == 1:  # two answers alone: the prompt must stand beside them
            return prompted({**record, "prompt": _asked(record)}), a, b
        try:
            return shared(a, b)
        except Refused:
            if record.get("prompt") == [] and "assistant" not in (a[0].role, b[0].role):
                return (), a, b
            raise


def _asked(record: Mapping[str, Any]) -> Any:
    """What stands as the prompt, or None; an instruction with an input is one text of two lines."""
    asked, given = first_of(record, PROMPTS), first_of(record, ("input",))
    plain = isinstance(asked, str) and isinstance(given, str) and first_of(record, PROMPTS[:2]) is None
    return f"{asked}\n{given}" if plain else asked


def _ratings(record: Mapping[str, Any]) -> tuple[float, float] | None:
    """The numbers that the two answers were given, where both have one."""
    for both in _RATED:
        chosen, rejected = (number(record.get(name)) for name in both)
        if chosen is not None and rejected is not None:
            return chosen, rejected
    return None


def shared(chosen: Turns, rejected: Turns) -> tuple[Turns, Turns, Turns]:
    """Prompt, chosen and rejected of two whole chats: the prompt is what they share, at most all but the last turn.

    Raises:
        Refused: `no_prompt` when they share nothing, `no_shared_prompt` when they part before an answer.
    """
    most = min(len(chosen), len(rejected)) - 1
    n = next((i for i in range(most) if chosen[i] != rejected[i]), most)
    if n == 0:
        raise Refused("no_prompt")
    if chosen[n].role != "assistant" or rejected[n].role != "assistant":
        raise Refused("no_shared_prompt")
    return chosen[:n], chosen[n:], rejected[n:]


def shared_text(chosen: str, rejected: str) -> tuple[Turns, Turns, Turns]:
    """The same for two texts without turns.

    Raises:
        Refused: `no_prompt` when they share no word, or are the same.
    """
    n = next((i for i, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b), None)
    if n is None:  # one continues the other: no place where they part
        raise Refused("no_prompt")
    if n and chosen[n - 1] == " ":
        n -= 1
    if not chosen[:n].strip():
        raise Refused("no_prompt")
    return (Message("user", chosen[:n]),), (Message("assistant", chosen[n:]),), (Message("assistant", rejected[n:]),)


def without_prompt(prompt: Turns, chosen: Turns, rejected: Turns) -> tuple[Turns, Turns, Turns]:
    """The three with the prompt taken off answers that repeat it.

    Raises:
        Refused: `no_answer` when an answer does not begin with the assistant.
    """
    n = len(prompt)
    if chosen[:n] == prompt and rejected[:n] == prompt:
        chosen, rejected = chosen[n:], rejected[n:]
    if not chosen or not rejected or chosen[0].role != "assistant" or rejected[0].role != "assistant":
        raise Refused("no_answer")
    return prompt, chosen, rejected


def made(
    prompt: Turns,
    chosen: Turns,
    rejected: Turns,
    makes: Makes,
    meta: Mapping[str, Any],
    decided_by: str,
    ratings: tuple[float, float] | None = None,
    *,
    both: bool = False,
) -> list[AnyRow]:
    """The pair; or its two answers as candidates; or the conversation with the chosen answer, or with each of the two,
    which then is its label.

    Raises:
        Refused: `several_turns` when an answer is more than one message, `no_prompt` when the two share none, which
            candidates do not hold.
    """
    if makes == "candidates":
        if not prompt:
            raise Refused("no_prompt")
        if len(chosen) != 1 or len(rejected) != 1:
            raise Refused("several_turns")
        answers = tuple(Answer(m.content, extra=m.extra) for m in (*chosen, *rejected))
        return [Candidates(prompt=prompt, answers=answers, meta=meta)]
    if makes == "conversations":
        rated = [{"rating": rating} for rating in ratings] if ratings else [{}, {}]
        rows: list[AnyRow] = [
            Conversation(messages=(*prompt, *answer), meta=meta, scores=scores, label=good if both else None)
            for answer, scores, good in ((chosen, rated[0], True), (rejected, rated[1], False))
        ]
        return rows if both else rows[:1]
    scores = {"rating_chosen": ratings[0], "rating_rejected": ratings[1]} if ratings else {}
    pair = Preference(prompt=prompt, chosen=chosen, rejected=rejected, meta=meta, decided_by=decided_by, scores=scores)
    return [pair]
