"""data-juicer: its length filter, exact deduplication and MinHash, run by its default executor.

python with_data_juicer.py chats.jsonl FOLDER THREADS

It knows no chats: they are flattened to one text each before, which is counted too (a second for 20,000 rows).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

REQUIRES = ["py-data-juicer==1.6.1", "aiohttp"]


def main(given: str, folder: str, threads: str) -> None:
    from flat import records

    out = Path(folder)
    flattened = out / "flat.jsonl"
    with flattened.open("w", encoding="utf-8") as file:
        for record, text in records(given):
            file.write(json.dumps({"id": record["id"], "text": text}, ensure_ascii=False) + "\n")
    process = [
        {"text_length_filter": {"min_len": 100, "max_len": 100_000}},
        {"document_deduplicator": {"lowercase": True, "ignore_non_character": False}},
        {
            "document_minhash_deduplicator": {
                "tokenization": "space",
                "window_size": 5,
                "lowercase": True,
                "num_permutations": 128,
                "jaccard_threshold": 0.7,
                "num_bands": 16,
                "num_rows_per_band": 8,
            }
        },
    ]
    config = {
        "project_name": "slice",
        "dataset_path": str(flattened),
        "export_path": str(out / "kept" / "kept.jsonl"),
        "np": int(threads),
        "open_tracer": False,
        "use_cache": False,
        "process": process,
    }
    path = out / "slice.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    os.environ["HF_HOME"] = str(out / "cache")
    from data_juicer.config import init_configs
    from data_juicer.core import DefaultExecutor

    DefaultExecutor(init_configs(["--config", str(path)])).run()
    with (out / "kept" / "kept.jsonl").open(encoding="utf-8") as file:
        ids = [json.loads(line)["id"] for line in file]
    (out / "ids.txt").write_text("\n".join(ids), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
