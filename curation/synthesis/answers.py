"""Several answers to each prompt, by one model or by several: what choosing and rating start from."""

from __future__ import annotations

from collections.abc import Sequence

from curation.conversation import Answer, Candidates, Conversation, digest
from curation.errors import UserError
from curation.synthesis.made import Dropped, short
from curation.synthesis.writers import Question, Writer, Written


def choose(rows: Sequence[Conversation], most: int | None) -> tuple[list[Conversation], list[Dropped]]:
    """The prompts that are asked, each once and in the order of their ids, and why the others are not.

    A prompt is all that stands before the last answer of a conversation. Which are taken is decided by a hash of each,
    so that a larger number keeps the earlier choice.

    Returns:
        The conversations cut down to their prompts, with the row as their parent; what was dropped, for `no_prompt`,
        `needs_tools`, `repeated_prompt` or `beyond_max_prompts`.
    """
    dropped: list[Dropped] = []
    distinct: dict[str, Conversation] = {}
    for row in rows:
        if not row.prompt or row.prompt[-1].role == "system":
            dropped.append(Dropped(row, "no_prompt"))
        elif row.tools:
            dropped.append(Dropped(row, "needs_tools"))
        else:
            asked = row.with_(messages=row.prompt, parent=row.id, label=None, scores={})
            if distinct.setdefault(asked.id, asked) is not asked:
                dropped.append(Dropped(row, "repeated_prompt"))
    order = sorted(distinct, key=lambda key: digest("prompts", key))
    taken = order[:most]
    dropped += [Dropped(distinct[key], "beyond_max_prompts") for key in order[len(taken) :]]
    return [distinct[key] for key in sorted(taken)], dropped


def answered(
    prompts: Sequence[Conversation], writers: Sequence[Writer], each: int
) -> tuple[list[Candidates], list[Dropped]]:
    """`each` answers of every writer to every prompt, in the order of the writers.

    What a model does not answer, or answers with nothing, is left out; a prompt without any answer is dropped for the
    reason of the last one (`no_answer` where it was empty).

    Raises:
        UserError: a model cannot be asked any more; with how many prompts have all their answers.
    """
    answers: list[list[Answer]] = [[] for _ in prompts]
    reasons = ["no_answer"] * len(prompts)
    questions = [Question(row.messages, sample=n) for row in prompts for n in range(each)]
    for writer in writers:
        try:
            found = writer.write(questions, f"answers of {writer.name}")
        except UserError as error:
            raise short(error, _whole(writer.known(questions), each), len(prompts), "prompts") from None
        writer.close()  # models are large: one at a time
        for i, one in enumerate(found):
            if one.refused:
                reasons[i // each] = one.refused
            elif one.text.strip():
                answers[i // each].append(Answer(one.text, writer.policy, one.finished))
    rows, dropped = [], []
    for row, own, reason in zip(prompts, answers, reasons, strict=True):
        if own:
            made = Candidates(
                prompt=row.messages,
                answers=tuple(own),
                source=row.source,
                parent=row.parent,
                split=row.split,
                meta=row.meta,
            )
            rows.append(made)
        else:
            dropped.append(Dropped(row, reason))
    return rows, dropped


def _whole(known: Sequence[Written | None], each: int) -> int:
    """Prompts of which every answer is there."""
    return sum(all(known[i : i + each]) for i in range(0, len(known), each))
