"""What a model artifact stands on: the small file `lineage.json` beside the weights.

A full model stands on nothing. An adapter names its base and, bottom up, the adapters between the base and itself, all
by digest. Parents lie beside the artifact (`folder.parent / digest`), so no place is written down anywhere.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from curation.errors import UserError

FILE = "lineage.json"


@dataclass(frozen=True)
class Lineage:
    """The parents of a model."""

    base: str | None = None
    """Digest of the full model at the bottom; None for a full model."""
    stack: tuple[str, ...] = ()
    """Digests of the adapters between the base and this one, bottom up."""
    tune: Literal["base", "full", "lora"] = "base"
    """How it came about: brought in or made from scratch, all weights trained, or an adapter trained."""
    merged: tuple[str, ...] = ()
    """Digests of the adapters that this one was merged from, where it was."""

    @property
    def is_adapter(self) -> bool:
        return self.base is not None

    def above(self, digest: str) -> Lineage:
        """The lineage of a new adapter on top of the model that this one describes and that has this digest."""
        if self.base is None:
            return Lineage(digest, (), "lora")
        return Lineage(self.base, (*self.stack, digest), "lora")

    def write(self, folder: Path) -> None:
        said = {name: value for name, value in asdict(self).items() if name != "merged" or value}
        text = json.dumps(said, indent=1)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Lineage:
        """The lineage of an artifact; a folder without the file is a full model from outside.

        Raises:
            UserError: the file is there and not what it should be.
        """
        path = folder / FILE
        if not path.exists():
            return cls()
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return cls(found["base"], tuple(found["stack"]), found["tune"], tuple(found.get("merged", ())))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is damaged", hint="run the step that made the model again with --redo") from error


def chain_of(folder: Path) -> list[Path]:
    """The folders that make up a model, bottom up: the base, then adapters; the artifact itself is the last.

    Raises:
        UserError: one of them is gone.
    """
    return [*parents(folder), folder]


def parents(folder: Path) -> list[Path]:
    """The folders that an artifact stands on, bottom up: the base, then adapters. Empty for a full model.

    Raises:
        UserError: one of them is gone.
    """
    lineage = Lineage.read(folder)
    if lineage.base is None:
        return []
    found = [folder.parent / digest for digest in (lineage.base, *lineage.stack)]
    for path in found:
        if not path.is_dir():
            raise UserError(
                f"the adapter {folder.name[:12]} stands on {path.name[:12]}, which is not beside it",
                hint=f"looked for {path}; an adapter works only in the store that it was made in, export it merged",
            )
    return found
