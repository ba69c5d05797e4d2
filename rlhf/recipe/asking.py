"""A recipe that nobody wrote, in which people are asked: what `rlhf label push` puts up, and `pull` takes in again.

    rows   ingest     the file, unless a step of a recipe is meant
    NAME   compare, rate or review

It is kept as one JSON file a name (`labeling/pushed/NAME.json` in the store), and made anew from that each time, so a
push, a pull and `rlhf run` go one way: the same step, the same log, the same account of every row.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from curation.errors import RecipeError, did_you_mean
from rlhf.recipe.document import Node
from rlhf.recipe.load import LoadedRecipe, examined, extended
from rlhf.recipe.problem import Place, RecipeProblems
from rlhf.recipe.shipped import find_recipe
from rlhf.recipe.store import Store

QUESTIONS: Mapping[str, str] = {"compare": "candidates", "rate": "conversations", "review": "conversations"}
"""What people can be asked, and the rows that it takes."""
_ROWS = "rows"
_SAID = re.compile(r"([\d,]+) of ([\d,]+) answered")


@dataclass(frozen=True)
class Asking:
    """What is asked about what."""

    name: str
    """Of the step; the data set in Argilla is called after it."""
    question: str
    """One of `QUESTIONS`."""
    source: str
    """A file, a folder, a data set on the Hub; or the recipe whose step is meant."""
    data: str | None = None
    """The step of that recipe, or a part of it; None: `source` is read."""
    format: str = "auto"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the step that asks."""

    def loaded(self, *, sets: Sequence[str] = (), profile: str | Path | None = None) -> LoadedRecipe:
        """The recipe.

        Raises:
            RecipeProblems: all that is wrong with it.
        """
        asks = {"step": self.question, "data": self.data or _ROWS, **self.settings}
        if self.data is None:
            here = Path.cwd() / f"{self.name}.yaml"
            rows = {
                "step": "ingest",
                "makes": QUESTIONS[self.question],
                "datasets": [{"path": self.source, "format": self.format}],
            }
            top = _node({"recipe": self.name, "steps": {_ROWS: rows, self.name: asks}})
            texts: dict[str, str] = {}
        else:
            here = find_recipe(self.source)
            top, texts = extended(here)
            steps = top.get("steps")
            there: dict[str, Node] = steps.value if steps and isinstance(steps.value, dict) else {}
            step = self.data.partition(".")[0]
            if step not in there:
                raise RecipeError(f"the recipe {self.source} has no step {step!r}", hint=did_you_mean(step, there))
            if self.name in there:
                raise RecipeError(f"the recipe has a step {self.name!r} already", hint="--name gives another one")
            top = _node({**top.value, "steps": _node({**there, self.name: asks})})
        loaded, problems = examined(top, texts, here, sets=sets, profile=profile)
        if problems:
            raise RecipeProblems(problems)
        return loaded

    def keep(self, store: Store) -> bool:
        """Writes it down, whole or not at all; whether it is new.

        Raises:
            RecipeError: something else is asked under this name.
        """
        path = _file(store, self.name)
        new = not path.exists()
        before = self if new else kept(store, self.name)
        if (before.question, before.source, before.data) != (self.question, self.source, self.data):
            hint = "--name gives another one; answers to what was asked before are kept"
            raise RecipeError(f"{self.name!r} is about {before.source} ({before.question}) already", hint=hint)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(part, path)
        return new

    def forget(self, store: Store) -> None:
        """Takes it off the list of what was put up; answers that were taken in stay in the log."""
        _file(store, self.name).unlink(missing_ok=True)


def kept(store: Store, name: str | None) -> Asking:
    """What was put up under a name, or the only thing that was.

    Raises:
        RecipeError: there is none, or several.
    """
    names = sorted(p.stem for p in (store.root / "labeling" / "pushed").glob("*.json"))
    if name is None and len(names) == 1:
        name = names[0]
    if name not in names:
        known = (
            f"there is: {', '.join(names)}" if names else "rlhf label push FILE --question compare puts something up"
        )
        what = "say which one" if name is None and names else f"nothing was put up{f' as {name!r}' if name else ''}"
        raise RecipeError(what, hint=known)
    return Asking(**json.loads(_file(store, str(name)).read_text(encoding="utf-8")))


def answered(message: str) -> int:
    """How many answers a waiting step has: the 38 of `38 of 200 answered`."""
    found = _SAID.match(message)
    return int(found[1].replace(",", "")) if found else 0


def name_of(source: str) -> str:
    """What a data set about this file is called: letters, digits and `-`."""
    stem = Path(source.rstrip("/")).name.partition(".")[0]
    return re.sub(r"[^A-Za-z0-9_]+", "-", stem).strip("-_")[:60] or "asked"


def _file(store: Store, name: str) -> Path:
    return store.root / "labeling" / "pushed" / f"{name}.json"


def _node(value: Any) -> Node:
    """Plain values as a part of a recipe that was typed on the command line."""
    place = Place(flag="rlhf label")
    if isinstance(value, Node):
        return value
    if isinstance(value, Mapping):
        nodes = {key: _node(one) for key, one in value.items()}
        return Node(nodes, place, {key: node.place for key, node in nodes.items()})
    if isinstance(value, list | tuple):
        return Node([_node(one) for one in value], place)
    return Node(value, place)
