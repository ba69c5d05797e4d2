"""What is known of a finished step. Written last, by rename: that a manifest exists means that its step is done.

Cards and pages are made from manifests; nothing of this lies inside an artifact.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from curation.ledger import Ledger

FORMAT = 1
"""Raised when a store written by this version could not be read by the last one."""


class Made(BaseModel):
    """An artifact in the store: `artifacts/<digest>/`."""

    model_config = ConfigDict(extra="forbid")

    kind: str
    """A name of `curation.artifact.KINDS`."""
    digest: str
    rows: int | None = None
    """Number of rows of a data set; None for models."""
    parts: dict[str, int] = Field(default_factory=dict)
    """Split -> rows, where a data set is split."""
    bytes: int = 0


class Manifest(BaseModel):
    """One finished step."""

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    key: str
    step: str
    """The type: `sft`, `curate` ..."""
    name: str
    """The name it had in the recipe that ran it first."""
    settings: dict[str, Any]
    """As the key saw them: pointers by content."""
    inputs: dict[str, str] = Field(default_factory=dict)
    """Place in the settings -> digest."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Place in the settings -> what the user wrote (paths and names, for people)."""
    output: Made
    side: dict[str, Made] = Field(default_factory=dict)
    """`dropped`, `malformed`: artifacts of their own."""
    ledger: Ledger | None = None
    metrics: dict[str, Any] = Field(default_factory=dict)
    """Nested numbers (and None): `{"dpo": {"win_rate": {"mean": .77, "low": .7, "high": .83}}}`. Gates read these."""
    curves: dict[str, list[tuple[float, float]]] = Field(default_factory=dict)
    """Name -> (step, value), for plots."""
    examples: list[dict[str, Any]] = Field(default_factory=list)
    """A few things to look at: samples side by side, rendered first rows, dropped rows."""
    pictures: dict[str, Any] = Field(default_factory=dict)
    """What the page draws of rows, small enough to lie here: `histograms` of scores, a `map` of a sample."""
    warnings: list[str] = Field(default_factory=list)
    decided_by: str | None = None
    """Who decided, where something was compared: `people`, a scorer's or a data set's name."""
    started: float = 0.0
    """Seconds since 1970, UTC."""
    seconds: float = 0.0
    """Wall time, all tries together as far as known."""
    peak_memory_mb: float = 0.0
    tokens: dict[str, int] = Field(default_factory=dict)
    """`prompt`, `completion`, `trained`, `generated`."""
    usd: float = 0.0
    versions: dict[str, str] = Field(default_factory=dict)
    numerics: dict[str, Any] = Field(default_factory=dict)
    """device, dtype, threads, processes, micro-batch: the class within which results are bitwise equal."""
    resumed: int = 0
    """How often the step went on after it was interrupted."""
