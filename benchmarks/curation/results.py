"""What was measured, as a page: one table of costs, one of survivors, the machine, and how to measure it again."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

NAMES = {
    "ours_20k": "this project",
    "with_data_juicer": "data-juicer 1.6.1",
    "with_datatrove": "datatrove 0.10.1",
    "ours_200k": "this project",
    "with_datasets": "datasets.map + datasketch",
    "with_daft": "Daft 0.7.26, native",
    "ours_200k_on_ray": "this project on Ray",
    "ours_1m": "this project",
    "bare_read": "bare Polars `read_ndjson`",
}
_SIZES = dict.fromkeys(("ours_20k", "with_data_juicer", "with_datatrove"), "20,000")
_SIZES |= dict.fromkeys(("ours_200k", "with_datasets", "with_daft", "ours_200k_on_ray"), "200,000")
_SIZES |= dict.fromkeys(("ours_1m", "bare_read"), "1,000,000")
WANTED = {
    "with_data_juicer": "at least 15x",
    "with_datatrove": "at least 20x",
    "with_datasets": "at least 8x",
    "with_daft": "at least 1.4x",
    "ours_200k_on_ray": "at most 3x",
    "bare_read": "at least 1/8",
}
"""What a pipeline should take, beside this project on as many rows."""


def written(known: Mapping[str, Any], note: str = "") -> str:
    """The page.

    Args:
        known: What was measured, by job; `with_daft@20000` is that job at another size.
        note: About the circumstances.
    """
    parts = [
        "# Curation beside its peers",
        "One slice for all: read ShareGPT-like JSON lines, drop chats that are too short or too long, refuse or have "
        "roles out of order, drop exact and near duplicates (five words, Jaccard 0.7), write what stays. This project "
        "writes ids, ledger, dropped rows and digests besides. Ten languages, planted duplicates (`chats.py`).",
        f"Machine: {machine()}. {note}".strip(),
        "## Cost",
        "CPU seconds, user and system, of all processes: the median of the runs. Memory: anonymous, at its peak.",
        "\n".join(
            ["| rows | pipeline | CPU s | runs | beside ours | wanted | peak MB |", *_table_head(7), *costs(known)]
        ),
    ]
    parts += [text for text in (memory(known), absent(known)) if text]
    parts += [
        "## Survivors",
        "Counted in the same runs. Recall: of the copies that should go. Removed: of copies below the threshold, which "
        "should stay. Merged: of these, those that stayed in place of their whole group. Lost: groups of which nothing "
        "stayed, of all rows.",
        "data-juicer cuts words at spaces, as it does unless told otherwise: texts of fewer than five such words have "
        "no shingle, and all of them count as one. Daft cuts there too, datatrove by its English tokenizer.",
        "\n".join(
            ["| rows | pipeline | recall | lowest | in | removed | merged | lost |", *_table_head(8), *survived(known)]
        ),
        "## Again",
        "`make bench-curation` measures everything; `ARGS='--only ours_20k,with_datatrove --rounds 1'` a part. Made by "
        "`benchmarks/curation/run.py`.",
    ]
    return "\n\n".join(parts) + "\n"


def _table_head(columns: int) -> list[str]:
    return ["|" + "---|" * columns]


def machine() -> str:
    """Processor, cores, memory, system."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next((x.partition(":")[2].strip() for x in info.splitlines() if x.startswith("model name")), "unknown")
    kilobytes = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1])
    system = f"Linux, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {kilobytes / 1024**2:.0f} GB, {system}"


def cpu(known: Mapping[str, Any], name: str) -> float | None:
    """Median of the runs that ended well."""
    costs = [r["cpu"] for r in known.get(name, {}).get("runs", []) if not r.get("error")]
    return median(costs) if costs else None


def titles(known: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(key, job, name for people) of all that was measured; `with_daft@20000` is that job at another size."""
    for key in sorted(known, key=lambda k: (known[k]["rows"], list(NAMES).index(k.partition("@")[0]))):
        job = key.partition("@")[0]
        yield key, job, NAMES[job]


def costs(known: Mapping[str, Any]) -> Iterator[str]:
    """Lines of the table of costs."""
    ours = {known[key]["rows"]: key for key, job, _ in titles(known) if NAMES[job] == "this project"}
    for key, _, title in titles(known):
        one = known[key]
        rows = f"{one['rows']:,}"
        runs = [r for r in one["runs"] if not r.get("error")]
        if not runs:
            why = one.get("error") or next((r["error"] for r in one["runs"]), "not run")
            yield f"| {rows} | {title} | {why.replace('|', '/')} | | | | |"
            continue
        cost, peak = (median(r[what] for r in runs) for what in ("cpu", "peak"))
        beside, base = "", cpu(known, ours.get(one["rows"], ""))
        if base and key != ours[one["rows"]]:
            beside = f"{cost / base:.2f}x"
        wanted = WANTED.get(key.partition("@")[0], "")
        yield f"| {rows} | {title} | {cost:.1f} | {len(runs)} | {beside} | {wanted} | {peak:,.0f} |"


def absent(known: Mapping[str, Any]) -> str:
    """What was not measured at its usual size."""
    missing = [f"{title} ({size} rows)" for job, title in NAMES.items() if job not in known for size in [_SIZES[job]]]
    return f"Not measured here: {', '.join(missing)}." if missing else ""


def memory(known: Mapping[str, Any]) -> str:
    """What is said of memory, where it was measured."""
    said = []
    small, large = (known.get(name, {}).get("runs", []) for name in ("ours_200k", "ours_1m"))
    small, large = ([r for r in runs if not r.get("error")] for runs in (small, large))
    if small and large:
        ratio = median(r["peak"] for r in large) / median(r["peak"] for r in small)
        said.append(f"Memory at 1,000,000 rows is {ratio:.2f}x that at 200,000 (wanted: at most 1.2x).")
    states = [r["figures"]["state_bytes_per_row"] for one in known.values() for r in one["runs"] if "figures" in r]
    if states:
        said.append(f"Global state: {max(states):.0f} bytes a row at the largest barrier (wanted: at most 200).")
    return " ".join(said)


def survived(known: Mapping[str, Any]) -> Iterator[str]:
    """Lines of the table of survivors."""
    for key, _, title in titles(known):
        runs = [r for r in known[key]["runs"] if r.get("survivors")]
        if not runs:
            continue
        *languages, total = runs[-1]["survivors"]
        lowest = min(languages, key=lambda r: r["recall"])
        yield (
            f"| {known[key]['rows']:,} | {title} | {total['recall']:.4f} | {lowest['recall']:.4f} "
            f"| {lowest['language']} | {total['removed']:.2%} | {total['merged']:.2%} | {total['lost']:.4%} |"
        )
