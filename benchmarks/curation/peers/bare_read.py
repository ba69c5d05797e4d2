"""Bare Polars, the version that this project uses: reads the file into a frame and does nothing with it. The floor.

python bare_read.py chats.jsonl FOLDER THREADS
"""

from __future__ import annotations

import os
import sys


def main(given: str, folder: str, threads: str) -> None:
    os.environ["POLARS_MAX_THREADS"] = threads
    import polars as pl

    print(f"{len(pl.read_ndjson(given)):,} rows")


if __name__ == "__main__":
    main(*sys.argv[1:])
