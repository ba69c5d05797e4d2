"""`RESULTS.md` from what was measured."""

from __future__ import annotations

from typing import Any


def written(kept: dict[str, Any]) -> str:
    """The page; parts that were not measured are named as such."""
    found = {name: part["found"] for name, part in kept.items()}
    lines = [
        "# The labeling server and its client",
        "",
        "`rlhf label serve` on its own SQLite, and the client that the steps use, over HTTP on one machine.",
        "",
        f"Machine: {'; '.join(sorted({part['machine'] for part in kept.values()}))}.",
    ]
    lines += [f"{note}." for note in sorted({part["note"] for part in kept.values() if part["note"]})]
    if "ready" in found:
        part = found["ready"]
        lines += _table(
            "Ready",
            ["", "seconds", "wanted"],
            [
                ["a new folder", f"{part['first']:.1f}", "at most 15"],
                ["a folder that has been there", f"{part['again']:.1f}", "at most 15"],
            ],
        )
    if "team" in found:
        part = found["team"]
        lines += _table(
            f"{part['people']} people at once",
            ["", "median ms", "p95 ms", "longest ms", "wanted"],
            [
                ["submit", *_ms(part["submit"]), "p95 at most 1,000"],
                ["a page of ten pending records", *_ms(part["page"]), ""],
                ["how far I am, how far all are", *_ms(part["count"]), ""],
            ],
        )
        lines += [
            "",
            f"{part['submits']:,} submits, {part['rate']:.1f} a second, {part['cpu'] * 1000:.0f} ms of CPU each with "
            "all that the UI asks besides; nobody stops to think. "
            f"Errors: {part['errors']}; lost: {part['lost']}; twice: {part['twice']}; records with a wrong status: "
            f"{part['miscounted']}.",
        ]
    if "bulk" in found:
        wanted = {"push": "at least 500"}
        rows = [[name, f"{rate:,.0f}", wanted.get(name, "at least 2,000")] for name, rate in found["bulk"].items()]
        lines += _table("10,000 records up and back", ["", "records a second", "wanted"], rows)
    sizes = [name for name in ("queries_10k", "queries_100k") if name in found]
    if sizes:
        wanted = {"queries_10k": "10,000 records (p95 at most 150)", "queries_100k": "100,000 (at most 500)"}
        head = ["ms", *(f"{what}: {wanted[name]}" for name in sizes for what in ("median", "p95"))]
        rows = [
            [asked, *(f"{found[name][asked][what] * 1000:,.0f}" for name in sizes for what in ("median", "p95"))]
            for asked in found[sizes[0]]
        ]
        lines += _table("What the UI asks", head, rows)
    if "kills" in found:
        part = found["kills"]
        lines += [
            "",
            "## `kill -9`",
            "",
            f"{', '.join(f'{n} of {whom}' for whom, n in sorted(part['kills'].items()))}, at random moments while "
            f"three people answer and a client pulls: {part['taken']:,} answers taken, {part['missing']} missing in "
            f"the log, {part['twice']} there twice.",
        ]
    if left := [
        name for name in ("ready", "team", "bulk", "queries_10k", "queries_100k", "kills") if name not in found
    ]:
        lines += ["", f"Not measured here: {', '.join(left)}."]
    lines += ["", "## Again", "", "`python benchmarks/labeling/run.py`; `--only team,bulk` measures a part."]
    return "\n".join(lines) + "\n"


def _table(title: str, head: list[str], rows: list[list[str]]) -> list[str]:
    return [
        "",
        f"## {title}",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _ms(spread: dict[str, float]) -> list[str]:
    return [f"{spread[what] * 1000:,.0f}" for what in ("median", "p95", "longest")]
