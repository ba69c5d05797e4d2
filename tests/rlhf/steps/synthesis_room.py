"""A room with a stub endpoint, for the steps that let a model write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chat_server import ChatServer

from curation import table
from curation.artifact import InputFile, Ref, hash_file
from curation.conversation import Conversation, Message, Source
from rlhf.recipe.caches import Answers, Scores
from rlhf.recipe.profile import Endpoint, Generation, Profile, Training
from rlhf.recipe.step import Done, Room, Step


def room(tmp_path: Path, server: ChatServer | None = None, *, usd: float | None = None, **endpoint: Any) -> Room:
    """A new try in the same store: empty `out`, the caches of earlier tries."""
    number = len(list(tmp_path.glob("try-*")))
    made = tmp_path / f"try-{number}"
    for folder in ("work", "out"):
        (made / folder).mkdir(parents=True)
    settings = {"usd_per_mtok": (1.0, 1.0), **endpoint}
    endpoints = (
        {name: Endpoint(base_url=server.url, **settings) for name in ("gpt", "other", "judge")} if server else {}
    )
    return Room(
        work=made / "work",
        out=made / "out",
        profile=Profile(
            endpoints=endpoints,
            training=Training(device="cpu", threads=1),
            generation=Generation(per_device_eval_batch_size=8),
        ),
        scores=Scores(tmp_path / "scores"),
        answers=Answers(tmp_path / "answers"),
        usd_left=usd,
    )


def file(path: Path) -> InputFile:
    return InputFile(path.name, path, hash_file(path))


def prompts(tmp_path: Path, *texts: str, **changes: Any) -> Ref[Any]:
    """A data set of one question each."""
    rows = [
        Conversation(messages=(Message("user", text),), source=Source("made", "made.jsonl", "a" * 32, i), **changes)
        for i, text in enumerate(texts)
    ]
    return stored(tmp_path / "artifacts" / "prompts", rows)


def stored(folder: Path, rows: Sequence[Any]) -> Ref[Any]:
    table.write_rows(folder, rows, type(rows[0]))
    return Ref(folder.name, folder, table.digest(folder))


def ran(step: Step, here: Room) -> Done:
    """The step's result, its sums checked."""
    done = step.run(here)
    assert isinstance(done, Done) and done.ledger is not None and done.ledger.problems() == []
    return done


def rows(here: Room) -> list[Any]:
    return table.rows(here.out)


def last(body: dict[str, Any]) -> str:
    """The last words of what a server was asked."""
    return str(body["messages"][-1]["content"] if "messages" in body else body["prompt"])


Answer = Callable[[dict[str, Any], int], Any]
