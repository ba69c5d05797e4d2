"""Rows that left a step, to look at: what an operator dropped and why, and what could not be read at all.

Both lie beside the step's artifact, named by its manifest. A word filters: an operator (by name or by title), or a
reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from curation.errors import RecipeError, UserError, did_you_mean

if TYPE_CHECKING:
    import polars as pl

    from rlhf.recipe.manifest import Manifest
    from rlhf.recipe.store import Store

_LINES, _CHARACTERS = 4, 320
"""How much of one message is shown."""


def show(name: str, manifest: Manifest, store: Store, what: str, word: str, limit: int, as_json: bool) -> int:
    """Prints the rows; 0.

    Args:
        name: The step's name.
        what: `dropped` or `malformed`.
        word: An operator or a reason; empty for all.
        limit: Rows to print; 0 for all.

    Raises:
        RecipeError: the word is neither an operator nor a reason of the step.
    """
    counts = _counts(manifest, what)
    wanted = [key for key in counts if not word or word in _names(key)]
    if word and counts and not wanted:
        known = sorted({n for key in counts for n in _names(key)})
        raise RecipeError(f"{name} {_verb(what)} nothing for {word!r}", hint=did_you_mean(word, known))
    total = sum(counts[key] for key in wanted)
    rows = _rows(manifest, store, what, wanted, limit) if total else []
    if as_json:
        print(json.dumps({"step": name, "what": what, "total": total, "rows": rows}, indent=1, ensure_ascii=False))
        return 0
    if not total:
        print(f"{name}: nothing was {what}")
        return 0
    lines = [f"{name}: {total:,} {'row' if what == 'dropped' else 'record'}{'s' * (total != 1)} {what}"]
    lines += [f"  {counts[key]:>9,}  {': '.join(key)}" for key in wanted]
    print("\n".join(lines))
    for row in rows:
        print("\n" + "\n".join(_dropped(row) if what == "dropped" else _malformed(row)))
    if len(rows) < total:
        print(f"\n{len(rows):,} of {total:,} are shown: --limit N shows more, --limit 0 all")
    return 0


def _verb(what: str) -> str:
    return "dropped" if what == "dropped" else "refused"


def _counts(manifest: Manifest, what: str) -> dict[tuple[str, str], int]:
    """(operator or source, reason) -> rows, as the ledger has them."""
    ledger = manifest.ledger
    found: dict[tuple[str, str], int] = {}
    if ledger and what == "dropped":
        for entry in ledger.entries:
            for reason, n in entry.dropped.items():
                key = (entry.operator, reason)
                found[key] = found.get(key, 0) + n
    elif ledger:
        for reading in ledger.readings:
            for reason, n in reading.malformed.items():
                found[reading.source, reason] = n
    return found


def _names(key: tuple[str, str]) -> set[str]:
    """What may be typed for an operator and a reason: `keep(words >= 2)` is also `keep`."""
    by, reason = key
    return {by, by.partition("(")[0], reason}


def _rows(
    manifest: Manifest, store: Store, what: str, wanted: list[tuple[str, str]], limit: int
) -> list[dict[str, Any]]:
    import polars as pl

    from curation import table

    made = manifest.side.get(what)
    if made is None:  # the ingest step counts what `fraction` leaves out, and keeps no copy of it
        return []
    folder = store.artifact(made.digest)
    if not folder.is_dir():
        raise UserError(f"the {what} rows are no longer in the store", hint=f"looked in {folder}")
    lazy = table.scan(folder)
    by = ("dropped_by", "reason") if what == "dropped" else ("file", "reason")
    chosen = pl.lit(False)
    for first, reason in wanted:
        chosen = chosen | ((pl.col(by[0]) == first) & (pl.col("reason") == reason))
    lazy = lazy.filter(chosen)
    frame = (lazy.head(limit) if limit else lazy).collect()
    return frame.to_dicts() if what == "malformed" else [*_as_people_read(frame)]


def _as_people_read(frame: pl.DataFrame) -> Iterable[dict[str, Any]]:
    from curation.frame import to_rows

    evidence = frame["evidence"] if "evidence" in frame.columns else [None] * len(frame)
    for row, by, reason, said in zip(to_rows(frame), frame["dropped_by"], frame["reason"], evidence, strict=True):
        found: dict[str, Any] = {"dropped_by": by, "reason": reason, "evidence": said, "id": row.id}
        found["source"] = {"dataset": row.source.dataset, "file": row.source.file, "index": row.source.index}
        if row.parent:
            found["parent"] = row.parent
        if row.scores:
            found["scores"] = dict(row.scores)
        for place in ("messages", "prompt", "chosen", "rejected"):
            turns = getattr(row, place, None)
            if turns is not None and (place != "prompt" or not hasattr(row, "messages")):
                found[place] = [m.to_dict() for m in turns]
        if hasattr(row, "answers"):
            found["answers"] = [a.content for a in row.answers]
        yield found


def _dropped(row: Mapping[str, Any]) -> list[str]:
    from rlhf.cli.table import colored

    source = row["source"]
    place = ", ".join(filter(None, (source["file"] or source["dataset"], f"record {source['index']}")))
    lines = [colored(f"{row['dropped_by']}: {row['reason']}", "yellow") + f"  {row['id']}  {_inert(place)}"]
    if row["evidence"]:
        lines.append(f"  {_inert(row['evidence'])}")
    if scores := row.get("scores"):
        lines.append("  " + ", ".join(f"{name} {value:.4g}" for name, value in scores.items()))
    for name in ("messages", "prompt", "chosen", "rejected"):
        for turn in row.get(name, ()):
            who = turn["role"] if name in ("messages", "prompt") else name
            lines += _said(who, turn["content"])
    for number, answer in enumerate(row.get("answers", ()), 1):
        lines += _said(f"answer {number}", answer)
    return lines


def _malformed(record: Mapping[str, Any]) -> list[str]:
    from rlhf.cli.table import colored

    head = colored(str(record["reason"]), "yellow") + f"  {_inert(record['file'])}, record {record['index']}"
    return [head, *_said("", record["raw"])]


def _said(who: str, text: str) -> list[str]:
    """One message, cut to a bearable length, under the name of who said it."""
    cut = text[:_CHARACTERS]
    lines = [_inert(line) for line in cut.split("\n")]
    if len(lines) > _LINES or len(text) > _CHARACTERS:
        lines = [*lines[:_LINES], f"[{len(text):,} characters]"]
    head = f"  {who}: " if who else "  "
    return [head + lines[0], *("    " + line for line in lines[1:])]


def _inert(text: str) -> str:
    """The text without characters that would do something to a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)
