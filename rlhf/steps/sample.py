"""`sample`: policies answer prompts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import Candidates as CandidatesKind
from curation.artifact import Conversations, Kind, Policy, Ref
from curation.conversation import Answer, Candidates, Conversation, digest
from curation.errors import UserError
from curation.ledger import Entry, Ledger
from curation.models.settings import DType, Sampling
from curation.settings import ONE_OR_MORE
from rlhf.recipe.step import Done, Room, Step

if TYPE_CHECKING:
    from curation.models import Completion

_SHORT = 12
_SHOWN = 4


class Sample(Sampling, Step):
    """Several answers to each prompt, by one policy or several.

    A prompt is all that stands before the last answer of a conversation; that answer is not looked at. Equal prompts
    are asked once. Policies draw by the same random numbers, so that their answers differ by what they are.
    """

    step: Literal["sample"] = "sample"
    prompts: Ref[Conversations]
    """Whose prompts are answered. A split data set gives its part `train`, unless another one is named."""
    policy: Ref[Policy] | None = None
    """Who answers; without it the `base` of the recipe."""
    policies: Annotated[list[Ref[Policy]], ONE_OR_MORE] = Field(default_factory=list)
    """Several that answer, instead of `policy`: `num_generations` answers each, in this order."""
    num_generations: int = Field(1, ge=1)
    """Answers to a prompt, by each policy."""
    max_prompts: int | None = Field(None, ge=1)
    """Prompts that are answered, chosen by a hash of each, so that a larger number keeps the earlier choice. None:
    all."""
    dtype: DType = "float32"
    """How finely the weights are kept. A CPU without bfloat16 arithmetic computes in float32 either way."""

    @model_validator(mode="after")
    def _who(self) -> Self:
        if self.policy is not None and self.policies:
            raise ValueError("`policy` is for one, `policies` for several; write one of the two")
        names = [str(ref) for ref in self.policies]
        if len(set(names)) < len(names):
            raise ValueError("`policies` names one twice; raise `num_generations` instead")
        return self

    def makes(self) -> type[Kind]:
        return CandidatesKind

    def run(self, room: Room) -> Done:
        from curation import table
        from curation.models import set_threads, use_device

        room.profile.generation.need_transformers()
        set_threads(room.profile.training.threads)
        use_device(room.profile.training.device)
        refs = self.policies or ([self.policy] if self.policy else [])
        if not refs:
            raise UserError("there is no policy to ask", hint="name a step with `policy:`, or give a `base:`")
        rows = table.rows(self.prompts.folder, table.part_or(self.prompts.folder, self.prompts.part, "train"))
        chosen, dropped = self.choose(rows)
        answers: dict[str, list[Answer]] = {row.id: [] for row in chosen}
        figures: dict[str, Any] = {}
        numerics: dict[str, Any] = {}
        for ref in refs:
            asked = [row for row in chosen if row.id in answers]
            made, left_out, numerics = self._answer(ref, asked, room)
            for key, reason in left_out.items():
                dropped[reason] += 1
                del answers[key]
            for i, row in enumerate(row for row in asked if row.id in answers):
                for one in made[i * self.num_generations : (i + 1) * self.num_generations]:
                    answers[row.id].append(Answer(one.text, ref.digest[:_SHORT], one.finished))
            figures[ref.step] = _figures(made)
        candidates = [_row(row, answers[row.id]) for row in chosen if row.id in answers]
        if not candidates:
            why = ", ".join(f"{reason} {n}" for reason, n in dropped.items())
            raise UserError(f"none of the {len(rows)} prompts could be asked", hint=why or "the data set is empty")
        if left := len(chosen) - len(candidates):
            room.warn(f"{left} of {len(chosen)} prompts could not be asked: see the ledger")
        table.write_rows(room.out, candidates, Candidates)
        entry = Entry(operator="sample", made=len(rows), kept=len(candidates), dropped=dict(sorted(dropped.items())))
        return Done(
            ledger=Ledger(entries=[entry]),
            metrics={"prompts": len(candidates), **figures},
            examples=[self._example(refs, row) for row in candidates[:_SHOWN]],
            tokens={"generated": sum(f["tokens"] for f in figures.values())},
            numerics=numerics,
        )

    def _answer(
        self, ref: Ref[Policy], asked: list[Conversation], room: Room
    ) -> tuple[list[Completion], dict[str, str], dict[str, Any]]:
        """(answers of one policy, `num_generations` a prompt; which prompts it cannot be asked and why; numerics)."""
        from curation.models import Journal, ask, load_policy, numerics_class, pack, release

        attention = room.profile.training.attn_implementation
        loaded = load_policy(ref.folder, dtype=self.dtype, merge=True, attn_implementation=attention)
        pack(loaded.model)
        requests, left_out = ask(loaded, asked, self.num_generations)
        batch_size = room.profile.generation.per_device_eval_batch_size
        journal = Journal(room.work / f"{ref.digest}.jsonl", requests, batch_size)
        made = journal.generate(loaded, self, progress=room.progress, what=f"answers of {ref.step}")
        numerics = {**numerics_class(self.dtype, loaded.device), "batch_size": journal.batch_size}
        del loaded
        release()
        return made, left_out, numerics

    def choose(self, rows: list[Conversation]) -> tuple[list[Conversation], Counter[str]]:
        """The prompts that are asked, each once and in the order of their ids, and why the others are not."""
        from curation.models import prompt_key

        dropped: Counter[str] = Counter()
        distinct: dict[str, Conversation] = {}
        for row in rows:
            if distinct.setdefault(prompt_key(row), row) is not row:
                dropped["repeated_prompt"] += 1
        order = sorted(distinct, key=lambda key: digest("sample", key))
        taken = order[: self.max_prompts]
        if len(taken) < len(order):
            dropped["beyond_max_prompts"] = len(order) - len(taken)
        return sorted((distinct[key] for key in taken), key=lambda row: row.id), dropped

    def _example(self, refs: list[Ref[Policy]], row: Candidates) -> dict[str, Any]:
        names = [ref.step for ref in refs for _ in range(self.num_generations)]
        if self.num_generations > 1:
            names = [f"{name}, {i % self.num_generations + 1}" for i, name in enumerate(names)]
        texts = {name: answer.content for name, answer in zip(names, row.answers, strict=True)}
        return {"prompt": row.prompt[-1].content, "answers": texts}


def _row(row: Conversation, answers: list[Answer]) -> Candidates:
    meta = {**row.meta, "tools": row.tools} if row.tools else row.meta
    return Candidates(
        prompt=row.prompt, answers=tuple(answers), source=row.source, parent=row.id, split=row.split, meta=meta
    )


def _figures(made: list[Completion]) -> dict[str, Any]:
    tokens = [len(one.tokens) + one.finished for one in made]
    return {
        "answers": len(made),
        "finished": sum(one.finished for one in made) / max(1, len(made)),
        "mean_tokens": sum(tokens) / max(1, len(made)),
        "tokens": sum(tokens),
    }
