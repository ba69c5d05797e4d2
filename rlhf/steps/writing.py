"""What the steps that let a model write share: who writes, and how what was made gets out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import model_validator

from curation.artifact import Policy, Ref
from curation.models.settings import DType, Sampling
from rlhf.recipe.step import Done, Room, Step

if TYPE_CHECKING:
    from curation.chat import Connections
    from curation.ledger import Ledger
    from curation.synthesis.made import Dropped, Made
    from curation.synthesis.writers import Writer
    from rlhf.report.seen import Seen

_SHOWN = 4
"""Rows that a page shows."""


class Writing(Sampling, Step):
    """Who writes, and how: a model behind an endpoint or one of this recipe."""

    inherits_policy: ClassVar[bool] = False

    endpoint_model: str | None = None
    """Who writes: an entry of `endpoints` in the profile."""
    policy: Ref[Policy] | None = None
    """Who writes, instead of an endpoint: a step that makes a model (`base` is one)."""
    dtype: DType = "float32"
    """How finely the weights of `policy` are kept. A CPU without bfloat16 arithmetic computes in float32 either way."""

    @model_validator(mode="after")
    def _one_writer(self) -> Self:
        if (self.endpoint_model is None) == (self.policy is None):
            raise ValueError("who writes? give `endpoint_model: NAME` or `policy: STEP`, one of the two")
        if self.top_k and self.endpoint_model is not None:
            raise ValueError("`top_k` is for a `policy`: OpenAI-compatible endpoints do not know it")
        return self

    def advice(self) -> list[str]:
        if self.endpoint_model is not None and self.dtype != "float32":
            return ["`dtype` is for a `policy`; an endpoint has its own"]
        return []


@contextmanager
def writer(step: Writing, room: Room) -> Iterator[tuple[Writer, Connections]]:
    """Who the step says; the endpoints of the profile can be reached inside the block."""
    from rlhf.steps.endpoints import reachable

    with reachable(room) as connections:
        if step.endpoint_model is not None:
            yield endpoint(step.endpoint_model, step), connections
        elif step.policy is not None:
            local = policy(step.policy, step, step.dtype, room)
            try:
                yield local, connections
            finally:
                local.close()


def endpoint(name: str, how: Sampling) -> Any:
    """The writer behind an endpoint.

    Raises:
        UserError: the profile has no endpoint of this name.
    """
    from curation.chat import client
    from curation.synthesis.writers import EndpointWriter

    client(name)
    return EndpointWriter(name, how.max_completion_length, how.temperature, how.top_p, how.seed)


def policy(ref: Ref[Policy], how: Sampling, dtype: DType, room: Room, journal: str = "writing") -> Any:
    """A model of this recipe as a writer; the caller closes it.

    Args:
        journal: Folder of what it writes, in the step's work: one for each thing that it is asked to do.
    """
    from curation.models import set_threads, use_device
    from curation.synthesis.writers import LocalWriter

    room.profile.generation.need_transformers()
    set_threads(room.profile.training.threads)
    use_device(room.profile.training.device)
    return LocalWriter(
        ref.folder,
        ref.step,
        ref.digest,
        how,
        work=room.work / journal,
        dtype=dtype,
        batch_size=room.profile.generation.per_device_eval_batch_size,
        attn_implementation=room.profile.training.attn_implementation,
        progress=room.progress,
    )


def published(
    room: Room, made: Made[Any], kind: type, ledger: Ledger, writers: Sequence[Writer], connections: Connections
) -> Done:
    """Writes the rows, beside them what was dropped and what could not be read, and says what it took."""
    from curation import table
    from rlhf.steps.endpoints import judged

    table.write_rows(room.out, made.rows, kind)
    side: dict[str, Path] = {}
    if made.dropped:
        side["dropped"] = _dropped(room.work / "dropped", made.dropped, ledger.entries[0].operator)
    if made.unread:
        side["malformed"] = _unread(room.work / "malformed", made, ledger.readings[0].source)
    seen = _seen(room.out, kind, side, ledger)
    local = [w for w in writers if hasattr(w, "numerics")]
    written = sum(w.tokens for w in local)
    return Done(
        ledger=ledger,
        metrics={**made.figures, **judged(connections)},
        examples=[*map(_example, made.rows[:_SHOWN]), *seen.examples],
        pictures=seen.pictures,
        side=side,
        tokens={**connections.usage.tokens(), **({"generated": written} if written else {})},
        usd=connections.usage.usd,
        numerics=local[0].numerics if local else {},
    )


def _seen(out: Path, kind: type, side: Mapping[str, Path], ledger: Ledger) -> Seen:
    """Samples of what went, and pictures of what stayed."""
    from curation.conversation import Conversation
    from rlhf.report.samples import dropped_samples, malformed_samples
    from rlhf.report.seen import Seen, look

    if kind is Conversation:
        seen = look(out, side.get("dropped"), ledger)
    else:  # what was dropped are prompts, which are in no picture with pairs
        seen = Seen(dropped_samples(side.get("dropped"), ledger.entries))
    return Seen([*seen.examples, *map(dict, malformed_samples(side.get("malformed")))], seen.pictures)


def _example(row: Any) -> dict[str, Any]:
    """A row as the page shows it."""
    from curation.conversation import Conversation

    if isinstance(row, Conversation):
        return {"prompt": row.prompt[-1].content, "answers": {str(row.meta.get("policy", "answer")): row.reply}}
    answers = {"chosen": row.chosen[-1].content, "rejected": row.rejected[-1].content}
    return {"prompt": row.prompt[-1].content, "answers": answers, "verdict": row.verdict}


def _dropped(folder: Path, lost: Sequence[Dropped], operator: str) -> Path:
    import polars as pl

    from curation import table
    from curation.frame import to_frame

    shutil.rmtree(folder, ignore_errors=True)
    frame = to_frame([one.row for one in lost], type(lost[0].row))
    why = {
        "dropped_by": [operator] * len(lost),
        "reason": [one.reason for one in lost],
        "evidence": [one.evidence for one in lost],
    }
    table.write(folder, frame.with_columns(pl.Series(name, said, dtype=pl.String) for name, said in why.items()))
    return folder


def _unread(folder: Path, made: Made[Any], source: str) -> Path:
    from curation.sources.intake import Malformed

    shutil.rmtree(folder, ignore_errors=True)
    kept = Malformed(folder)
    for piece in made.unread:
        kept.add(source, piece.question, piece.reason, piece.text)
    kept.flush()
    return folder
