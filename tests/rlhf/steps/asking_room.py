"""A room for steps that ask people, and people who fill in forms, as tests of these steps share them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from curation import conversation, table
from curation.artifact import Ref
from rlhf.recipe.caches import Answers, Labels, Scores
from rlhf.recipe.profile import Labeling, Profile
from rlhf.recipe.step import Room

Cells = dict[str, str]


def data(tmp_path: Path, rows: Sequence[Any]) -> Ref[Any]:
    """An artifact of these rows, bound."""
    folder = tmp_path / "artifacts" / f"rows-{len(list((tmp_path / 'artifacts').glob('*')))}"
    table.write_rows(folder, rows, type(rows[0]))
    return Ref("before", folder, table.digest(folder))


def room(tmp_path: Path, name: str = "human", **labeling: Any) -> Room:
    """One try at a step; logs and forms are shared with earlier tries."""
    made = tmp_path / f"try-{len(list(tmp_path.glob('try-*')))}"
    for folder in ("work", "out"):
        (made / folder).mkdir(parents=True)
    return Room(
        work=made / "work",
        out=made / "out",
        profile=Profile(labeling=Labeling(**labeling)),
        name=name,
        scores=Scores(tmp_path / "scores"),
        answers=Answers(tmp_path / "answers"),
        labels=Labels(tmp_path / "labels"),
        labeling=tmp_path / "labeling",
    )


def fill(path: Path, write: Callable[[Cells], Cells | None]) -> None:
    """A person who writes so much into a row, or None to leave it."""
    with path.open(encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows({**row, **(write(row) or {})} for row in rows)
    path.write_text(text.getvalue(), encoding="utf-8")


def chat(prompt: str, *answer: str, **more: Any) -> conversation.Conversation:
    turns = [conversation.Message("user", prompt), *(conversation.Message("assistant", text) for text in answer)]
    return conversation.Conversation(messages=tuple(turns), split="train", **more)
