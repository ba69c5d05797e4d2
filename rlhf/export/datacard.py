"""The card of a released data set, made from manifests: what is in it, where it came from, what was done to it and why.

It names no path of a machine and no time: the same recipe gives the same card.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from curation.ledger import Ledger
from rlhf.export.card import licenses, no_path, shown_name, who

Manifests = Mapping[str, Mapping[str, Any]]

_TRAINERS = {
    ("messages",): "TRL's `SFTTrainer` takes it as it is",
    ("prompt", "chosen", "rejected"): "TRL's `DPOTrainer` and `RewardTrainer` take it as it is",
    ("prompt", "completion"): "TRL's `KTOTrainer` takes it as it is",
    ("prompt",): "prompts without answers, as TRL's online trainers take them",
}
_HIDDEN = {"op", "revision", "on", "as_"}


def facts_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What `curation.json` says of one step: no path of a machine, no time."""
    ledger = Ledger.model_validate(manifest.get("ledger") or {})
    for entry in ledger.entries:
        entry.seconds = 0.0
    for reading in ledger.readings:
        reading.source = no_path(reading.source)
    sources = {place: shown_name(str(written)) for place, written in (manifest.get("sources") or {}).items()}
    return {
        "step": manifest["step"],
        "digest": manifest["output"]["digest"],
        "rows": manifest["output"].get("rows"),
        "settings": manifest["settings"],
        "sources": sources,
        "ledger": ledger.model_dump(mode="json"),
        "warnings": [no_path(text) for text in manifest.get("warnings") or []],
    }


def card(
    facts: Mapping[str, Any],
    behind: Manifests,
    configs: Mapping[str, Mapping[str, Sequence[str]]],
    columns: Sequence[str],
) -> str:
    """The text of `README.md`.

    Args:
        facts: What `curation.json` holds.
        behind: Manifests of the steps that the rows stand on.
        configs: Configuration -> split -> patterns of files.
        columns: Those with the messages.
    """
    parts = [
        _front(behind, configs),
        _head(facts, columns),
        _loading(configs),
        _sources(behind),
        _deciders(behind),
        _ways(facts),
        _settings(behind),
        _warnings(facts),
    ]
    return "\n".join(part for part in parts if part)


def _front(behind: Manifests, configs: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    known = licenses(behind)
    lines = ["---", "license: " + (known[0] if len(known) == 1 and known[0] != "unknown" else "other")]
    lines += ["tags: [rlhf-curation, trl]", "configs:"]
    for config, splits in configs.items():
        lines.append(f"- config_name: {config}")
        if config == "default":
            lines.append("  default: true")
        lines.append("  data_files:")
        for split, patterns in splits.items():
            lines += [f"  - split: {split}", f"    path: {json.dumps(list(patterns))}"]
    return "\n".join([*lines, "---", ""])


def _head(facts: Mapping[str, Any], columns: Sequence[str]) -> str:
    lines = [
        f"# {facts['name']}",
        "",
        f"{facts['kind'].capitalize()}; {_TRAINERS.get(tuple(columns), 'see below')}.",
        "",
    ]
    lines += ["| split | rows |", "|---|---|"]
    lines += [f"| {split} | {n:,} |" for split, n in facts["splits"].items()]
    lines += [f"| ties (left out of the splits) | {facts['ties']:,} |"] if facts["ties"] else []
    return "\n".join([*lines, ""])


def _loading(configs: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    lines = ["## Load it", "", "```python", "from datasets import load_dataset", ""]
    lines += ['rows = load_dataset("FOLDER")']
    for config, splits in configs.items():
        if config != "default":
            lines.append(f'{config} = load_dataset("FOLDER", "{config}", split="{next(iter(splits))}")')
    return "\n".join([*lines, "```", ""])


def _deciders(behind: Manifests) -> str:
    lines = []
    for name, manifest in behind.items():
        if by := manifest.get("decided_by"):
            heard = manifest.get("metrics") or {}
            counts = f": {_of(heard['answers'], heard['annotators'])}" if "annotators" in heard else ""
            lines.append(f"- `{name}` ({manifest['step']}): {who(by)}{counts}")
    return "\n".join(["## Who decided", "", *lines, ""]) if lines else ""


def _of(answers: int, people: int) -> str:
    """`38 answers of 2 people`."""
    return f"{answers:,} answer{'' if answers == 1 else 's'} of {people:,} {'person' if people == 1 else 'people'}"


def _sources(behind: Manifests) -> str:
    rows = []
    for name, manifest in behind.items():
        if manifest["step"] != "ingest":
            continue
        ledger = Ledger.model_validate(manifest.get("ledger") or {})
        entries = manifest["settings"].get("datasets") or []
        stated = [str(entry.get("license") or "unknown") for entry in entries]
        for reading in ledger.readings:
            lost = ", ".join(f"{word} {n:,}" for word, n in reading.malformed.items())
            licence = stated[0] if len(set(stated)) == 1 else "see settings"
            rows.append(
                f"| {name} | {_cell(no_path(reading.source))} | {licence} | {reading.records:,} | {reading.rows:,} "
                f"| {lost} |"
            )
    head = ["| step | file | licence | records | rows | not read |", "|---|---|---|---|---|---|"]
    return "\n".join(["## Sources", "", *head, *rows, ""]) if rows else ""


def _ways(facts: Mapping[str, Any]) -> str:
    lines: list[str] = []
    for name, step in facts["steps"].items():
        ledger = Ledger.model_validate(step["ledger"])
        if not ledger.entries:
            continue
        lines += [f"### {name}", "", "| operator | given | kept | dropped | why |", "|---|---|---|---|---|"]
        for e in ledger.entries:
            why = ", ".join(f"{word} {n:,}" for word, n in e.dropped.items())
            if e.children:
                why = "; ".join(filter(None, (why, f"{e.children:,} split off from {e.replaced:,}")))
            if e.edited:
                why = "; ".join(filter(None, (why, f"{e.edited:,} edited")))
            lines.append(
                f"| {_cell(e.operator)} | {e.made:,} | {e.kept:,} | {sum(e.dropped.values()):,} | {_cell(why)} |"
            )
        lines.append("")
    return "\n".join(["## The way of the rows", "", *lines]) if lines else ""


def _settings(behind: Manifests) -> str:
    lines: list[str] = []
    for name, manifest in behind.items():
        operators = manifest["settings"].get("operators")
        if operators is not None:
            lines += [f"{name}:", *(f"  - {_operator(operator)}" for operator in operators)]
    return "\n".join(["## Settings", "", "```yaml", *lines, "```", ""]) if lines else ""


def _operator(settings: Mapping[str, Any]) -> str:
    """An operator as a recipe would have it, with what is set and is not the default."""
    op = str(settings.get("op"))
    shown = {k: v for k, v in settings.items() if k not in _HIDDEN and v not in (None, {}, []) and v != _default(op, k)}
    if settings.get("on"):
        shown["on"] = settings["on"]
    if settings.get("as_"):
        shown["as"] = settings["as_"]
    return f"{op}: {json.dumps(shown, ensure_ascii=False)}" if shown else op


def _default(op: str, name: str) -> Any:
    from curation.errors import RecipeError
    from curation.registry import OPERATORS, lookup

    try:
        field = lookup(OPERATORS, op).model_fields.get(name)
    except RecipeError:
        return None
    return field.get_default(call_default_factory=True) if field is not None else None


def _warnings(facts: Mapping[str, Any]) -> str:
    found = [f"- `{name}`: {text}" for name, step in facts["steps"].items() for text in step["warnings"]]
    return "\n".join(["## Warnings of the steps", "", *found, ""]) if found else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
