"""Runs a recipe: skips what is done, goes on where something was cut off, and ends in a record of the run.

Each step ends `done`, `cached`, `failed`, `waiting` (people must act; other branches go on), `gated` (it is done, but
its `require` does not hold), or `skipped` because something before it did. A failure ends the run: what was finished
stays finished, and the next run goes on from there.
"""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from curation.artifact import Kind, identity, pointers
from curation.errors import RecipeError, UserError, did_you_mean
from curation.labeling.bell import Bell
from curation.progress import SILENT, Progress
from rlhf.recipe.child import Finished, Job
from rlhf.recipe.identity import as_json, code_mark, step_key
from rlhf.recipe.manifest import Manifest
from rlhf.recipe.plan import bind_step
from rlhf.recipe.step import Step
from rlhf.recipe.store import Store
from rlhf.recipe.wiring import reached
from rlhf.recipe.worker import Worker

if TYPE_CHECKING:
    from rlhf.recipe.load import LoadedRecipe

State = Literal["done", "cached", "failed", "waiting", "gated", "skipped"]

_TRIES = 5
"""Looks in a row that may fail while a run is watched."""
_RESTS = 10
"""A watched run that is woken all the time sleeps this many times as long as it looks."""
_VERSIONS = ("rlhf-curation", "torch", "transformers", "trl", "peft", "datasets", "polars", "numpy")


@dataclass(frozen=True)
class Outcome:
    """How one step ended."""

    state: State
    message: str = ""
    """Why it failed, waits, is gated or was skipped; for people."""
    hint: str = ""
    manifest: Manifest | None = None
    key: str | None = None
    seconds: float = 0.0
    trace: str | None = None
    exit_code: int = 0


class Listener:
    """Hears how a run goes on; the command line draws it. This one ignores it all."""

    def begin(self, order: list[str], loaded: LoadedRecipe) -> None:
        """The run starts; these steps, in this order."""

    def started(self, name: str) -> None:
        """A step is about to run."""

    def progress(self, name: str) -> Progress:
        """Where the step's bars and lines go."""
        return SILENT

    def held(self, name: str, holder: str) -> None:
        """The step waits for another run that works on the same key."""

    def ended(self, name: str, outcome: Outcome) -> None:
        """The step ended."""


@dataclass
class RunResult:
    """What a run came to."""

    exit_code: int = 0
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    record: Path | None = None
    """The run's record in the store."""

    @property
    def manifests(self) -> dict[str, Manifest]:
        """Of the steps that have an artifact."""
        return {n: o.manifest for n, o in self.outcomes.items() if o.manifest}


@dataclass(frozen=True)
class Choice:
    """Which steps a run is about."""

    only: str | None = None
    """This step alone."""
    from_: str | None = None
    """This step and all that comes after it."""
    until: str | None = None
    """This step and what it needs."""
    redo: frozenset[str] = frozenset()
    """Steps that run although they are done. No cache of scores, answers or labels is forgotten."""

    def names(self, loaded: LoadedRecipe) -> set[str]:
        """The names that may run; all others must be cached.

        Raises:
            RecipeError: one of the names is no step.
        """
        steps = loaded.steps
        for name in filter(None, (self.only, self.from_, self.until, *self.redo)):
            if name not in steps:
                raise RecipeError(f"there is no step {name!r}", hint=did_you_mean(name, steps))
        chosen = set(steps)
        if self.only:
            chosen &= {self.only}
        if self.from_:
            chosen &= _after(self.from_, loaded)
        if self.until:
            chosen &= _before(self.until, loaded)
        return chosen

    def called(self, loaded: LoadedRecipe) -> Choice:
        """The same with the steps that the names mean: of one with rounds, the last."""
        only, from_, until = (name and loaded.called(name) for name in (self.only, self.from_, self.until))
        return Choice(only, from_, until, frozenset(map(loaded.called, self.redo)))


def _before(name: str, loaded: LoadedRecipe) -> set[str]:
    return reached(name, {other: loaded.needs(other) for other in loaded.steps})


def _after(name: str, loaded: LoadedRecipe) -> set[str]:
    return {other for other in loaded.steps if name in _before(other, loaded)}


def run(
    loaded: LoadedRecipe,
    store: Store,
    *,
    choice: Choice | None = None,
    wait: bool = True,
    listener: Listener | None = None,
    gate: Callable[[Step, Manifest], str | None] | None = None,
    watch: bool = False,
) -> RunResult:
    """Runs what is not done yet.

    Args:
        choice: Which steps; default all.
        wait: Wait for another run that works on the same step; False fails instead and names the holder.
        listener: Hears how it goes on.
        gate: Says why a finished step's `require` does not hold, or None; default `rlhf.recipe.gates.check`.
        watch: Stay while steps wait for people: look again every `labeling.poll_s` seconds of the profile, or as soon
            as somebody answers on a server of ours, and go on with what comes after. A Ctrl-C in between ends the run
            as if it had not been watched.

    Raises:
        UserError: a name in `choice` is no step, or a file that the settings name is missing.
    """
    from rlhf.recipe.gates import check

    return _Run(loaded, store, choice or Choice(), wait, listener or Listener(), gate or check, watch).go()


class _Run:
    def __init__(
        self,
        loaded: LoadedRecipe,
        store: Store,
        choice: Choice,
        wait: bool,
        listener: Listener,
        gate: Callable[[Step, Manifest], str | None],
        watch: bool,
    ) -> None:
        self.loaded, self.store, self.wait, self.listener, self.gate = loaded, store, wait, listener, gate
        self.watch = watch
        choice = choice.called(loaded)
        self.chosen, self.redo = choice.names(loaded), choice.redo
        self.result = RunResult()
        self.began = time.time()
        self.stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self.began)) + f"-{int(self.began * 1000) % 1000:03d}"
        self.usd = 0.0
        self.idle = 0.0
        """Seconds in which only people worked; no budget of hours pays for them."""
        self.looking = False
        """Whether a step that waits is only looked at again."""
        self.failures = 0
        """Looks in a row that failed."""
        self.bell = Bell(None)
        """Wakes a watched run when somebody answers."""
        self.look_s = 0.0
        """Seconds that the last look took."""

    def go(self) -> RunResult:
        order = list(self.loaded.order)
        self.listener.begin(order, self.loaded)
        if self.watch and self.loaded.profile.labeling.backend == "argilla":
            self.bell = Bell(self.loaded.profile.labeling.api_url)
        with Worker() as worker:
            try:
                for name in order:
                    outcome = self.one(name, worker)
                    self.result.outcomes[name] = outcome
                    self.listener.ended(name, outcome)
                    if outcome.state == "failed":
                        self.skip_rest(order, name)
                        break
                while self.watch and self.waits():
                    self.look_again(order, worker)
            except KeyboardInterrupt:
                if not self.looking:
                    self.skip_rest(order, "an interruption")
                    self.result.exit_code = 130
                    self.note()
                    raise
        self.result.exit_code = _exit_code(self.result.outcomes.values())
        self.note()
        return self.result

    def waits(self) -> bool:
        """Whether people can move the run on: some step waits, and none failed."""
        states = {outcome.state for outcome in self.result.outcomes.values()}
        return "waiting" in states and "failed" not in states

    def look_again(self, order: list[str], worker: Worker) -> None:
        """Sleeps, then looks at what waits and goes on with what comes after it. Says only what is new."""
        self.looking = True
        self.result.exit_code = _exit_code(self.result.outcomes.values())
        self.note()
        self.idle += self.bell.wait(self.loaded.profile.labeling.poll_s, _RESTS * self.look_s)
        began, moved = time.monotonic(), False
        for name in order:
            before = self.result.outcomes[name]
            if before.state != "waiting" and not (moved and before.state == "skipped"):
                continue
            self.looking = before.state == "waiting"
            outcome = self.one(name, worker)
            if self.looking and outcome.state == "failed" and self.failures < _TRIES:
                self.failures += 1  # a server may be away for a while
                outcome = dataclasses.replace(before, message=f"{outcome.message}; trying again")
            elif self.looking:
                self.failures = 0
            self.looking = True
            moved = moved or outcome.state != before.state
            self.result.outcomes[name] = outcome
            if (outcome.state, outcome.message) != (before.state, before.message):
                self.listener.ended(name, outcome)
            if outcome.state == "failed":
                break
        self.look_s = time.monotonic() - began

    def skip_rest(self, order: list[str], because: str) -> None:
        for name in order:
            if name not in self.result.outcomes:
                self.result.outcomes[name] = Outcome("skipped", f"stopped after {because}")

    def one(self, name: str, worker: Worker) -> Outcome:
        """One step to its outcome."""
        step = self.loaded.steps[name]
        for source in self.loaded.needs(name):
            before = self.result.outcomes[source]
            if before.state not in ("done", "cached"):
                because = "waits for" if before.state in ("waiting", "skipped") else "stopped by"
                return Outcome("skipped", f"{because} {source}")
        made = self.result.manifests
        try:
            bound = bind_step(self.loaded, self.store, name, made)
            key = step_key(bound)
            manifest = None if name in self.redo else self.store.manifest(key)
        except UserError as error:
            return Outcome("failed", _with_place(error), error.hint, exit_code=error.exit_code)
        if manifest:
            return self.gated(step, Outcome("cached", manifest=manifest, key=key))
        if name not in self.chosen:
            return Outcome("skipped", "not chosen, and not made yet", key=key)
        return self.gated(step, self.execute(name, bound, key, worker))

    def execute(self, name: str, bound: Step, key: str, worker: Worker) -> Outcome:
        over = self.over_budget()
        if over:
            return Outcome("failed", over, "raise `budget` and run again: what was made stays", key=key, exit_code=1)
        listener = Listener() if self.looking else self.listener
        listener.started(name)
        started = time.time()
        before = _before(name, self.loaded) - {name}
        inputs = {n: m.model_dump(mode="json") for n, m in self.result.manifests.items() if n in before}
        kind = self.loaded.kinds[name]
        job = Job(
            name,
            key,
            bound,
            kind,
            self.loaded.profile,
            self.store.root,
            self.wait,
            name in self.redo,
            inputs,
            None if self.loaded.budget.usd is None else self.loaded.budget.usd - self.usd,
        )
        progress = listener.progress(name)
        finished = worker.run(job, progress, lambda who: listener.held(name, who), lambda: self.hours_left() <= 0)
        seconds = time.time() - started
        return self.conclude(name, bound, key, kind, finished, started, seconds)

    def conclude(
        self, name: str, bound: Step, key: str, kind: type[Kind], finished: Finished, started: float, seconds: float
    ) -> Outcome:
        if finished.error:
            log = self.store.log(key)
            hint = finished.hint or f"what it printed is in {log}"
            return Outcome("failed", finished.error, hint, None, key, seconds, finished.trace, finished.exit_code)
        if finished.waiting:
            return Outcome("waiting", finished.waiting.message, finished.waiting.where, None, key, seconds)
        done, output = finished.done, finished.output
        if done is None or output is None:  # another run finished it while this one waited
            manifest = self.store.manifest(key)
            if manifest is None:
                return Outcome("failed", "another run was to finish this step, and did not", key=key, exit_code=1)
            return Outcome("cached", manifest=manifest, key=key)
        places = pointers(bound)
        manifest = Manifest(
            key=key,
            step=bound.step,
            name=name,
            settings=as_json(identity(bound)),
            inputs={".".join(map(str, place)): p.identity() for place, p, _ in places},
            sources={".".join(map(str, place)): str(p) for place, p, _ in places},
            output=output,
            side=dict(finished.side),
            ledger=done.ledger,
            metrics=done.metrics,
            curves=done.curves,
            examples=done.examples,
            pictures=done.pictures,
            warnings=list(finished.warnings),
            decided_by=done.decided_by,
            started=started,
            seconds=seconds,
            peak_memory_mb=round(finished.peak_memory_mb, 1),
            tokens=done.tokens,
            usd=done.usd,
            versions={**versions(), "code": code_mark(bound)},
            numerics=dict(finished.numerics),
            resumed=finished.tries - 1,
        )
        self.store.finish(manifest)
        self.usd += done.usd
        return Outcome("done", manifest=manifest, key=key, seconds=seconds)

    def gated(self, step: Step, outcome: Outcome) -> Outcome:
        """The outcome, or `gated` when the step's `require` does not hold on its metrics, fresh or cached."""
        if outcome.manifest is None:
            return outcome
        try:
            why = self.gate(step, outcome.manifest)
        except UserError as error:  # the artifact is there; only its gate cannot be read
            why = f"the gate cannot be tested: {_with_place(error)}"
        return dataclasses.replace(outcome, state="gated", message=why) if why else outcome

    def over_budget(self) -> str | None:
        budget = self.loaded.budget
        if self.hours_left() <= 0:
            return f"the budget of {budget.hours} hours is used up"
        if budget.usd is not None and self.usd > 0 and self.usd >= budget.usd:
            return f"the budget of {budget.usd} dollars is used up"
        return None

    def hours_left(self) -> float:
        hours = self.loaded.budget.hours
        return float("inf") if hours is None else hours - (time.time() - self.began - self.idle) / 3600

    def note(self) -> None:
        """Writes the run's record."""
        steps: dict[str, Any] = {}
        for name, o in self.result.outcomes.items():
            seconds = o.manifest.seconds if o.state == "cached" and o.manifest else o.seconds
            steps[name] = {
                "type": self.loaded.steps[name].step,
                "state": o.state,
                "key": o.key,
                "seconds": round(seconds, 2),
                "depends_on": list(self.loaded.needs(name)),
                "message": o.message,
                "hint": o.hint,
            }
            if one := self.loaded.rounds.get(name):
                steps[name]["round"] = {"step": one.step, "number": one.number, "of": one.of}
        record = {
            "recipe": self.loaded.name,
            "path": str(self.loaded.path),
            "changes": list(self.loaded.changes),
            "started": self.began,
            "seconds": round(time.time() - self.began, 2),
            "exit_code": self.result.exit_code,
            "profile": self.loaded.profile.model_dump(mode="json"),
            "versions": versions(),
            "steps": steps,
        }
        self.result.record = self.store.record_run(self.loaded.name, self.stamp, record)


def _with_place(error: UserError) -> str:
    return f"{error.where}: {error.what}" if error.where else error.what


def _exit_code(outcomes: Iterable[Outcome]) -> int:
    """1 (or the error's own code) before 4 before 3 before 0."""
    states = {o.state: o for o in outcomes}
    if "failed" in states:
        return states["failed"].exit_code or 1
    if "gated" in states:
        return 4
    return 3 if "waiting" in states else 0


def versions() -> dict[str, str]:
    """Of Python, this project and what decides numbers; a package that is not installed is left out."""
    found = {"python": platform.python_version(), "platform": platform.platform(terse=True)}
    for name in _VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
