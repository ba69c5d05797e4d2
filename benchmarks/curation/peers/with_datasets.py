"""Hugging Face datasets with datasketch: map, filter and MinHashLSH, as most notebooks do it.

python with_datasets.py chats.jsonl FOLDER THREADS
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

REQUIRES = ["datasets", "datasketch>=2"]


def flattened(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """`text` of each chat, empty where it goes."""
    from flat import text

    return {"text": [text(chat) or "" for chat in batch["conversations"]]}


def sketched(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """An exact key and a MinHash of each text."""
    import hashlib

    from datasketch import MinHash

    keys, sketches = [], []
    for text in batch["text"]:
        words = text.lower().split()
        keys.append(hashlib.md5(" ".join(words).encode()).hexdigest())
        made = MinHash(num_perm=128, seed=1)
        made.update_batch({" ".join(words[i : i + 5]).encode() for i in range(max(len(words) - 4, 1))})
        sketches.append(made.hashvalues)
    return {"key": keys, "sketch": sketches}


def main(given: str, folder: str, threads: str) -> None:
    import datasets
    import numpy as np
    from datasketch import MinHash, MinHashLSH

    out, processes = Path(folder), int(threads)
    datasets.disable_progress_bars()
    rows = datasets.load_dataset("json", data_files=given, split="train", cache_dir=str(out / "cache"))
    rows = rows.map(flattened, batched=True, num_proc=processes)
    rows = rows.filter(lambda texts: [bool(t) for t in texts], input_columns=["text"], batched=True, num_proc=processes)
    signed = rows.map(sketched, batched=True, num_proc=processes, remove_columns=["conversations", "text"])
    seen: set[str] = set()
    lsh = MinHashLSH(threshold=0.7, num_perm=128, params=(16, 8))
    keep = []
    for i, row in enumerate(signed.with_format("numpy")):
        if str(row["key"]) in seen:
            continue
        seen.add(str(row["key"]))
        values = np.asarray(row["sketch"], dtype=np.uint32)
        one = MinHash(num_perm=128, seed=1, hashvalues=values, scheme="affine32")
        if not lsh.query(one):  # the first of a group stays
            keep.append(i)
        lsh.insert(i, one, check_duplication=False)
    kept = rows.select(keep)
    kept.remove_columns(["text"]).to_parquet(str(out / "kept.parquet"))
    (out / "ids.txt").write_text("\n".join(kept["id"]), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
