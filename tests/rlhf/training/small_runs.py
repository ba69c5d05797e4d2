"""Small data sets, and rooms in which a training step can run without an engine."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from curation import table
from curation.artifact import Conversations, Policy, Preferences, Ref, RewardModel
from curation.conversation import AnyRow, Conversation, Message, Preference, Source
from curation.frame import to_frame
from curation.models.loading import load_policy
from rlhf.recipe.identity import artifact_digest
from rlhf.recipe.profile import Profile, Training
from rlhf.recipe.step import Done, Room, Step
from rlhf.training.encoding import for_sft

VERBS = "open close clean fix paint move lift fold wash pack read write".split()
NOUNS = "door box car boat tent lamp book shirt map phone cake table".split()


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


def words(i: int) -> tuple[str, str]:
    return VERBS[i % len(VERBS)], NOUNS[i // len(VERBS) % len(NOUNS)]


def chat(i: int, *, split: str | None = None, **more: Any) -> Conversation:
    """A short chat; another one for each number below 144."""
    v, n = words(i)
    rest = " Then check it again and rest for a while." if i % 3 == 0 else ""
    return Conversation(
        messages=(user(f"How do I {v} the {n}?"), assistant(f"You {v} the {n} with care.{rest}")),
        source=Source(digest="file", index=i),
        split=split,
        **more,
    )


def pair(i: int, *, split: str | None = None, **more: Any) -> Preference:
    """A pair whose chosen answer says please; the rejected one is longer."""
    v, n = words(i)
    return Preference(
        prompt=(user(f"How do I {v} the {n}?"),),
        chosen=(assistant(f"Please {v} the {n} by hand."),),
        rejected=(assistant(f"You {v} the {n} step by step at home."),),
        source=Source(digest="file", index=i),
        split=split,
        **more,
    )


def data_ref(folder: Path, rows: Sequence[AnyRow], part: str | None = None) -> Ref[Any]:
    """A bound Ref to a data set with these rows, written to the folder."""
    kind = type(rows[0]) if rows else Conversation
    table.write(folder, to_frame(rows, kind))
    accepts = Preferences if kind is Preference else Conversations
    return Ref(folder.name + (f".{part}" if part else ""), folder, f"{folder.name:0>64}", (accepts,))


def own_loss(folder: Path, rows: Sequence[Conversation]) -> float:
    """A policy's loss in nats a learned token, loaded from its artifact, by transformers' own loss of each row."""
    loaded = load_policy(folder, where=torch.device("cpu"))
    made = for_sft(rows, loaded.template, max_length=None)
    total, count = 0.0, 0
    for ids, labels in zip(made.columns["input_ids"], made.columns["labels"], strict=True):
        n = sum(label != -100 for label in labels)
        with torch.no_grad():
            total += n * loaded.model(torch.tensor([ids]), labels=torch.tensor([labels])).loss.item()
        count += n
    return total / count


def model_ref(folder: Path) -> Ref[Any]:
    """A bound Ref to a policy."""
    return Ref("model", folder, folder.name, (Policy,))


def room(place: Path, **training: Any) -> Room:
    """A room on one thread of the CPU; `place` may be one that was used before."""
    for name in ("work", "out"):
        (place / name).mkdir(parents=True, exist_ok=True)
    settings = {"device": "cpu", "threads": 1, **training}
    return Room(work=place / "work", out=place / "out", profile=Profile(training=Training(**settings)))


def publish(step: Step, out: Path, beside: Path) -> Path:
    """Moves a finished artifact beside its parent under its digest, as the store does."""
    folder = beside.parent / artifact_digest(RewardModel if step.step == "reward" else Policy, out)
    return folder if folder.exists() else out.rename(folder)


def trainer_for(step: Step, place: Path, monkeypatch: pytest.MonkeyPatch, **training: Any) -> tuple[Any, Any]:
    """The trainer that a step makes, caught before it trains, with its rows."""
    caught: list[Any] = []

    class Caught(Exception):
        pass

    def fit(run: Any, trainer: Any, rows: Any, **_: Any) -> None:
        caught.extend([trainer, rows])
        raise Caught

    with monkeypatch.context() as patch:
        patch.setattr("rlhf.training.running.Run.fit", fit)
        with pytest.raises(Caught):
            step.run(room(place, **training))
    return caught[0], caught[1]


def push(trainer: Any, by: float, seed: int = 0) -> None:
    """Moves everything that is trained away from where it was."""
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in trainer.model.parameters():
            if weights.requires_grad:
                weights.add_(torch.randn(weights.shape, generator=drawn) * by)


def killed(script: str, steps: Mapping[str, Step], place: Path, kill_at: int, training: Mapping[str, Any]) -> None:
    """Runs each step in the room `place / "killed" / NAME`, until `script` ends it by SIGKILL."""
    jobs = place / "jobs"
    jobs.write_bytes(pickle.dumps([(s, str(place / "killed" / n), training) for n, s in steps.items()]))
    out = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script)), str(jobs), str(kill_at)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
    assert [int(line) for line in out.stdout.split()] == [signal.SIGKILL] * len(steps), out.stderr[-2000:]


def each_in_a_child(jobs: Path) -> None:
    """For such a script: runs the steps of the file, each in a forked child, and prints how they ended."""
    for step, place, training in pickle.loads(jobs.read_bytes()):
        child = os.fork()
        if child == 0:
            step.run(room(Path(place), **training))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status), flush=True)


Make = Callable[..., Ref[Any]]
Run = Callable[..., tuple[Done, Path, Room]]
