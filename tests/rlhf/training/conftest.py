"""Small data sets and rooms in which a training step can run without an engine."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from curation import table
from curation.artifact import Conversations, Policy, Preferences, Ref, RewardModel
from curation.conversation import AnyRow, Conversation, Message, Preference, Source
from curation.frame import to_frame
from rlhf.recipe.identity import artifact_digest
from rlhf.recipe.profile import Profile, Training
from rlhf.recipe.step import Room, Step

VERBS = "open close clean fix paint move lift fold wash pack read write".split()
NOUNS = "door box car boat tent lamp book shirt map phone cake table".split()


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


def chat(i: int, *, split: str | None = None, **more: Any) -> Conversation:
    """A short chat; another one for each number."""
    v, n = VERBS[i % len(VERBS)], NOUNS[i // len(VERBS) % len(NOUNS)]
    rest = " Then check it again and rest for a while." if i % 3 == 0 else ""
    return Conversation(
        messages=(user(f"How do I {v} the {n}?"), assistant(f"You {v} the {n} with care.{rest}")),
        source=Source(digest="file", index=i),
        split=split,
        **more,
    )


def pair(i: int, *, split: str | None = None, **more: Any) -> Preference:
    """A pair whose chosen answer says please."""
    v, n = VERBS[i % len(VERBS)], NOUNS[i // len(VERBS) % len(NOUNS)]
    return Preference(
        prompt=(user(f"How do I {v} the {n}?"),),
        chosen=(assistant(f"Please {v} the {n} by hand."),),
        rejected=(assistant(f"You {v} the {n} step by step at home."),),
        source=Source(digest="file", index=i),
        split=split,
        **more,
    )


Make = Callable[..., Ref[Any]]


@pytest.fixture
def rows_ref(tmp_path: Path) -> Make:
    """`rows_ref(rows)`: a bound Ref to a data set with these rows; `part=` names one of its parts."""
    count = 0

    def make(rows: Sequence[AnyRow], *, part: str | None = None) -> Ref[Any]:
        nonlocal count
        count += 1
        kind = type(rows[0]) if rows else Conversation
        folder = tmp_path / f"data{count}"
        table.write(folder, to_frame(rows, kind))
        accepts = Preferences if kind is Preference else Conversations
        return Ref(f"data{count}" + (f".{part}" if part else ""), folder, f"{count:064}", (accepts,))

    return make


def model_ref(folder: Path, kind: type[Any] = Policy) -> Ref[Any]:
    """A bound Ref to a model artifact."""
    return Ref("model", folder, folder.name, (kind,))


Run = Callable[..., tuple[Any, Path, Room]]


@pytest.fixture
def run_step(tmp_path: Path) -> Run:
    """`run_step(step, beside=parent)`: runs it in a room of its own; gives (Done, artifact folder, room).

    The artifact is moved beside its parent under its digest, as the store does it.
    """
    count = 0

    def run(step: Step, *, beside: Path, work: Path | None = None, **training: Any) -> tuple[Any, Path, Room]:
        nonlocal count
        count += 1
        place = tmp_path / f"run{count}"
        (place / "out").mkdir(parents=True)
        (work or place / "work").mkdir(exist_ok=True)
        room = Room(
            work=work or place / "work",
            out=place / "out",
            profile=Profile(training=Training(device="cpu", threads=1, **training)),
        )
        done = step.run(room)
        kind = RewardModel if step.step == "reward" else Policy
        folder = beside.parent / artifact_digest(kind, room.out)
        if not folder.exists():
            room.out.rename(folder)
        return done, folder, room

    return run


def shuffled(n: int, seed: int = 0) -> list[int]:
    numbers = list(range(n))
    random.Random(seed).shuffle(numbers)
    return numbers
