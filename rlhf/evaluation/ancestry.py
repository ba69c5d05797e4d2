"""Which steps an artifact stands on, by what they made: names may change, digests do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Manifests = Mapping[str, Mapping[str, Any]]
"""Step name -> its manifest as plain JSON, as a `Room` has them."""

GOLD = "gold"
"""Questions with known answers: a step asks them, and nothing of them is in what it makes."""
ROWS = ("conversations", "candidates", "preferences")


def ancestors(digests: Iterable[str], manifests: Manifests) -> dict[str, Mapping[str, Any]]:
    """The steps that made these artifacts, and all steps behind them."""
    makers: dict[str, list[str]] = {}
    for name, manifest in manifests.items():
        makers.setdefault(manifest["output"]["digest"], []).append(name)
    found: dict[str, Mapping[str, Any]] = {}
    todo = list(digests)
    while todo:
        for name in makers.get(todo.pop(), ()):
            if name not in found:
                found[name] = manifests[name]
                todo += [digest for place, digest, _ in inputs(manifests[name]) if place != GOLD]
    return {name: manifests[name] for name in manifests if name in found}


def inputs(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """(place in the settings, digest, part or None) of everything that a step read."""
    for place, identity in manifest["inputs"].items():
        digest, _, part = identity.partition(".")
        yield place, digest, part or None


def trained_on(digests: Iterable[str], manifests: Manifests) -> set[tuple[str, str | None]]:
    """(digest, part) of the data sets that went into the weights of these models, and of all models behind them.

    A part of None is what trainers take by default: `train` of a set that is split.
    """
    kinds = {m["output"]["digest"]: m["output"]["kind"] for m in manifests.values()}
    found: set[tuple[str, str | None]] = set()
    for manifest in ancestors(digests, manifests).values():
        if manifest["output"]["kind"] in ("policy", "reward model"):
            found |= {(digest, part) for _, digest, part in inputs(manifest) if kinds.get(digest) in ROWS}
    return found


def deciders(digests: Iterable[str], manifests: Manifests) -> set[str]:
    """Who decided which answer is better, in any preferences behind these artifacts: `people`, names of scorers."""
    found: set[str] = set()
    for manifest in ancestors(digests, manifests).values():
        if manifest["output"]["kind"] == "preferences":
            found |= {who for who in str(manifest.get("decided_by") or "").split(", ") if who}
    return found


def selectors(digests: Iterable[str], manifests: Manifests) -> set[str]:
    """The scorers that rows behind these artifacts were chosen by."""
    found: set[str] = set()
    for manifest in ancestors(digests, manifests).values():
        operators = [*(manifest["settings"].get("operators") or []), manifest["settings"].get("scorer")]
        found |= {o["op"] for o in operators if isinstance(o, Mapping) and "as_" in o}  # only scorers name a column
    return found
