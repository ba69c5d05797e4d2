"""`sample`: policies answer prompts, and the answers to one prompt become candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import Candidates, Conversations, Kind, Policy, Ref
from rlhf.recipe.step import ONE_OR_MORE, Done, Room, Step

if TYPE_CHECKING:
    from curation.conversation import Conversation


class Sample(Step):
    """Draws answers. The same seed, policy and prompts give the same answers, whatever the batch size."""

    heavy: ClassVar[bool] = True

    step: Literal["sample"] = "sample"
    prompts: Ref[Conversations]
    """What is asked: everything before the last answer of each chat, each distinct prompt once."""
    policy: Ref[Policy] | None = None
    """Who answers; without it (and without `policies`) the `base` of the recipe."""
    policies: Annotated[list[Ref[Policy]], ONE_OR_MORE] = []
    """Several who answer: then a prompt's candidates hold `num_generations` answers of each, in this order."""
    num_generations: int = Field(1, ge=1)
    """Answers of each policy to each prompt."""
    max_prompts: int | None = Field(None, ge=1)
    """At most so many prompts, the first by id, which is a draw that no order of the data can change. None: all."""
    max_completion_length: int = Field(256, ge=1)
    """Tokens of an answer, its end token included. One that is longer is cut, and counts as not finished."""
    temperature: float = Field(1.0, ge=0)
    """Below 1 sharpens, above 1 flattens; 0 takes the likeliest token each time."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Draw from the smallest set of tokens that holds this much probability; 1: from all."""
    top_k: int = Field(0, ge=0)
    """Draw from this many of the likeliest tokens; 0: from all."""
    seed: int = 42
    """Each answer has random numbers of its own, made from this, the prompt and the number of the sample."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    """How finely the policy's weights are kept while it answers."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.policy and self.policies:
            raise ValueError("`policy` or `policies`, not both")
        return self

    def makes(self) -> type[Kind]:
        return Candidates

    def run(self, room: Room) -> Done:
        from curation import models, table
        from curation.conversation import Candidates as Row
        from curation.errors import UserError
        from curation.frame import to_frame
        from rlhf.evaluation.answering import answered

        training = room.profile.training
        models.set_threads(training.threads)
        models.use_device(training.device)
        prompts = self._asked(table.rows(self.prompts.folder, self.prompts.part))
        how = models.Sampling(**{name: getattr(self, name) for name in models.Sampling.model_fields})
        said = []
        for number, policy in enumerate(self.policies or [p for p in (self.policy,) if p]):
            said.append(
                answered(
                    policy.folder,
                    lambda folder=policy.folder: models.load_policy(folder, dtype=self.dtype, merge=True),  # type: ignore[misc]
                    prompts,
                    how,
                    self.num_generations,
                    batch_size=room.profile.generation.per_device_eval_batch_size,
                    work=room.work / str(number),
                    progress=room.progress,
                    what=f"answers of {policy.step}",
                )
            )
            models.release()
        left_out = {key: reason for one in said for key, reason in one.left_out.items()}
        rows = [
            Row(
                prompt=p.messages,
                answers=tuple(a for one in said for a in one.answers[p.id]),
                source=p.source,
                parent=p.parent,
                split=p.split,
                meta=p.meta,
            )
            for p in prompts
            if p.id not in left_out
        ]
        if not rows:
            raise UserError("no prompt could be asked", hint=f"{len(left_out)} were left out: {_counts(left_out)}")
        if left_out:
            room.warn(f"{len(left_out)} of {len(prompts)} prompts could not be asked: {_counts(left_out)}")
        table.write(room.out, to_frame(rows, Row))
        answers = [a for row in rows for a in row.answers]
        return Done(
            metrics={
                "prompts": len(rows),
                "answers": len(answers),
                "finished": sum(a.finished for a in answers) / len(answers),
                "left_out": _counts(left_out),
            },
            tokens={"generated": sum(one.generated for one in said)},
            numerics=models.numerics_class(self.dtype),
        )

    def _asked(self, chats: list[Conversation]) -> list[Conversation]:
        """One row a distinct prompt, by id; its parent is the chat that it came from."""
        from curation.conversation import Conversation

        prompts: dict[str, Conversation] = {}
        for chat in chats:
            prompt = Conversation(
                messages=chat.prompt,
                tools=chat.tools,
                source=chat.source,
                parent=chat.id,
                split=chat.split,
                meta=chat.meta,
            )
            prompts.setdefault(prompt.id, prompt)
        return [prompts[key] for key in sorted(prompts)][: self.max_prompts]


def _counts(left_out: dict[str, str]) -> dict[str, Any]:
    reasons = sorted(set(left_out.values()))
    return {reason: sum(r == reason for r in left_out.values()) for reason in reasons}
