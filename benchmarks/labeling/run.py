"""The labeling server and its client at the size that is asked of them.

    python benchmarks/labeling/run.py                       # everything; half an hour, and 2 GB of disk
    python benchmarks/labeling/run.py --only team,bulk      # a part
    python benchmarks/labeling/run.py --note "2 cores, nothing else running"

Each part has a server of its own in a new folder. What was measured is kept in the cache folder, so that parts add up;
`RESULTS.md` shows all of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import boards
import bulk
import kills
import queries
import team
from results import written
from served import Served, served

HERE = Path(__file__).parent


def ready(folder: Path) -> dict[str, Any]:
    """Seconds to the first answer: of a new folder, and of one that has been there."""
    first, again = [], []
    for n in range(3):
        with served(folder / str(n)) as server:
            first.append(server.ready_s)
        with served(folder / str(n)) as server:
            again.append(server.ready_s)
    return {"first": median(first), "again": median(again)}


def at_once(folder: Path) -> dict[str, Any]:
    """25 people, 40 answers each, none of whom stops to think."""
    with served(folder / "home") as server:
        owner = server.session()
        dataset = boards.made(owner, "team", min_submitted=3)
        boards.pushed(owner, dataset, boards.records(2000))
        before = _cpu(server)
        said = team.work(server.people(25), dataset, 40)
        spent = _cpu(server) - before
        items = []
        while page := owner.made("GET", f"datasets/{dataset}/records?limit=500&offset={len(items)}&include=responses")[
            "items"
        ]:
            items += page
        kept = sum(len(record["responses"]) for record in items)
        wrong = sum((len(r["responses"]) >= 3) != (r["status"] == "completed") for r in items)
    return {
        "people": 25,
        "submits": len(said.given),
        "errors": sum(n for code, n in said.codes.items() if code >= 300),
        "lost": len(said.given) - kept,
        "twice": len(said.given) - len(set(said.given)),
        "miscounted": wrong,
        "submit": _spread(said.submits),
        "page": _spread(said.pages),
        "count": _spread(said.counts),
        "rate": len(said.given) / said.wall,
        "cpu": spent / len(said.given),
    }


def in_bulk(folder: Path) -> dict[str, Any]:
    """10,000 records up and back."""
    with served(folder / "home") as server:
        return bulk.measured(server, folder / "labels", 10_000)


def asked(count: int) -> Callable[[Path], dict[str, Any]]:
    """What the UI asks of so many records."""

    def part(folder: Path) -> dict[str, Any]:
        with served(folder / "home") as server:
            dataset, people = queries.filled(server, count)
            queries.timed(people[0], dataset, 1)
            return {name: _spread(times) for name, times in queries.timed(people[0], dataset, 20).items()}

    return part


def killed(folder: Path) -> dict[str, Any]:
    """20 kills at random moments."""
    rng = random.Random(7)
    found = kills.session(folder, [rng.choice(kills.WHOM) for _ in range(20)], count=2000, seed=7)
    return {**asdict(found), "missing": len(found.missing), "twice": len(found.twice)}


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "ready": ready,
    "team": at_once,
    "bulk": in_bulk,
    "queries_10k": asked(10_000),
    "queries_100k": asked(100_000),
    "kills": killed,
}


def _spread(seconds: list[float]) -> dict[str, float]:
    return {"median": median(seconds), "p95": team.percentile(seconds, 0.95), "longest": max(seconds)}


def _cpu(server: Served) -> float:
    """CPU seconds of the server so far."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    about = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next((line.split(":")[1].strip() for line in about.splitlines() if line.startswith("model name")), "?")
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help="parts, by comma")
    parser.add_argument("--note", default="", help="what else the machine was doing")
    args = parser.parse_args()
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rlhf-curation" / "labeling-benchmark.json"
    )
    kept = json.loads(cache.read_text(encoding="utf-8")) if cache.exists() else {}
    for name in args.only.split(","):
        load, started = os.getloadavg()[0], time.monotonic()
        print(f"== {name}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            kept[name] = {"found": PARTS[name](Path(folder)), "machine": _machine(), "note": args.note, "load": load}
        print(json.dumps(kept[name]["found"], indent=1), f"{time.monotonic() - started:.0f} s", flush=True)
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        (HERE / "RESULTS.md").write_text(written(kept), encoding="utf-8")


if __name__ == "__main__":
    main()
