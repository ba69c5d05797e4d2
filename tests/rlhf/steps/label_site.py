"""A store, and people who are asked in batches and fill in forms."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import asking_room

from curation import conversation, table
from curation.artifact import Ref
from curation.conversation import Answer, Message
from rlhf.recipe.caches import Features, Labels
from rlhf.recipe.profile import Labeling, Profile
from rlhf.recipe.step import Done, Room, Waiting
from rlhf.steps.compare import Compare

NOUNS = "door box car boat tent lamp book shirt map phone cake table garden fence wheel letter".split()
VERBS = ("open", "clean", "fix")


def rows(count: int = 30) -> list[conversation.Candidates]:
    rng = random.Random(0)
    made = []
    for v, n in [(v, n) for v in VERBS for n in NOUNS][:count]:
        texts = [f"Please {v} the {n} by hand.", f"Please {v} the {n} by hand. Then check the {n} again."]
        rng.shuffle(texts)
        prompt = (Message("user", f"How do I {v} the {n}?"),)
        made.append(conversation.Candidates(prompt=prompt, answers=tuple(map(Answer, texts))))
    return made


class Site:
    """A store with candidates, a policy, and people who like answers that end on a check."""

    def __init__(self, tmp_path: Path, policy: Path, count: int = 30) -> None:
        folder = tmp_path / "artifacts" / "candidates"
        if not folder.exists():
            table.write_rows(folder, rows(count), conversation.Candidates)
        self.root, self.forms = tmp_path, tmp_path / "labeling" / "human"
        self.data = Ref("answers", folder, table.digest(folder))
        self.policy = Ref("base", policy, policy.name)

    def step(self, acquire: str | None = "margin", **settings: Any) -> Compare:
        if acquire:
            settings = {"features": self.policy, "batch": 4, "held_out": 6, "acquire": acquire, **settings}
        return Compare(data=self.data, **settings)

    def room(self) -> Room:
        made = self.root / f"try-{len(list(self.root.glob('try-*')))}"
        for folder in ("work", "out"):
            (made / folder).mkdir(parents=True)
        return Room(
            work=made / "work",
            out=made / "out",
            profile=Profile(labeling=Labeling(format="csv")),
            name="human",
            features=Features(self.root / "scores"),
            labels=Labels(self.root / "labels"),
            labeling=self.root / "labeling",
        )

    def run(self, step: Compare) -> Done | Waiting:
        return step.run(self.room())

    def answer(self, limit: int | None = None) -> int:
        """Fills in what is open, form by form; gives the number of answers."""

        def better(row: dict[str, str]) -> str:
            return "a" if "check" in (row.get("answer_a") or row["chat_a"]) else "b"

        return asking_room.fill_all(self.forms, better, limit)

    def to_the_end(self, step: Compare) -> tuple[list[str], Done]:
        said = []
        for _ in range(30):
            now = self.run(step)
            if isinstance(now, Done):
                return said, now
            said.append(now.message)
            self.answer()
        raise AssertionError("it never ended")

    def batches(self) -> list[list[str]]:
        return [line["items"] for line in Labels(self.root / "labels").read("batches")]
