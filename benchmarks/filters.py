"""CPU seconds of each filter on generated chats, one process each, with what it dropped.

python benchmarks/filters.py 20000
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

OPERATORS = [
    "boilerplate",
    {"language": {"keep": ["en", "vi"]}},
    {"language_score": {"languages": ["en"]}},
    "repetition",
    "wrong_format",
    {"blocklist": {"lists": ["alpaca"]}},
    "profanity",
    "toxicity",
    "homogeneity",
    {"license": {"allow": ["mit"], "unknown": "keep"}},
    {"length": {"min_words": 4, "max_chars": 40_000}},
    "turns",
    "roles",
]


def measure(arrow: str, written: str) -> None:
    """Runs one operator over the rows of a file and prints the CPU seconds."""
    import polars as pl

    from curation.engines.barriers import choose, table_of
    from curation.operator import OPERATOR_FIELD, Filter, Scorer, Selector

    operator = OPERATOR_FIELD.parse(json.loads(written))
    frame = pl.read_ipc(arrow)
    operator.prepare()
    before = _cpu()
    gone: dict[str, int] = {}
    for batch in frame.iter_slices(8192):
        if isinstance(operator, Filter):
            for word, n in operator.reasons(batch).drop_nulls().value_counts(name="n").iter_rows():
                gone[word] = gone.get(word, 0) + n
        elif isinstance(operator, Scorer):
            operator.score_frame(batch)
    if isinstance(operator, Selector):
        choose(operator, pl.concat([table_of(batch, operator) for batch in frame.iter_slices(8192)]))
    seconds = _cpu() - before
    print(f"{operator.op:16} {seconds:6.2f} CPU s  {len(frame) / seconds:9,.0f} rows/s  {gone or ''}")


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(count: int) -> None:
    """Makes the chats and measures each operator in a process of its own."""
    sys.path.insert(0, str(Path(__file__).parent / "curation"))
    from chats import chunks

    from curation.conversation import Conversation, Message
    from curation.frame import to_frame

    roles = {"human": "user", "gpt": "assistant"}
    records = [record for chunk in chunks(count) for record, _ in chunk]
    rows = [
        Conversation(messages=tuple(Message(roles[t["from"]], t["value"]) for t in record["conversations"]))
        for record in records
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chats.arrow")
        to_frame(rows, Conversation).write_ipc(path)
        print(f"{len(rows):,} chats, {path.stat().st_size / 1e6:.0f} MB, one thread")
        environment = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
        for operator in OPERATORS:
            subprocess.run([sys.executable, __file__, str(path), json.dumps(operator)], check=True, env=environment)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], sys.argv[2])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
