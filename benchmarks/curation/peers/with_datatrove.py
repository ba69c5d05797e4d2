"""datatrove: exact deduplication and the four stages of MinHash, each a local executor, as its examples have them.

python with_datatrove.py chats.jsonl FOLDER THREADS

Words are cut by its English tokenizer (spaCy), the default of its MinHash.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

REQUIRES = ["datatrove[io,processing]==0.10.1", "spacy"]


def content(document: Any) -> str:
    """What exact duplicates have in common."""
    return " ".join(document.text.lower().split())


def adapt(_: Any, data: dict[str, Any], path: str, place: int | str) -> dict[str, Any]:
    """A record as a document."""
    from flat import text

    found = text(data["conversations"])
    return {"text": found or "", "id": data["id"], "metadata": {}}


def main(given: str, folder: str, threads: str) -> None:
    import multiprocessing

    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        ExactDedupFilter,
        ExactDedupSignature,
        ExactFindDedups,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.exact_dedup import ExactDedupConfig
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    multiprocessing.set_start_method("spawn", force=True)
    out, workers = Path(folder), int(threads)
    source = out / "given"
    source.mkdir()
    # A task reads whole files, so there must be as many as workers.
    with open(given, encoding="utf-8") as file:
        parts = [(source / f"{i}.jsonl").open("w", encoding="utf-8") for i in range(workers)]
        for i, line in enumerate(file):
            parts[i % workers].write(line)
        for part in parts:
            part.close()

    stage = itertools.count()

    def run(tasks: int, *pipeline: Any) -> None:
        logs = str(out / "logs" / str(next(stage)))  # by default they go into the working directory
        LocalPipelineExecutor(list(pipeline), tasks=tasks, workers=min(tasks, workers), logging_dir=logs).run()

    exact = ExactDedupConfig(content_getter=content)
    run(
        workers,
        JsonlReader(str(source), adapter=adapt),
        JsonlWriter(str(out / "filtered"), output_filename="${rank}.jsonl.gz"),
        ExactDedupSignature(str(out / "exact"), exact, finder_workers=1),
    )
    run(1, ExactFindDedups(str(out / "exact"), str(out / "exact_found"), exact))
    run(
        workers,
        JsonlReader(str(out / "filtered")),
        ExactDedupFilter(str(out / "exact_found"), exact),
        JsonlWriter(str(out / "once"), output_filename="${rank}.jsonl.gz"),
    )
    near = MinhashConfig(n_grams=5, num_buckets=16, hashes_per_bucket=8)
    run(workers, JsonlReader(str(out / "once")), MinhashDedupSignature(str(out / "signatures"), near))
    run(16, MinhashDedupBuckets(str(out / "signatures"), str(out / "buckets"), config=near))
    run(1, MinhashDedupCluster(str(out / "buckets"), str(out / "clusters"), config=near))
    run(
        workers,
        JsonlReader(str(out / "once")),
        MinhashDedupFilter(str(out / "clusters")),
        JsonlWriter(str(out / "kept"), output_filename="${rank}.jsonl", compression=None),
    )
    ids = []
    for path in sorted((out / "kept").glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            ids += [json.loads(line)["id"] for line in file]
    (out / "ids.txt").write_text("\n".join(ids), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
