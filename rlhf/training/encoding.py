"""Rows become the columns of token ids that TRL's trainers take, and every row that does not is counted with a reason.

`Counts` is what the preflight judges, what `rlhf inspect` prints and what goes into the manifest. Reasons a row is left
out: `no_assistant`, `labelled_bad` (a KTO row with a bad answer is not imitated), `unlabelled` (and KTO needs to know),
`tie`, `identical_answers`, `prompt_too_long` (nothing of the answer is left), `too_long` (reward models read an answer
whole or not at all), `cross_prompt` (a policy cannot learn which of two prompts to be asked), and those of
`curation.models.template.Refused`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from curation.conversation import Conversation, Preference
from curation.models.template import ChatTemplate, Encoded, Refused
from curation.progress import Bar

IGNORED = -100
"""The label of a token that is not learned, as torch's cross-entropy has it."""
CROSS_PROMPT = "cross_prompt"
SHOWN = 3
"""Rows kept for people to look at."""
Rendered = list[list[Any]]
"""A text in pieces, each `[text, whether it is learned from]`."""


@dataclass
class Counts:
    """What became of the rows. A pair counts as one row; its two answers count apart in the figures about tokens."""

    rows: int = 0
    used: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason word -> rows."""
    first: dict[str, str] = field(default_factory=dict)
    """Reason word -> id of the first such row and what is wrong with it."""
    tokens: int = 0
    supervised: int = 0
    """Tokens that are learned."""
    longest: int = 0
    """Tokens of the longest row, before anything was cut."""
    truncated: int = 0
    """Rows cut at `max_length`. What was cut off was their end, so no end token is learned where one is cut."""
    no_end: int = 0
    """Whole rows whose last answer has no end token, though it was finished."""
    prompt_differs: int = 0
    """Rows whose answer does not follow the very tokens that its prompt alone gives."""
    empty_turns: int = 0
    """Rows with a turn of the assistant that is nothing but its end token: tool calls that the template does not write,
    say."""
    weighted: int = 0
    """Pairs whose weight is not 1: TRL has no place for it."""

    def drop(self, reason: str, row_id: str, why: str = "") -> None:
        """Counts a row that is left out."""
        self.dropped[reason] += 1
        self.first.setdefault(reason, f"row {row_id}" + (f": {why}" if why else ""))

    def as_metrics(self) -> dict[str, Any]:
        """The figures for the manifest."""
        names = (
            "rows",
            "used",
            "tokens",
            "supervised",
            "longest",
            "truncated",
            "no_end",
            "prompt_differs",
            "empty_turns",
        )
        figures: dict[str, Any] = {name: getattr(self, name) for name in names}
        return {**figures, "dropped": dict(sorted(self.dropped.items()))}


@dataclass
class Encodings:
    """Columns of equal length, ready for a `datasets.Dataset`."""

    columns: dict[str, list[Any]]
    """Lists of token ids, and a label where a row has one."""
    counts: Counts
    lengths: list[int] = field(default_factory=list)
    """Tokens of each row as it is padded: the longer answer of a pair."""
    sizes: list[int] = field(default_factory=list)
    """Tokens that the model reads for each row."""
    learned: list[int] = field(default_factory=list)
    """Tokens of each row that are learned."""
    kept: list[Any] = field(default_factory=list)
    """The rows themselves that are in the columns, in order."""
    shown: list[dict[str, Any]] = field(default_factory=list)
    """The first rows, each `{"rendered": [[text, learned], ...]}`; a pair gives two."""

    def __len__(self) -> int:
        return len(self.lengths)


def for_sft(
    rows: Iterable[Conversation],
    template: ChatTemplate,
    *,
    max_length: int | None,
    assistant_only_loss: bool = True,
    bar: Bar | None = None,
) -> Encodings:
    """`input_ids` and `labels`. With `assistant_only_loss` a row ends with the last token that is learned."""

    def one(row: Conversation, counts: Counts) -> dict[str, list[int]] | str:
        if row.label is False:
            return "labelled_bad"
        found = template.encode(row.messages, row.tools, finished=row.meta.get("finished") is not False)
        if not found.turns:
            return "no_assistant"
        learned = found.mask if assistant_only_loss else [True] * len(found.ids)
        whole = found.end if assistant_only_loss else len(found.ids)
        kept = min(whole, max_length or whole)
        labels = [i if yes else IGNORED for i, yes in zip(found.ids[:kept], learned[:kept], strict=True)]
        counts.longest = max(counts.longest, whole)
        if all(label == IGNORED for label in labels):
            return "prompt_too_long"
        _note(counts, found, whole, kept, finished=row.meta.get("finished") is not False)
        return {"input_ids": found.ids[:kept], "labels": labels}

    made = _encode(rows, one, ("input_ids", "labels"), bar)
    made.lengths = made.sizes = [len(ids) for ids in made.columns["input_ids"]]
    made.learned = [sum(label != IGNORED for label in labels) for labels in made.columns["labels"]]
    for ids, labels in zip(made.columns["input_ids"][:SHOWN], made.columns["labels"], strict=False):
        made.shown.append({"rendered": rendered(template, ids, [label != IGNORED for label in labels])})
    return _summed(made)


def for_dpo(
    rows: Iterable[Preference], template: ChatTemplate, *, max_length: int | None, bar: Bar | None = None
) -> Encodings:
    """`prompt_ids`, `chosen_ids`, `rejected_ids`: the answers end with their end token, where the row is not cut."""

    def one(row: Preference, counts: Counts) -> dict[str, list[int]] | str:
        if row.across:
            return CROSS_PROMPT
        if row.verdict == "tie":
            return "tie"
        begin, chosen, rejected = pair(row, template)
        prompt = chosen.ids[:begin]
        answers = [chosen.ids[begin : chosen.end], rejected.ids[begin : rejected.end]]
        whole = begin + max(map(len, answers))
        counts.longest = max(counts.longest, whole)
        if max_length and begin >= max_length:
            return "prompt_too_long"
        kept = [answer[: max_length - begin] if max_length else answer for answer in answers]
        if kept[0] == kept[1]:
            return "identical_answers"
        _note(counts, chosen, whole, min(whole, max_length or whole), finished=finished(row, "chosen"))
        counts.weighted += row.weight != 1.0
        return {"prompt_ids": prompt, "chosen_ids": kept[0], "rejected_ids": kept[1]}

    made = _encode(rows, one, ("prompt_ids", "chosen_ids", "rejected_ids"), bar)
    columns = made.columns
    for prompt, chosen, rejected in zip(*columns.values(), strict=True):
        made.lengths.append(len(prompt) + max(len(chosen), len(rejected)))
        made.learned.append(len(chosen) + len(rejected))
        made.sizes.append(2 * len(prompt) + made.learned[-1])
        if len(made.shown) < 2 * SHOWN:
            for title, answer in (("chosen", chosen), ("rejected", rejected)):
                marks = [False] * len(prompt) + [True] * len(answer)
                made.shown.append({"title": title, "rendered": rendered(template, prompt + answer, marks)})
    return _summed(made)


def for_kto(
    rows: Iterable[Conversation], template: ChatTemplate, *, max_length: int | None, bar: Bar | None = None
) -> Encodings:
    """`prompt_ids`, `completion_ids` (the last answer up to its end token) and `label`, true for a good answer."""

    def one(row: Conversation, counts: Counts) -> dict[str, Any] | str:
        if row.label is None:
            return "unlabelled"
        whole_answer = row.meta.get("finished") is not False
        found = template.encode(row.messages, row.tools, finished=whole_answer)
        if not found.turns:
            return "no_assistant"
        begin, whole = found.prompt, found.end
        kept = min(whole, max_length or whole)
        counts.longest = max(counts.longest, whole)
        if begin >= kept:
            return "prompt_too_long"
        _note(counts, found, whole, kept, finished=whole_answer)
        return {"prompt_ids": found.ids[:begin], "completion_ids": found.ids[begin:kept], "label": row.label}

    made = _encode(rows, one, ("prompt_ids", "completion_ids", "label"), bar)
    for prompt, answer, good in zip(*made.columns.values(), strict=True):
        made.lengths.append(len(prompt) + len(answer))
        made.learned.append(len(answer))
        if len(made.shown) < SHOWN:
            marks = [False] * len(prompt) + [True] * len(answer)
            title = "a good answer" if good else "a bad answer"
            made.shown.append({"title": title, "rendered": rendered(template, prompt + answer, marks)})
    made.sizes = made.lengths
    return _summed(made)


def for_reward(
    rows: Iterable[Preference], template: ChatTemplate, *, max_length: int | None, bar: Bar | None = None
) -> Encodings:
    """`chosen_ids` and `rejected_ids`, prompt included, up to the end token: that is where the reward is read.

    An answer that was cut off is closed like the others, here and where rewards are given (`curation.models.rewards`).
    """

    def one(row: Preference, counts: Counts) -> dict[str, list[int]] | str:
        if row.verdict == "tie":
            return "tie"
        if row.across:
            chosen, rejected = (template.encode(side, finished=True) for side in (row.chosen, row.rejected))
            if not (chosen.turns and rejected.turns):
                return "no_assistant"
        else:
            _, chosen, rejected = pair(row, template, closed=True)
        both = [chosen.ids[: chosen.end], rejected.ids[: rejected.end]]
        whole = max(map(len, both))
        counts.longest = max(counts.longest, whole)
        if max_length and whole > max_length:
            return "too_long"
        if both[0] == both[1]:
            return "identical_answers"
        _note(counts, chosen, whole, whole, finished=finished(row, "chosen"))
        counts.weighted += row.weight != 1.0
        return {"chosen_ids": both[0], "rejected_ids": both[1]}

    made = _encode(rows, one, ("chosen_ids", "rejected_ids"), bar)
    for chosen, rejected in zip(*made.columns.values(), strict=True):
        made.lengths.append(max(len(chosen), len(rejected)))
        made.sizes.append(len(chosen) + len(rejected))
        made.learned.append(2)
    for both in zip(*(column[:SHOWN] for column in made.columns.values()), strict=True):
        for title, ids in zip(("chosen", "rejected"), both, strict=True):
            marks = [False] * (len(ids) - 1) + [True]
            made.shown.append({"title": title, "rendered": rendered(template, ids, marks)})
    return _summed(made)


def _summed(made: Encodings) -> Encodings:
    made.counts.tokens, made.counts.supervised = sum(made.sizes), sum(made.learned)
    return made


def pair(row: Preference, template: ChatTemplate, *, closed: bool = False) -> tuple[int, Encoded, Encoded]:
    """(where the answers begin, prompt + chosen, prompt + rejected); both have the same tokens before that place.

    Args:
        closed: Give an answer that was cut off its end token all the same, as reward models read it.

    Raises:
        Refused: one of the two cannot be encoded, or the template writes the prompt differently before each answer.
    """
    answered = sum(m.role == "assistant" for m in row.prompt)  # turns before the answers
    for piecewise in (False, True):
        sides = [
            template.encode((*row.prompt, *answer), finished=closed or finished(row, name), piecewise=piecewise)
            for name, answer in (("chosen", row.chosen), ("rejected", row.rejected))
        ]
        if any(len(side.turns) <= answered for side in sides):
            raise Refused("no_assistant", "one of the two answers is missing")
        begins = [side.turns[answered][0] for side in sides]
        if begins[0] == begins[1] and sides[0].ids[: begins[0]] == sides[1].ids[: begins[1]]:
            return begins[0], sides[0], sides[1]
    raise Refused("mask_not_exact", "the chat template writes the prompt differently before each of the two answers")


def finished(row: Preference, name: str) -> bool:
    """False when the answer was cut off at a length limit, as `meta` of sampled pairs says."""
    return row.meta.get(f"{name}_finished") is not False


def _note(counts: Counts, found: Encoded, whole: int, kept: int, *, finished: bool) -> None:
    counts.truncated += kept < whole
    counts.no_end += finished and not found.ended
    counts.prompt_differs += not found.exact_prompt
    counts.empty_turns += any(b - a == 1 for a, b in found.turns[: -1 if not found.ended else None])


def _encode(
    rows: Iterable[Any],
    one: Callable[[Any, Counts], dict[str, Any] | str],
    names: Sequence[str],
    bar: Bar | None,
) -> Encodings:
    counts = Counts()
    columns: dict[str, list[Any]] = {name: [] for name in names}
    kept = []
    for row in rows:
        counts.rows += 1
        try:
            made = one(row, counts)
        except Refused as refused:
            counts.drop(refused.reason, row.id, refused.why)
        else:
            if isinstance(made, str):
                counts.drop(made, row.id)
            else:
                counts.used += 1
                kept.append(row)
                for name in names:
                    columns[name].append(made[name])
        if bar:
            bar.advance()
    return Encodings(columns, counts, kept=kept)


def rendered(template: ChatTemplate, ids: Sequence[int], marks: Sequence[bool]) -> Rendered:
    """The tokens as text, in runs of those that are learned from and those that are not."""
    return [
        [template.tokenizer.decode(list(run), clean_up_tokenization_spaces=False), mark]
        for mark, run in _runs(ids, marks)
    ]


def _runs(ids: Sequence[int], marks: Sequence[bool]) -> Iterator[tuple[bool, list[int]]]:
    run: list[int] = []
    for i, token in enumerate(ids):
        if run and marks[i] != marks[i - 1]:
            yield marks[i - 1], run
            run = []
        run.append(token)
    if run:
        yield marks[-1], run
