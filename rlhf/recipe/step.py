"""A step turns typed artifacts into one typed artifact.

It is its settings (frozen, typed) plus `run(room)`. The fields of type `Ref[Kind]` are the edges of the recipe, at any
depth (a reward inside an operator is an edge too). The engine binds every pointer, hands over a `Room`, and publishes
what lies in `room.out` when `run` returns; a step never sees a store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from curation.artifact import Kind
from curation.ledger import Ledger
from curation.operator import Settings
from curation.progress import SILENT, Progress
from rlhf.recipe.profile import Profile

if TYPE_CHECKING:
    import numpy as np

    from curation.chat import AnswerCache
    from curation.pipeline import ScoreCache


class LabelLog(Protocol):
    """Append-only human answers that outlive every key; see `rlhf.recipe.caches.Labels`."""

    def append(self, answers: list[dict[str, Any]]) -> int:
        """Each names its `question`; returns how many were new. On the disk when it returns."""
        ...

    def read(self, question: str) -> list[dict[str, Any]]:
        """All answers to a question, oldest first."""
        ...


class FeatureCache(Protocol):
    """Vectors by model and content that outlive every key; see `rlhf.recipe.caches.Features`."""

    def get(self, key: str, ids: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
        """The known vectors among `ids`."""
        ...

    def put(self, key: str, vectors: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Keeps them; on the disk when this returns."""
        ...


@dataclass
class Room:
    """All that a step may touch."""

    work: Path
    """Scratch that survives a kill: checkpoints, finished shards. The same folder when the step is tried again."""
    out: Path
    """Empty folder for the artifact. Its content is hashed and published when `run` returns `Done`."""
    profile: Profile
    name: str = "step"
    """The step's name in the recipe, for messages."""
    log: Path | None = None
    """File that what it prints goes to; processes that it starts write theirs beside it."""
    progress: Progress = SILENT
    scores: ScoreCache | None = None
    features: FeatureCache | None = None
    answers: AnswerCache | None = None
    labels: LabelLog | None = None
    labeling: Path | None = None
    """Folder of the files that people fill in (file backend)."""
    tracking: Path | None = None
    """Where a tracker that writes files (`report_to: [tensorboard]`) writes them, to stay when the step is over. None:
    beside the checkpoints, which go."""
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Step name -> its manifest as plain JSON, for every step that this one stands on, near or far: names, decided_by,
    metrics. Nothing of it that changes from run to run (times, memory) may get into the artifact."""
    warnings: list[str] = field(default_factory=list)
    usd_left: float | None = None
    """What the recipe's budget still allows for paid answers, in dollars; None: no bound."""

    def warn(self, text: str) -> None:
        """Said now and kept in the manifest."""
        self.warnings.append(text)
        self.progress.say(f"warning: {text}")


@dataclass
class Done:
    """The step ended; `room.out` holds the artifact. All fields go into the manifest."""

    ledger: Ledger | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)
    pictures: dict[str, Any] = field(default_factory=dict)
    side: dict[str, Path] = field(default_factory=dict)
    """Name -> folder with rows: `dropped`, `malformed`. Kept as artifacts of their own."""
    decided_by: str | None = None
    tokens: dict[str, int] = field(default_factory=dict)
    usd: float = 0.0
    numerics: dict[str, Any] = field(default_factory=dict)


@dataclass
class Waiting:
    """People (or a batch job) must act first; the next `rlhf run` goes on."""

    message: str
    """`38 of 200 answered`."""
    where: str
    """The URL or file to go to."""


@dataclass(frozen=True)
class Misfit:
    """Something wrong with a setting in view of what the steps before make."""

    place: tuple[str | int, ...]
    """Where in the step's settings."""
    what: str
    hint: str = ""


class Step(Settings):
    """What all steps share. Subclasses give `step` a literal name and set the class variables."""

    revision: ClassVar[int] = 1
    """Raised by hand when the class's meaning changes."""
    like: ClassVar[str | None] = None
    """Name of the Ref field whose kind this step makes (`curate` makes what it is given); then `makes` is not asked."""
    inherits_policy: ClassVar[bool] = True
    """Whether a field `policy` that is not set means the recipe's `base`."""
    trains: ClassVar[bool] = False
    """Whether it trains a model that it is given, by the settings that all trainers share (`rounds` among them)."""
    not_identity: ClassVar[frozenset[str]] = frozenset()
    """Fields that change no artifact (`require`), left out of the key."""

    step: str
    """The type of the step."""

    def makes(self) -> type[Kind]:
        """The kind of the artifact, a function of the settings."""
        raise NotImplementedError

    def run(self, room: Room) -> Done | Waiting:
        """Does the work. Must be able to go on from what it left in `room.work`."""
        raise NotImplementedError

    def misfits(self, steps: Mapping[str, Step], kinds: Mapping[str, type[Kind]]) -> list[Misfit]:
        """What is wrong with the settings in view of the recipe's other steps and the kinds that they make.

        Kinds and names of the Refs are checked already; this is for what goes deeper.
        """
        return []

    def scores(self, steps: Mapping[str, Step]) -> set[str] | None:
        """Names of the scores that the rows which it makes have; None where that is not known before it runs."""
        return None

    def stranded(self, name: str, labels: LabelLog, forms: Path) -> list[str]:
        """What people said that would not count any more if this step, bound, ran now; `rlhf plan` says it.

        Args:
            name: Of the step in the recipe.
            labels: What people said so far. Nothing is written to it.
            forms: Folder of the forms that the step handed out.
        """
        return []

    def with_names(self, names: Mapping[str, str]) -> Self:
        """The step where steps that it points at got other names (old -> new), for settings that hold names as text.

        Its Refs are renamed already.
        """
        return self

    def advice(self) -> list[str]:
        """Warnings that the settings alone justify; `rlhf check` prints them."""
        return []

    def outlook(self) -> list[str]:
        """What can be said of the run before it, from the settings alone: sizes, tokens; `rlhf plan` prints it."""
        return []
