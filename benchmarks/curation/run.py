"""This project beside its peers on one slice: read chats, filter, drop exact and near duplicates, write what stays.

    python benchmarks/curation/run.py                                  # everything; hours, and some 20 GB of disk
    python benchmarks/curation/run.py --only ours_20k,with_datatrove --rounds 1
    python benchmarks/curation/run.py --rows 20000 --only with_daft    # at another size, beside what is usual

Costs are CPU seconds of the whole tree of processes (`measured.py`), the median of interleaved rounds: one run of each
after the other, then again. Survivors are counted in the same run (`survivors.py`). Each peer runs from its own script
in `peers/`, in a virtual environment that is made here with what the script's `REQUIRES` says; one that cannot be
installed is a row that says so. What was measured is kept in the cache folder, so that parts add up; `RESULTS.md` shows
all of it.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import chats
import polars as pl
from measured import Cost, measured
from results import written
from survivors import survivors

HERE = Path(__file__).parent
THOUSAND = 1000


@dataclass(frozen=True)
class Job:
    """Something that is measured."""

    name: str
    script: str
    rows: int
    arguments: tuple[str, ...] = ()
    ours: bool = False
    """Runs in this project's environment."""


JOBS = (
    Job("ours_20k", "ours.py", 20 * THOUSAND, ours=True),
    Job("with_data_juicer", "with_data_juicer.py", 20 * THOUSAND),
    Job("with_datatrove", "with_datatrove.py", 20 * THOUSAND),
    Job("ours_200k", "ours.py", 200 * THOUSAND, ours=True),
    Job("with_datasets", "with_datasets.py", 200 * THOUSAND),
    Job("with_daft", "with_daft.py", 200 * THOUSAND),
    Job("ours_200k_on_ray", "ours.py", 200 * THOUSAND, ("ray",), ours=True),
    Job("ours_1m", "ours.py", 1000 * THOUSAND, ours=True),
    Job("bare_read", "bare_read.py", 1000 * THOUSAND, ours=True),
)


def environment(script: Path, cache: Path) -> tuple[Path | None, str]:
    """(Python of the peer's environment, or None; why not)."""
    wanted = requires(script)
    folder = cache / "venvs" / script.stem
    python, mark = folder / "bin" / "python", folder / "made.json"
    if mark.exists() and json.loads(mark.read_text()) == wanted:
        return python, ""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    command = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        return None, f"could not be installed: {lines[-1][:160] if lines else 'pip said nothing'}"
    mark.write_text(json.dumps(wanted))
    return python, ""


def requires(script: Path) -> list[str]:
    """What a peer's script says that it needs, without running it."""
    for statement in ast.parse(script.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "REQUIRES":
            return list(ast.literal_eval(statement.value))
    raise LookupError(f"{script} has no REQUIRES")


def data(rows: int, cache: Path, processes: int) -> Path:
    """A file of so many chats, made when it is not there. More than 200,000 are the first 200,000 in other letters."""
    path = cache / f"chats-{rows}.jsonl"
    if not path.exists():
        part = path.with_name(f"part-{rows}.jsonl")
        if rows > chats.DRAWN:
            chats.repeat(data(chats.DRAWN, cache, processes), part, rows)
        else:
            chats.write(rows, part, processes=processes)
        part.with_suffix(".truth.parquet").rename(path.with_suffix(".truth.parquet"))
        part.rename(path)
    return path


def run(job: Job, python: Path, given: Path, threads: int, timeout: float) -> dict[str, Any]:
    """One run: its cost, what survived, and figures that it wrote down itself."""
    with tempfile.TemporaryDirectory(prefix=f"{job.name}-", dir=given.parent) as folder:
        log = Path(folder) / "log.txt"
        command = [str(python), str(HERE / "peers" / job.script), str(given), folder, str(threads), *job.arguments]
        cost: Cost = measured(command, log, timeout)
        found: dict[str, Any] = asdict(cost)
        if cost.code and cost.wall > timeout:
            return {**found, "error": f"not finished: stopped after {cost.wall:.0f} s and {cost.cpu:.0f} CPU s"}
        if cost.code:
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return {**found, "error": (said or ["nothing was said"])[-1][:200]}
        ids = Path(folder) / "ids.txt"
        if ids.exists():
            truth = pl.read_parquet(given.with_suffix(".truth.parquet"))
            found["survivors"] = survivors(truth, ids.read_text(encoding="utf-8").split("\n")).to_dicts()
        figures = Path(folder) / "figures.json"
        if figures.exists():
            found["figures"] = json.loads(figures.read_text(encoding="utf-8"))
        return found


def main() -> None:
    """Measures what was asked for, and writes the table anew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help=f"names, with commas between them: {', '.join(job.name for job in JOBS)}")
    parser.add_argument("--rounds", type=int, default=3, help="0: nothing is measured, the page alone is written anew")
    parser.add_argument("--note", default="", help="a sentence for the page, about the circumstances")
    parser.add_argument("--rows", type=int, help="so many rows for all, whatever is usual: kept beside it")
    parser.add_argument("--threads", type=int, default=2, help="threads or processes of each")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds that one run may take")
    parser.add_argument("--results", type=Path, default=HERE / "RESULTS.md", help="the page that is written")
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rlhf-bench-curation"
    parser.add_argument("--cache", type=Path, default=default, help="for environments, data and what was measured")
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    wanted = args.only.split(",") if args.only else [job.name for job in JOBS]
    if unknown := set(wanted) - {job.name for job in JOBS}:
        parser.error(f"no such name: {', '.join(sorted(unknown))}")
    jobs = [job if args.rows is None else replace(job, rows=args.rows) for job in JOBS if job.name in wanted]
    names = {job: job.name if args.rows is None else f"{job.name}@{args.rows}" for job in jobs}
    kept = args.cache / "measured.json"
    known: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    ready: list[tuple[Job, Path]] = []
    for job in jobs if args.rounds else []:
        script = HERE / "peers" / job.script
        python, why = (Path(sys.executable), "") if job.ours else environment(script, args.cache)
        known[names[job]] = {"rows": job.rows, "threads": args.threads, "runs": [], "error": why}
        if python:
            ready.append((job, python))
        else:
            print(f"{job.name}: {why}", flush=True)
    for number in range(args.rounds):
        for job, python in ready:
            found = run(job, python, data(job.rows, args.cache, args.threads), args.threads, args.timeout)
            known[names[job]]["runs"].append(found)
            kept.write_text(json.dumps(known, indent=1))
            said = found.get("error") or f"{found['cpu']:.1f} CPU s, {found['wall']:.1f} s, {found['peak']:,.0f} MB"
            print(f"round {number + 1}: {job.name}: {said}", flush=True)
    kept.write_text(json.dumps(known, indent=1))
    for job, _ in ready:
        costs = [r["cpu"] for r in known[names[job]]["runs"] if not r.get("error")]
        if costs:
            print(f"{job.name}: median {median(costs):.1f} CPU s", flush=True)
    args.results.write_text(written(known, args.note), encoding="utf-8")


if __name__ == "__main__":
    main()
