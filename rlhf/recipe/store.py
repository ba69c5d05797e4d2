"""The store keeps artifacts by content and a manifest for each finished step.

    manifests/<key>.json   what is known of a finished step; its presence means done
    artifacts/<digest>/    what steps made; never changed, shared by all recipes
    work/<key>/            scratch of steps under way; survives a kill, removed at the end
    logs/<key>.log         what a step's process printed
    runs/<recipe>/         one record and one page a run
    scores/ answers/ labels/   caches that outlive every key (`rlhf.recipe.caches`)

Everything is written to a temporary name, flushed to the disk and renamed, so that a kill at any moment leaves either
the old state or the new one. Publishing and leases are methods, so that an object store can take their place later.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curation.artifact import Kind, Rows
from curation.durable import flush, put
from curation.errors import UserError
from rlhf.recipe.identity import FileHashes, artifact_digest
from rlhf.recipe.manifest import FORMAT, Made, Manifest

_FOLDERS = ("manifests", "artifacts", "work", "logs", "runs", "scores", "answers", "labels", "labeling", "tracking")


class Store:
    """A folder with the layout above, made when it is not there.

    Raises:
        UserError: the place is no folder, cannot be written, is on an object store, or was written by a newer version.
    """

    def __init__(self, root: Path | str) -> None:
        if "://" in str(root):
            raise UserError(
                f"the store {root} is not a local folder", hint="object stores are not supported yet; give a folder"
            )
        self.root = Path(root).expanduser().absolute()
        try:
            for name in _FOLDERS:
                (self.root / name).mkdir(parents=True, exist_ok=True)
            self._check_format()
        except OSError as error:
            hint = "choose another place with --store or RLHF_STORE"
            raise UserError(f"the store {self.root} cannot be used: {error.strerror}", hint=hint) from error
        self.hash_file = FileHashes(self.root / "file-hashes.sqlite")

    def _check_format(self) -> None:
        mark = self.root / "store.json"
        if not mark.exists():
            write_atomically(mark, json.dumps({"format": FORMAT}))
            return
        try:
            found = int(json.loads(mark.read_text(encoding="utf-8"))["format"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{mark} is damaged", hint='it should read {"format": 1}') from error
        if found > FORMAT:
            raise UserError(
                f"the store {self.root} was written by a newer version (format {found}, this one reads {FORMAT})",
                hint="update rlhf-curation, or choose another place with --store",
            )

    # Manifests

    def manifest(self, key: str) -> Manifest | None:
        """The manifest of a finished step, or None. One whose artifact is gone counts as not finished."""
        path = self.root / "manifests" / f"{key}.json"
        if not path.exists():
            return None
        try:
            found = Manifest.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise UserError(f"the manifest {path} is damaged", hint="delete it to make the step run again") from error
        return found if self.artifact(found.output.digest).is_dir() else None

    def finish(self, manifest: Manifest) -> None:
        """Writes the manifest: from now on the step is done."""
        path = self.root / "manifests" / f"{manifest.key}.json"
        write_atomically(path, manifest.model_dump_json(indent=1))
        shutil.rmtree(self.work(manifest.key), ignore_errors=True)

    # Artifacts

    def artifact(self, digest: str) -> Path:
        """Where an artifact lies (or would)."""
        return self.root / "artifacts" / digest

    def publish(self, kind: type[Kind], folder: Path) -> Made:
        """Moves a finished folder into the store under its digest. The same content a second time is dropped."""
        digest = artifact_digest(kind, folder)
        made = Made(
            kind=kind.name, digest=digest, bytes=sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        )
        if issubclass(kind, Rows):
            from curation import table

            parts = table.parts(folder)
            made = made.model_copy(update={"rows": table.count(folder), "parts": parts})
        place = self.artifact(digest)
        for file in folder.rglob("*"):
            flush(file)
        try:
            os.rename(folder, place)
        except OSError:
            if not place.is_dir():
                raise
            shutil.rmtree(folder)  # somebody made the very same content before
        flush(place.parent)
        return made

    # Work

    def work(self, key: str) -> Path:
        """Scratch of a step under way."""
        return self.root / "work" / key

    def log(self, key: str) -> Path:
        """What the step's process printed."""
        return self.root / "logs" / f"{key}.log"

    @contextmanager
    def lease(self, key: str, *, wait: bool = True, on_wait: Callable[[str], None] = lambda _: None) -> Iterator[None]:
        """One writer per key. The lock goes with the process that holds it, however that ends.

        Raises:
            UserError: `wait` is False and somebody else works on this key.
        """
        path = self.root / "work" / f"{key}.lock"
        with path.open("a+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                holder = lock.read().strip() or "another run"
                if not wait:
                    raise UserError(
                        f"{holder} is working on the same step", hint="wait for it, or run without --no-wait"
                    ) from None
                on_wait(holder)
                fcntl.flock(lock, fcntl.LOCK_EX)
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%H:%M:%S')}")
            lock.flush()
            yield

    # Runs

    def record_run(self, recipe: str, stamp: str, record: dict[str, Any]) -> Path:
        """Writes (again) the record of a run; returns its place."""
        path = self.root / "runs" / recipe / f"{stamp}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(record, indent=1, ensure_ascii=False))
        return path

    def last_run(self, recipe: str) -> tuple[Path, dict[str, Any]] | None:
        """The newest readable record of a recipe and its place."""
        for path in sorted((self.root / "runs" / recipe).glob("*.json"), reverse=True):
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                continue
            if isinstance(found, dict):
                return path, found
        return None


def write_atomically(path: Path, text: str) -> None:
    """The whole file or none of it, also when the machine loses power."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    temporary.write_text(text, encoding="utf-8")
    put(temporary, path)
