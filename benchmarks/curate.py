"""Rows a second and memory of `curate`, on chats made from a seed, with the time that each operator took.

    python benchmarks/curate.py [--rows 200000] [--batch-rows 10000] [--threads 2]

The chats: 1 to 30 exchanges, words drawn by Zipf's law from made-up vocabularies in Latin, Cyrillic and Chinese
letters, 10% exact duplicates, 4% refusals, 3% with HTML and no-break spaces, 2% with roles out of order, 2% tiny.

On two cores of an AMD EPYC that other jobs shared, 200,000 chats with 560 MB of text: 34 CPU seconds, 50 by the clock,
565 MB of own memory (most of it while the kept rows are sorted).
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

OPERATORS = [
    "normalize",
    "roles",
    {"turns": {"min": 2, "max": 40}},
    {"length": {"min_words": 4, "max_chars": 40_000}},
    "boilerplate",
    "exact_dedup",
    "words",
    {"keep": "words >= 8"},
    {"split": {"test": 0.1}},
]
REFUSALS = ["I'm sorry, but I can't assist with that request.", "As an AI language model, I cannot provide that."]
PER_FILE = 20_000


def vocabulary(rng: random.Random, letters: str, low: int, high: int) -> list[str]:
    """Made-up words."""
    return ["".join(rng.choices(letters, k=rng.randint(low, high))) for _ in range(20_000)]


SCRIPTS = (
    (50, "abcdefghilmnoprstuvw", 2, 9, " ", "."),
    (20, "abcdefghilmnoprstuvéüñ", 2, 9, " ", "."),
    (20, "абвгдежзиклмнопрстуя", 2, 9, " ", "."),
    (10, "的一是不了人我在有他这中大来上国个到说们", 1, 2, "", "。"),
)
"""Share in percent, letters, shortest and longest word, what stands between words and after a sentence."""


def sentences(rng: random.Random) -> list[list[str]]:
    """Sentences in each script."""
    made = []
    for _, letters, low, high, space, stop in SCRIPTS:
        words = vocabulary(rng, letters, low, high)
        weights = [1 / (rank + 2) for rank in range(len(words))]
        drawn = iter(rng.choices(words, weights, k=400_000))
        made.append([space.join(next(drawn) for _ in range(rng.randint(6, 18))) + stop for _ in range(20_000)])
    return made


def chats(count: int, seed: int) -> Iterator[tuple[int, list[dict[str, str | None]]]]:
    """(index, messages) of each chat."""
    rng = random.Random(seed)
    pool = sentences(rng)
    seen: list[list[dict[str, str | None]]] = []
    for index in range(count):
        chance = rng.random()
        if chance < 0.1 and seen:
            yield index, rng.choice(seen)
            continue
        said = rng.choices(pool, [script[0] for script in SCRIPTS])[0]
        turns = 2 * min(30, max(1, round(rng.lognormvariate(0.6, 0.75))))
        texts = []
        for turn in range(turns):
            size = max(1, round(rng.lognormvariate(*((0.6, 0.8) if turn % 2 == 0 else (2.0, 0.8)))))
            texts.append(" ".join(rng.choices(said, k=min(size, 200))))
        roles = ["user", "assistant"] * (turns // 2)
        if chance < 0.14:
            texts[-1] = f"{rng.choice(REFUSALS)} {texts[-1][:80]}"
        elif chance < 0.17:
            texts[-1] = "<p>" + texts[-1].replace(" ", "\u00a0") + "</p>  \r\n\r\n\r\n"
        elif chance < 0.19:
            roles[rng.randrange(turns)] = "assistant"
        elif chance < 0.21:
            texts, roles = [f"hi {index}", "Hello!"], roles[:2]
        messages = [{"role": r, "content": t, "extra": None} for r, t in zip(roles, texts, strict=True)]
        if len(seen) < 5000:
            seen.append(messages)
        yield index, messages


def generate(folder: Path, count: int, seed: int) -> int:
    """Writes the chats as a data set; returns the bytes of their text."""
    import polars as pl

    from curation import table
    from curation.conversation import Conversation
    from curation.frame import SCHEMAS, with_ids

    schema = pl.Schema(SCHEMAS[Conversation])
    size = 0

    def frames() -> Iterator[pl.DataFrame]:
        nonlocal size
        rows = []
        for index, messages in chats(count, seed):
            size += sum(len(str(m["content"]).encode()) for m in messages)
            source = {"dataset": "made", "file": "", "digest": "seed", "index": index, "license": "cc0-1.0"}
            rows.append({"id": "", "messages": messages, "source": source})
            if len(rows) == PER_FILE or index == count - 1:
                yield with_ids(pl.DataFrame(rows, schema=schema))
                rows = []

    table.write(folder, frames())
    return size


class Memory(threading.Thread):
    """Watches the peak of the memory that is this process's own: pages mapped from files can be given back."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.ended = 0, threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.02):
            lines = Path("/proc/self/status").read_text().splitlines()
            self.peak = max(self.peak, int(next(x for x in lines if x.startswith("RssAnon")).split()[1]))


def measure(given: Path, out: Path, batch_rows: int) -> None:
    """Curates once and prints what it took."""
    from curation.engines.local import Local
    from curation.operator import OPERATOR_FIELD
    from curation.pipeline import curate

    memory = Memory()
    memory.start()
    began, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    curated = curate(given, [OPERATOR_FIELD.parse(o) for o in OPERATORS], engine=Local(batch_rows), work=out / "work")
    curating = time.perf_counter() - began
    kept = curated.kept.write(out / "kept")
    dropped = curated.dropped.write(out / "dropped")
    wall, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    memory.ended.set()
    seconds = used.ru_utime + used.ru_stime - cpu.ru_utime - cpu.ru_stime
    for entry in curated.ledger.entries:
        lost = ", ".join(f"{n} {word}" for word, n in entry.dropped.items())
        print(f"  {entry.operator:20} {entry.seconds:7.2f} s  {entry.kept:9,} kept  {lost}")
    rows = curated.ledger.entries[0].made
    print(
        f"{rows:,} rows, {kept:,} kept, {dropped:,} dropped: {wall:.1f} s ({curating:.1f} until sorting), "
        f"{rows / wall:,.0f} rows/s, {seconds:.1f} CPU s, peak {memory.peak / 1024:,.0f} MB of own memory"
    )


def main() -> None:
    """Generates, then measures in a fresh process, so that what generating took is not counted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--batch-rows", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.environ["POLARS_MAX_THREADS"] = str(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given"
        child = os.fork()
        if child == 0:
            size = generate(given, args.rows, args.seed)
            how = f"batches of {args.batch_rows:,}, {args.threads} threads"
            print(f"{args.rows:,} chats, {size / 1e6:,.0f} MB of text, {how}", flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            raise SystemExit("generating failed")
        measure(given, Path(folder), args.batch_rows)


if __name__ == "__main__":
    main()
