"""A room for steps that ask people, and people who fill in forms, as tests of these steps share them."""

from __future__ import annotations

import csv
import io
import json
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


def fill_all(folder: Path, better: Callable[[Cells], str], limit: int | None = None) -> int:
    """Says of each pair that is open on the forms of a folder which answer is better (a or b); how many."""
    filled = 0

    def write(row: Cells) -> Cells | None:
        nonlocal filled
        if row["verdict"] or (limit is not None and filled >= limit):
            return None
        filled += 1
        return {"verdict": better(row)}

    for form in sorted(folder.glob("*.csv"), key=lambda p: (len(p.name), p.name)):
        fill(form, write)
    return filled


def recipe(folder: Path, text: str, base: Path) -> Path:
    """A recipe beside the twelve chats that it reads from `chats.jsonl`; `{base}` in its text is the model."""
    asks = [f"How do I {v} the {n}?" for v in ("open", "fix", "clean") for n in ("door", "box", "lamp", "tent")]
    chats = [[{"role": "user", "content": a}, {"role": "assistant", "content": "With care."}] for a in asks]
    (folder / "chats.jsonl").write_text("".join(json.dumps({"messages": c}) + "\n" for c in chats))
    path = folder / "recipe.yaml"
    path.write_text(text.format(base=base))
    return path


def chat(prompt: str, *answer: str, **more: Any) -> conversation.Conversation:
    turns = [conversation.Message("user", prompt), *(conversation.Message("assistant", text) for text in answer)]
    return conversation.Conversation(messages=tuple(turns), split="train", **more)
