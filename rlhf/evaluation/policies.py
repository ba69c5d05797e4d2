"""Each policy in turn: it is opened once, answers the prompts and is measured on the held-out chats, and is closed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.artifact import Policy, Ref
from curation.conversation import Answer, Candidates, Conversation, digest
from curation.errors import UserError
from curation.ledger import Entry, in_words
from curation.models import Journal, ask, load_policy, pack, prompt_key, release
from rlhf.evaluation.leaks import Seen, prompt_id
from rlhf.evaluation.losses import held_out_loss

if TYPE_CHECKING:
    from curation.models import Loaded
    from rlhf.recipe.step import Room
    from rlhf.steps.evaluate import Evaluate

_SHORT = 12
"""Digits of a policy's digest in a row."""


@dataclass
class Said:
    """What all policies answered, in one order of prompts."""

    prompts: list[Conversation] = field(default_factory=list)
    answers: dict[str, list[tuple[Answer, ...]]] = field(default_factory=dict)
    """Policy -> its answers to each prompt."""
    losses: dict[str, dict[str, Any]] = field(default_factory=dict)
    entry: Entry | None = None
    """What became of the prompts."""

    def chats(self, policy: str) -> list[Conversation]:
        """One conversation an answer, prompt by prompt."""
        rows = zip(self.prompts, self.answers[policy], strict=True)
        return [chat for prompt, own in rows for chat in _candidates(prompt, own).conversations()]

    def groups(self) -> list[str]:
        """The prompt of each of `chats`."""
        samples = len(next(iter(self.answers.values()))[0])
        return [prompt.id for prompt in self.prompts for _ in range(samples)]

    def rows(self) -> list[Candidates]:
        """One row a prompt: the answers of all policies, in the order of `answers`."""
        together = zip(*self.answers.values(), strict=True)
        return [
            _candidates(prompt, tuple(a for own in row for a in own))
            for prompt, row in zip(self.prompts, together, strict=True)
        ]


def _candidates(prompt: Conversation, answers: tuple[Answer, ...]) -> Candidates:
    return Candidates(
        prompt=prompt.prompt,
        answers=answers,
        source=prompt.source,
        parent=prompt.id,
        split=prompt.split,
        meta=prompt.meta,
    )


def ask_policies(
    step: Evaluate,
    room: Room,
    players: dict[str, Ref[Policy]],
    rows: Sequence[Conversation] | None,
    held_out: Sequence[Conversation],
    seen: Seen,
) -> Said:
    """Answers and losses of all policies.

    Args:
        players: Name -> policy, the baseline first.
        rows: The chats whose prompts are asked; None: no answers.
        held_out: The chats that losses are measured on.
        seen: What the policies were trained on.

    Raises:
        UserError: no prompt is left.
    """
    if rows is not None:
        room.profile.generation.need_transformers()
    said = Said()
    prompts, reasons = choose_prompts(rows or [], seen, step.max_prompts)
    if rows is not None and not prompts:
        raise nothing_left("prompts", reasons)
    answers: dict[str, dict[str, tuple[Answer, ...]]] = {}
    for name, ref in players.items():
        kernel = room.profile.training.attn_implementation
        loaded = load_policy(ref.folder, dtype=step.dtype, merge=True, attn_implementation=kernel)
        if held_out:
            memo = room.work / f"loss-{ref.digest}.json"
            if not memo.exists():
                what = f"loss of {name}"
                loss = held_out_loss(loaded, held_out, seed=step.seed, progress=room.progress, what=what)
                _write_whole(memo, loss)
            said.losses[name] = json.loads(memo.read_text(encoding="utf-8"))
        if prompts:
            answers[name], left_out = _answers(step, room, name, ref, loaded, prompts)
            reasons.update(left_out.values())
            prompts = [p for p in prompts if p.id not in left_out]
        del loaded
        release()
    if rows is not None:
        said.prompts = prompts
        said.answers = {name: [own[p.id] for p in prompts] for name, own in answers.items()}
        words = {word: reasons[word] for word in sorted(reasons)}
        said.entry = Entry(operator="prompts", made=len(rows), kept=len(prompts), dropped=words)
        if not prompts:
            raise nothing_left("prompts", reasons)
    return said


def _answers(
    step: Evaluate, room: Room, name: str, ref: Ref[Policy], loaded: Loaded, prompts: Sequence[Conversation]
) -> tuple[dict[str, tuple[Answer, ...]], dict[str, str]]:
    """(id of the prompt's row -> the policy's answers, id -> why it cannot be asked)."""
    pack(loaded.model)
    requests, left_out = ask(loaded, prompts, step.num_generations)
    journal = Journal(room.work / f"{ref.digest}.jsonl", requests, room.profile.generation.per_device_eval_batch_size)
    made = journal.generate(loaded, step, progress=room.progress, what=f"answers of {name}")
    own = iter(Answer(c.text, ref.digest[:_SHORT], c.finished) for c in made)
    asked = [p for p in prompts if p.id not in left_out]
    return {p.id: tuple(next(own) for _ in range(step.num_generations)) for p in asked}, left_out


def _write_whole(path: Path, value: Any) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value), encoding="utf-8")
    part.rename(path)


def nothing_left(what: str, reasons: Counter[str]) -> UserError:
    """The error for a set of which no row can be used."""
    why = in_words(reasons) or "the set is empty"
    hint = "name a part that no model was trained on; `split: {test: 0.1}` before the training makes one"
    return UserError(f"nothing is left of `{what}` to evaluate on: {why}", hint=hint)


def choose_prompts(
    rows: Sequence[Conversation], seen: Seen, most: int | None
) -> tuple[list[Conversation], Counter[str]]:
    """The chats whose prompts are asked, by id, and how many of the others were left out for which reason.

    Which ones `most` keeps a hash of each prompt decides, as in `sample`: a larger number keeps the earlier choice.
    Reasons: `empty_prompt`, `trained_on`, `repeated_prompt`, `beyond_max_prompts`.
    """
    distinct: dict[str, Conversation] = {}
    reasons: Counter[str] = Counter()
    for row in rows:
        if not row.prompt:
            reasons["empty_prompt"] += 1
        elif prompt_id(row.prompt) in seen.prompts:
            reasons["trained_on"] += 1
        elif distinct.setdefault(prompt_key(row), row) is not row:
            reasons["repeated_prompt"] += 1
    order = sorted(distinct, key=lambda key: digest("sample", key))
    taken = order[:most]
    if len(taken) < len(order):
        reasons["beyond_max_prompts"] = len(order) - len(taken)
    return sorted((distinct[key] for key in taken), key=lambda row: row.id), reasons
