"""A data set as a folder that works without the store: `datasets.load_dataset(FOLDER)` opens it, TRL trains on it.

    data/train-00000.parquet ...   the rows, a split each (`rlhf.export.shape` says which columns)
    ties/ties-00000.parquet        pairs without a winner, which no trainer should see
    dropped/STEP-00000.parquet     what was taken out on the way, with operator, reason and evidence
    malformed/STEP-00000.parquet   records that could not be read, with file, index and reason
    README.md                      the card: counts, sources, licences, the way of the rows, settings
    curation.json                  the same for programs

Each folder is a configuration of the data set: `load_dataset(FOLDER, "dropped")`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from curation import table
from curation.conversation import Preference
from rlhf.export import datacard, shape

ROWS_PER_FILE = 50_000
MARK = "curation.json"
"""Its presence says that a folder is one of ours."""
FORMAT = 1


def write(
    out: Path, data: Path, part: str | None, behind: Mapping[str, Mapping[str, Any]], artifacts: Path, name: str
) -> dict[str, Any]:
    """Writes the folder; returns what `curation.json` holds.

    Args:
        out: An empty folder.
        data: Folder of the data set in the store, named by its digest.
        part: The split that is released; None: all.
        behind: The manifests of all steps that the data set stands on, itself included, as plain JSON.
        artifacts: Where the artifacts of these steps lie, by digest.
        name: What the data set is called.
    """
    form = shape.shape_of(data)
    splits, ties = _write_rows(out, data, part, form)
    configs: dict[str, dict[str, list[str]]] = {"default": {split: [f"data/{split}-*.parquet"] for split in splits}}
    if ties:
        configs["ties"] = {"ties": ["ties/ties-*.parquet"]}
    lost = {
        "dropped": _lost(out, behind, artifacts, "dropped"),
        "malformed": _lost(out, behind, artifacts, "malformed"),
    }
    for what, steps in lost.items():
        for step in steps:
            config = what if len(steps) == 1 else f"{what}_{step}"
            configs[config] = {what: [f"{what}/{step}-*.parquet"]}
    facts = {
        "format": FORMAT,
        "name": name,
        "kind": table.kind_name(table.scan(data).limit(0).collect()),
        "digest": data.name,
        "part": part,
        "splits": splits,
        "ties": ties,
        "dropped": sum(lost["dropped"].values()),
        "malformed": sum(lost["malformed"].values()),
        "steps": {step: datacard.facts_of(manifest) for step, manifest in behind.items()},
    }
    (out / MARK).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    card = datacard.card(facts, behind, configs, form.columns)
    (out / "README.md").write_text(card, encoding="utf-8")
    return facts


def _write_rows(out: Path, data: Path, part: str | None, form: shape.Shape) -> tuple[dict[str, int], int]:
    """Writes the splits; returns the rows of each, and how many pairs are ties."""
    names = [part] if part else [*table.parts(data)]
    whole = table.count(data)
    groups: list[tuple[str, pl.Expr]] = [(name, pl.col("split") == name) for name in names]
    if not part and sum(table.parts(data).values()) < whole:  # not split, or some of it is not
        groups.append(("rest" if names else "train", pl.col("split").is_null()))
    splits: dict[str, int] = {}
    for name, wanted in groups:
        rows = wanted & (pl.col("verdict") != "tie") if form.kind is Preference else wanted
        splits[name] = _files(out / "data", name, data, rows, form)
    if form.kind is not Preference:
        return {name: n for name, n in splits.items() if n} or splits, 0
    tied = pl.col("verdict") == "tie"
    return splits, _files(out / "ties", "ties", data, tied if part is None else tied & groups[0][1], form, empty=False)


def _files(
    folder: Path, name: str, data: Path, wanted: pl.Expr | None, form: shape.Shape, *, empty: bool = True
) -> int:
    """Writes the rows that are wanted as files of one name; returns how many there are."""
    held: list[pl.DataFrame] = []
    count = number = waiting = 0

    def flush() -> None:
        nonlocal number, waiting
        folder.mkdir(parents=True, exist_ok=True)
        shape.write(pl.concat(held), form, folder / f"{name}-{number:05d}.parquet")
        number, waiting = number + 1, 0
        held.clear()

    last = None
    for frame in shape.pieces(data, 10_000):
        rows = frame if wanted is None else frame.filter(wanted)
        last = frame
        if len(rows):
            held.append(rows)
            count, waiting = count + len(rows), waiting + len(rows)
        if waiting >= ROWS_PER_FILE:
            flush()
    if held:
        flush()
    elif not number and empty and last is not None:
        held.append(last.clear())
        flush()
    return count


def _lost(out: Path, behind: Mapping[str, Mapping[str, Any]], artifacts: Path, what: str) -> dict[str, int]:
    """Writes what the steps dropped or could not read; returns step -> rows."""
    found: dict[str, int] = {}
    for step, manifest in behind.items():
        made = (manifest.get("side") or {}).get(what)
        folder = artifacts / made["digest"] if made else None
        if folder is None or not folder.is_dir():
            continue
        if what == "dropped":
            found[step] = _files(out / what, step, folder, None, shape.shape_of(folder))
        else:
            (out / what).mkdir(exist_ok=True)
            frame = table.read(folder)
            frame.write_parquet(out / what / f"{step}-00000.parquet", compression="zstd")
            found[step] = len(frame)
    return found
