"""Answers are dear: each finished batch is written down at once, and a run that was killed goes on after it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from curation.models.generation import Completion, Request, generate

if TYPE_CHECKING:
    from curation.models.loading import Loaded
    from curation.models.settings import Sampling
    from curation.progress import Progress


class Journal:
    """The answers to a list of requests, batch by batch, in one file of JSON lines.

    The first line says which requests, and how many in a batch: batches of another size would round differently, so a
    run goes on with the size that it was begun with. A file for other requests is thrown away.

    Args:
        path: The file.
        requests: What is asked, in order.
        batch_size: Answers written at once, if this begins anew.
    """

    def __init__(self, path: Path, requests: Sequence[Request], batch_size: int) -> None:
        self.path, self.requests = path, requests
        self.batch_size = batch_size
        self.known: dict[int, Completion] = {}
        """Answers that are there, by place in `requests`."""
        asked = hashlib.sha256(repr([(r.key, r.sample, r.prompt) for r in requests]).encode()).hexdigest()
        if not self._read(asked):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            self._write({"asked": asked, "batch_size": batch_size})

    def _read(self, asked: str) -> bool:
        """Takes over what the file holds; False when it is not about these requests."""
        if not self.path.exists():
            return False
        whole = [line for line in self.path.read_text(encoding="utf-8").split("\n") if line]
        records = []
        for line in whole:
            try:
                records.append(json.loads(line))
            except ValueError:
                break  # torn by a kill; nothing can follow it
        if not records or records[0].get("asked") != asked:
            return False
        self.batch_size = records[0]["batch_size"]
        for record in records[1:]:
            for place, text, tokens, finished in record["answers"]:
                self.known[place] = Completion(text, tuple(tokens), finished)
        if len(records) < len(whole):
            text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records)
            temporary = self.path.with_suffix(".new")
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, self.path)
        return True

    def generate(self, loaded: Loaded, how: Sampling, *, progress: Progress, what: str) -> list[Completion]:
        """The answers to all requests, in order: those that are there, the rest from the model, kept as they come."""
        return generate(
            loaded,
            self.requests,
            how,
            batch_size=self.batch_size,
            known=self.known,
            on_batch=self.append,
            progress=progress,
            what=what,
        )

    def append(self, made: dict[int, Completion]) -> None:
        """Keeps a finished batch; on the disk when this returns."""
        self.known.update(made)
        self._write({"answers": [[i, c.text, c.tokens, c.finished] for i, c in made.items()]})

    def _write(self, record: dict[str, object]) -> None:
        with self.path.open("a", encoding="utf-8") as f:
            f.write(json.dumps(record, ensure_ascii=False) + "\n")
            f.flush()
            os.fsync(f.fileno())
