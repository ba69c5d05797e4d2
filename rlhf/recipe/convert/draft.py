"""A recipe in the making: each key of another tool's config goes to a place in it, or to the list of what did not.

A tool is a table. A key of the table leads to a place (`To`), or to a sentence that says why it has none and what to
write instead; one that ends in `*` stands for all that begin so. What takes more than one key at once (batches, data
sets, what kind of adapter) is a function of the tool's, which runs before the table.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curation.registry import STEPS, lookup
from rlhf.recipe.fields import names

UNKNOWN = "no counterpart is known"
EMPTY = "empty, so there is nothing to carry"
PAIRS = frozenset({"dpo", "orpo", "cpo", "reward"})
"""Steps that learn from preferences."""
PROMPTED = frozenset({"grpo", "rloo", "ppo", "distill"})
"""Steps that answer prompts."""
_LORA = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "use_rslora", "use_dora", "init_lora_weights")
_QUANTIZED = ("load_in_4bit", "load_in_8bit", "bnb_4bit_quant_type", "use_bnb_nested_quant")
_SLICE = re.compile(r"(\w+)\[:(\d+)(%?)\]")


@dataclass(frozen=True)
class To:
    """Where a value goes: `base.KEY`, `train.KEY` (the step that trains), or a key of the recipe's top."""

    place: str
    change: Callable[[Any], Any] = lambda value: value
    """What becomes of the value. A `ValueError` says why it cannot be carried."""


@dataclass(frozen=True)
class Tool:
    """What is known of one tool."""

    name: str
    table: Mapping[str, To | str]
    method: Callable[[Mapping[str, Any]], str]
    """Config -> step. Raises `UserError` where the config trains nothing that there is a step for."""
    together: Callable[[Draft], None]
    """Takes what needs more than one key at once."""
    adapter: Callable[[Draft], None]
    """After the table: takes back what is said about adapters where all weights are trained."""
    defaults: Callable[[str], Mapping[str, Any]]
    """Step -> what the tool does where a key is not written and our default is another one, by the tool's keys."""


@dataclass
class Draft:
    """The parts of a recipe, and what has become of each key."""

    tool: Tool
    config: Mapping[str, Any]
    method: str
    processes: int
    folder: Path
    """Where the recipe will lie: paths in it count from there."""
    source: Path
    """The config's file."""
    top: dict[str, Any] = field(default_factory=dict)
    base: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    datasets: list[dict[str, Any]] = field(default_factory=list)
    operators: list[dict[str, Any]] = field(default_factory=list)
    carried: dict[str, str] = field(default_factory=dict)
    not_carried: dict[str, str] = field(default_factory=dict)

    def given(self, key: str) -> Any:
        """The value of a key; None where it is empty or not written."""
        value: Any = self.config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return None if value == "" else value

    def takes(self, key: str) -> bool:
        """Whether the step that trains has such a key."""
        return key in names(lookup(STEPS, self.method))

    def put(self, key: str, place: str, value: Any) -> None:
        """Writes a value where it belongs, or says that the method has no such place."""
        room, _, name = place.rpartition(".")
        if room == "train" and not self.takes(name):
            self.leave(key, f"the step `{self.method}` has no `{name}`")
            return
        {"": self.top, "base": self.base, "train": self.train}[room][name] = value
        self.carried[key] = self.full(place)

    def full(self, place: str) -> str:
        """A place as it is called in the recipe."""
        return f"steps.{self.method}.{place.removeprefix('train.')}" if place.startswith("train.") else place

    def leave(self, key: str, why: str) -> None:
        """Notes a key that is not carried over."""
        self.carried.pop(key, None)
        self.not_carried[key] = why

    def follow_table(self) -> None:
        """What no function took goes by the table."""
        for key, value in leaves(self.config, self.tool.table):
            if key in self.carried or key in self.not_carried or _inside(key, self.carried, self.not_carried):
                continue
            rule = _rule(self.tool.table, key)
            if value is None or value in ("", [], {}):
                self.leave(key, EMPTY)
            elif isinstance(rule, str):
                self.leave(key, rule)
            else:
                try:
                    self.put(key, rule.place, rule.change(value))
                except (ValueError, TypeError) as error:
                    self.leave(key, f"{_short(value)}: {error}")

    def batch(self, per_device: str, accumulation: str, default: int, total: str = "") -> None:
        """Per device x accumulation x processes is the batch of one optimizer step."""
        if total and (whole := self.given(total)):
            self.put(total, "train.global_batch_size", whole)
            for key in (per_device, accumulation):
                if key in self.config:
                    self.carried[key] = f"{self.full('train.global_batch_size')}, which `{total}` says as a whole"
            return
        found = [self.given(key) for key in (per_device, accumulation)]
        rows, times = (
            value if isinstance(value, int) and not isinstance(value, bool) else fallback
            for value, fallback in zip(found, (default, 1), strict=True)
        )
        self.train["global_batch_size"] = rows * times * self.processes
        place = f"{self.full('train.global_batch_size')} ({rows} x {times} x {self.processes})"
        for key, value in zip((per_device, accumulation), found, strict=True):
            if value is None or isinstance(value, int):
                self.carried.update({key: place} if key in self.config else {})
            else:
                self.leave(key, f"{_short(value)} is no number of rows, so {place} goes by the default")

    def local(self, path: str) -> str:
        """A path that is there, seen from here or from the config, as it is called from the recipe's folder."""
        if Path(path).is_absolute():
            return path
        for start in (Path.cwd(), self.source.parent):
            if (start / path).exists():
                return os.path.relpath(start / path, self.folder)
        return path

    def split(self, key: str, entry: dict[str, Any], written: str, alone: bool) -> None:
        """The split of a data set, whose slice (`train[:20%]`) becomes a share or a number of rows."""
        found = _SLICE.fullmatch(written)
        entry["split"] = found[1] if found else written
        if found and alone and found[3]:
            entry["fraction"] = int(found[2]) / 100
        elif found and alone:
            self.operators.append({"random": {"n": int(found[2])}})
        elif found:
            self.not_carried[f"{key} ({written})"] = (
                "the slice: with several data sets give each a `fraction`, which counts relative to the others"
            )

    def held_out(self, key: str) -> None:
        """A share of the rows that is kept for measuring."""
        share = self.given(key)
        if share in (None, 0):
            return
        if isinstance(share, int | float) and 0 < share < 1:
            self.operators.append({"split": {"test": share}})
            self.carried[key] = "steps.curated.operators"
        else:
            self.leave(key, "a share of the rows is held out, not a number of them: write `split: {test: 0.05}`")

    def full_tuning(self, why: str) -> None:
        """All weights are trained, so what is said about adapters has no meaning."""
        self.train["tune"] = "full"
        for name in _LORA:
            self.train.pop(name, None)
        taken = {self.full(f"train.{name}"): name for name in (*_LORA, *_QUANTIZED)}
        for key, place in list(self.carried.items()):
            if place in taken:
                self.train.pop(taken[place], None)
                self.leave(key, why)

    def recipe(self) -> dict[str, Any]:
        """The recipe as plain data."""
        method = self.method
        ingest: dict[str, Any] = {"step": "ingest", "makes": "preferences" if method in PAIRS else "conversations"}
        if self.datasets:
            ingest["datasets"] = self.datasets
        steps: dict[str, Any] = {"data": ingest}
        last = "data"
        if self.operators:
            steps["curated"] = {"step": "curate", "data": last, "operators": self.operators}
            last = "curated"
        steps[method] = {"step": method, "prompts" if method in PROMPTED else "data": last, **self.train}
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", self.source.stem).strip("-_")[:64] or "converted"
        return {"recipe": name, **self.top, "base": self.base, "steps": steps}


def leaves(config: Mapping[str, Any], table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of a config; those of a map inside it where the table speaks of them."""
    for name, value in config.items():
        key = f"{above}{name}"
        if value and isinstance(value, Mapping) and any(known.startswith(f"{key}.") for known in table):
            yield from leaves(value, table, f"{key}.")
        else:
            yield key, value


def yes(value: Any) -> bool:
    """A switch that is on or off, and nothing else."""
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def inverse(value: Any) -> bool:
    """A switch whose sense is the other way round here."""
    return not yes(value)


def _rule(table: Mapping[str, To | str], key: str) -> To | str:
    if key in table:
        return table[key]
    wide = [known for known in table if known.endswith("*") and key.startswith(known[:-1])]
    return table[max(wide, key=len)] if wide else UNKNOWN


def _inside(key: str, *noted: Mapping[str, str]) -> bool:
    return any(known.startswith(f"{key}.") for some in noted for known in some)


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."
