"""Keys and digests: which question a step asks, and what an artifact holds.

A **key** is the hash of a step's bound settings: what the user set, the revision of every plugin inside, and the
content of everything that is read from outside or from other steps. A **digest** is the hash of what came out. Two
levels give early cut-off: a change that changes no row leaves the digest, so every key after it, as it was.

Model files differ in what does not matter (the version that wrote them, where they lay), so configs are normalized
before they are hashed, and only the files on the allow-list count.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from curation.artifact import Kind, Policy, Release, RewardModel, Rows, file_state, hash_file, hash_folder, identity
from curation.conversation import canonical_json
from curation.models.saving import TOKENIZER_FILES
from rlhf.recipe.step import Step

KEY_FORMAT = 1
"""Raised when the way that keys are computed changes; every step then runs anew."""

MODEL_FILES = ("config.json", "generation_config.json", "adapter_config.json", "lineage.json", *TOKENIZER_FILES)
_NOT_CONTENT = {"_name_or_path", "transformers_version", "base_model_name_or_path", "peft_version", "name_or_path"}


def step_key(step: Step) -> str:
    """The key of a step whose pointers are bound: 32 hex digits."""
    text = canonical_json({"format": KEY_FORMAT, **identity(step)})
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def artifact_digest(kind: type[Kind], folder: Path) -> str:
    """What an artifact holds: 64 hex digits. Depends on no path, no time and no library version."""
    if issubclass(kind, Rows):
        from curation.table import digest  # late: Polars

        return digest(folder)
    if issubclass(kind, Policy | RewardModel):
        return hashlib.sha256(canonical_json([kind.name, model_contents(folder)]).encode()).hexdigest()
    if issubclass(kind, Release) and (folder / "curation.json").exists():
        # A released data set: that file has the digest of its rows, and Parquet's bytes are no content.
        written = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".parquet")
        said = {p.relative_to(folder).as_posix(): hash_file(p) for p in written}
        return hashlib.sha256(canonical_json([kind.name, said]).encode()).hexdigest()
    if not any(folder.glob("rows-*.parquet")):
        return hash_folder(folder)
    from curation.table import digest  # an evaluation keeps its answers as rows, and Parquet's bytes are no content

    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file() and p.suffix != ".parquet"}
    contents = {name: hash_file(path) for name, path in files.items()}
    return hashlib.sha256(canonical_json([kind.name, digest(folder), contents]).encode()).hexdigest()


def model_contents(folder: Path) -> dict[str, str]:
    """File name -> sha256 of what counts in it, for the files of a model that decide what it does."""
    contents: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in (".safetensors", ".py"):  # code that came with a model decides what it does, too
            contents[path.name] = hash_file(path)
        elif path.name in MODEL_FILES:
            contents[path.name] = _normalized(path)
    return contents


def _normalized(path: Path) -> str:
    if path.suffix != ".json" or path.name == "tokenizer.json":
        return hash_file(path)
    config = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(config, dict):
        config = {k: v for k, v in config.items() if k not in _NOT_CONTENT}
    return hashlib.sha256(canonical_json(config).encode()).hexdigest()


class FileHashes:
    """sha256 of files from outside, remembered by path, size, times and inode: a cached run reads no data."""

    def __init__(self, memo: Path) -> None:
        self._memo = memo

    def __call__(self, path: Path) -> str:
        place = str(path.resolve())
        mark = ":".join(map(str, file_state(path)))
        with closing(sqlite3.connect(self._memo, timeout=60)) as db, db:
            db.execute("CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, mark TEXT, sha256 TEXT)")
            row = db.execute("SELECT mark, sha256 FROM files WHERE path = ?", (place,)).fetchone()
            if row and row[0] == mark:
                return str(row[1])
        found = hash_file(path)
        with closing(sqlite3.connect(self._memo, timeout=60)) as db, db:
            db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (place, mark, found))
        return found


def code_mark(step: Step) -> str:
    """A short hash of the source file of the step's class, for the warning that it moved. In no key."""
    import inspect

    try:
        return hash_file(Path(inspect.getfile(type(step))))[:16]
    except (OSError, TypeError):
        return ""


def as_json(value: Any) -> Any:
    """Plain JSON of settings, or the error that says what has no stable form."""
    return json.loads(canonical_json(value))
