"""The engine of a cluster: the same stages, with batches and chunks as tasks of Ray.

Stages, barriers, marks and files are those of `curation.engines.staged`; only where a batch is worked on differs:

- Row-by-row operators are remote tasks, one a batch. Where every node sees the work folder (one machine, or a shared
  file system), a task reads and writes its files itself, and only their places travel. Where not, rows travel through
  Ray's object store and this process alone touches the disk.
- Decisions over the whole table are made here, over the small table of ids, keys and scores.
- Model scorers are actors that keep their model open; each is given the same fixed chunks as anywhere else, and this
  process alone reads and fills the score cache. What asks an endpoint stays here too: keys and budget are not sent out.

Tasks, and not a data set of Ray Data: stages leave their batches on the disk anyway, where a killed run goes on, and
no rows need to move between them. On one machine 200,000 chats take 1.4 times the CPU seconds of the local engine
(`benchmarks/curation`), Ray's own processes included.

Batches in flight are bounded, so that memory is, and a driver that is killed goes on at the first batch without mark.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel

from curation.artifact import pointers
from curation.engines import ScoreCache
from curation.engines.shard import Before, Place, Prepared, Shard, read_batch, worked
from curation.engines.staged import Input, Outcome, Staged
from curation.errors import UserError
from curation.operator import Operator, Scorer
from curation.progress import SILENT, Progress
from curation.spilled import mapped

_IN_FLIGHT = 2
"""Batches handed out for each worker: one to work on, one to begin with at once."""
_TRIES = 3
"""How often a cluster of our own is started: Ray gives its processes half a minute."""
_PATIENCE = 20.0
"""Seconds in which a cluster must answer."""
_CHUNKS_A_MODEL = 16
"""Chunks handed out together for each model actor."""
_FOLDER = "rlhf-ray-"
"""How the name of a cluster's own temporary folder begins."""
_SHORT = 24
"""Characters that the path of the system's temporary folder may have: a socket's has at most 107, and Ray adds 70."""


@dataclass(frozen=True)
class Ray:
    """Runs operators on a Ray cluster, or on one that is started here for the run."""

    address: str | None = field(default=None, repr=False)
    """`ray://HOST:10001`, `HOST:6379`, `auto`; None starts a cluster on this machine, reachable from it alone."""
    batch_rows: int = 10_000
    """Rows of one batch. No result depends on it."""
    workers: int | None = field(default=None, repr=False)
    """Batches worked on at once. None: one for each CPU of the cluster. No result depends on it."""
    threads: int = field(default=1, repr=False)
    """CPU threads of each model. The last bits of a score depend on it, as they do on one machine."""

    def run(
        self,
        inputs: Sequence[Input],
        operators: Sequence[Operator],
        work: Path,
        scores: ScoreCache | None = None,
        progress: Progress = SILENT,
    ) -> Outcome:
        """All rows of the inputs through all operators; see `curation.engines.local.Local.run`.

        Raises:
            UserError: Ray is not installed, no cluster answers, or its nodes cannot do the work.
        """
        with _connected(self.address, self.workers) as ray:
            cluster = _Cluster(ray, self, inputs, operators, work.absolute(), scores, progress)
            try:
                return cluster.go()
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
                hint = "most often a machine ran out of memory: lower `batch_rows` of the engine, then run again"
                raise UserError(f"a worker of the cluster died: {str(error).splitlines()[0]}", hint=hint) from error
            except ray.exceptions.ActorDiedError as error:
                hint = "most often a machine ran out of memory; what was scored is kept, so run again"
                raise UserError(f"a model on the cluster died: {str(error).splitlines()[0]}", hint=hint) from error


class _Cluster(Staged):
    """One run whose batches and chunks are tasks of Ray."""

    def __init__(
        self,
        ray: Any,
        engine: Ray,
        inputs: Sequence[Input],
        operators: Sequence[Operator],
        folder: Path,
        scores: ScoreCache | None,
        progress: Progress,
    ) -> None:
        inputs = [(at.absolute(), part) for at, part in inputs]
        super().__init__(inputs, operators, engine.batch_rows, folder, scores, progress)
        self.ray, self.threads = ray, engine.threads
        self.environment: dict[str, str] = ray.get_runtime_context().runtime_env.get("env_vars", {})
        self.cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self.workers = engine.workers or self.cpus
        folder.mkdir(parents=True, exist_ok=True)
        self.shared = _sees(ray, folder, [at for at, _ in inputs], operators, alone=engine.address is None)
        self.run = uuid.uuid4().hex
        self.models: list[tuple[Scorer, list[Any]]] = []

    def work(self, i: int, todo: Sequence[int], ends: Sequence[int]) -> Iterator[dict[str, Any]]:
        self.close_models()  # they hold CPUs that the batches need
        stage = self.stages[i]
        if any(map(asks_endpoints, stage.operators)):
            yield from super().work(i, todo, ends)
            return
        task = self.ray.remote(num_cpus=1, max_retries=3)(_batch)
        what = self.ray.put((f"{self.run}-{i}", stage))
        under_way: dict[Any, int] = {}
        left = list(reversed(todo))
        while left or under_way:
            while left and len(under_way) < self.workers * _IN_FLIGHT:
                n = left.pop()
                given: _Given = self.given(i, n)
                target = None
                if self.shared:
                    given = (self.kept(i - 1, n) if i else self.places[n]), self.score_names
                    target = self.folders[i], n, self.texts(i, n)
                under_way[task.remote(what, given, self.before(i, n, ends), target)] = n
            done, _ = self.ray.wait(list(under_way), num_returns=1)
            for one in done:
                n, found = under_way.pop(one), self.ray.get(one)
                yield found.leave(self.folders[i], n, self.texts(i, n)) if isinstance(found, Shard) else found

    def score(self, scorer: Scorer, chunks: Sequence[pl.DataFrame]) -> Iterator[pl.Series]:
        if asks_endpoints(scorer) or not chunks:
            yield from super().score(scorer, chunks)
            return
        actors = self.actors(scorer, len(chunks))
        free, under_way, scores = list(actors), {}, {}  # type: list[Any], dict[Any, tuple[int, Any]], dict[int, Any]
        ahead, told = iter(enumerate(chunks)), 0
        while told < len(chunks):
            while free and (following := next(ahead, None)):
                at, chats = following
                actor = free.pop()
                under_way[actor.score.remote(chats)] = at, actor
            for one in self.ray.wait(list(under_way), num_returns=1)[0]:
                at, actor = under_way.pop(one)
                scores[at] = self.ray.get(one)
                free.append(actor)
            while told in scores:
                yield scores.pop(told)
                told += 1

    def chunks_at_once(self) -> int:
        return max(super().chunks_at_once(), _CHUNKS_A_MODEL * self.model_count())

    def model_count(self) -> int:
        """How many models are open at once: one a GPU, else as many as the CPUs have threads for."""
        gpus = int(self.ray.cluster_resources().get("GPU", 0))
        return gpus or max(1, min(self.workers, self.cpus // self.threads))

    def actors(self, scorer: Scorer, wanted: int) -> list[Any]:
        """The actors of a scorer: opened the first time, and those of the scorer before it closed."""
        if not any(scorer is known for known, _ in self.models):
            self.close_models()
            gpu = 1 if self.ray.cluster_resources().get("GPU", 0) else 0
            settings: dict[str, Any] = {"num_gpus": gpu, "max_restarts": 3, "max_task_retries": 3}
            settings["num_cpus"] = 0 if gpu else min(self.threads, self.cpus)
            environment = _threads(self.threads)
            if not environment.items() <= self.environment.items():  # else a worker that runs already will do
                settings["runtime_env"] = {"env_vars": environment}
            actor = self.ray.remote(**settings)(_Model)
            count = min(self.model_count(), wanted)
            self.models.append((scorer, [actor.remote(scorer) for _ in range(count)]))
        return self.models[-1][1]

    def close_models(self) -> None:
        """Ends the actors, and gives back what they hold."""
        for _, actors in self.models:
            for actor in actors:
                self.ray.kill(actor)
        self.models.clear()


# What runs on the nodes

_Given = Any
"""The rows of a batch, or (where they lie, the names of all scores)."""
_prepared: dict[str, tuple[Any, Prepared]] = {}
"""The stage that this process works on: its operators as they were prepared."""


def _batch(
    what: tuple[str, Any], given: _Given, before: Before | None, target: tuple[Path, int, Path | None] | None
) -> Shard | dict[str, Any]:
    """One batch of a stage: its mark when it could be written from here, else what it came to."""
    key, stage = what
    if key not in _prepared:
        _prepared.clear()
        _prepared[key] = stage, Prepared()
    stage, prepare = _prepared[key]
    frame = _read(given) if isinstance(given, tuple) else given
    shard = worked(stage, frame, before, prepare)
    return shard.leave(*target) if target else shard


def _read(given: tuple[Path | Place, list[str]]) -> pl.DataFrame:
    place, score_names = given
    return mapped(place) if isinstance(place, Path) else read_batch(place, score_names)


class _Model:
    """A scorer with its model open, on some node."""

    def __init__(self, scorer: Scorer) -> None:
        scorer.prepare()
        self.scorer = scorer

    def score(self, chats: pl.DataFrame) -> pl.Series:
        return self.scorer.score_frame(chats)


# The cluster


@contextmanager
def _connected(address: str | None, workers: int | None) -> Iterator[Any]:
    """Ray, connected: to what this process is connected to already, to `address`, or to a cluster of its own."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address is None:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # Ray's name for: bind to loopback alone
    try:
        import ray
    except ImportError as error:
        hint = "pip install 'rlhf-curation[ray]', or set `engine: {kind: local}` in the profile"
        raise UserError("the engine ray needs the package `ray`, which is not installed", hint=hint) from error
    if ray.is_initialized():
        yield ray
        return
    environment = {"POLARS_MAX_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", **_threads(1)}
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    with ExitStack() as stack:
        if address is None:
            environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)  # plugins are found as they are here
            settings |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1", "num_cpus": workers}
            settings["_temp_dir"] = str(stack.enter_context(_own_folder()))
        settings["runtime_env"] = {"env_vars": environment}
        stack.callback(ray.shutdown)
        _begin(ray, address, settings)
        yield ray


def _threads(count: int) -> dict[str, str]:
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(count))


@contextmanager
def _own_folder() -> Iterator[Path]:
    """A folder for the logs and sockets of a cluster of our own, which goes with it.

    It lies directly in the system's folder for such things, because the path of a socket has to be short. A process
    that was killed leaves its folder; the lock in it is free then, and the next cluster removes both.
    """
    above = Path(tempfile.gettempdir())
    if len(str(above)) > _SHORT:
        above = Path("/tmp")
    for old in above.glob(f"{_FOLDER}*"):
        with suppress(OSError), (old / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER, dir=above))
    try:
        with (folder / "unlocked").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            Path(lock.name).rename(folder / "lock")
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _begin(ray: Any, address: str | None, settings: dict[str, Any]) -> None:
    """Connects, or starts a cluster, which on a busy machine may need a second try.

    Raises:
        UserError: there is no cluster at the address, or none can be started.
    """
    if address:
        _reach(address)
    tries = 1 if address else _TRIES
    for number in range(1, tries + 1):
        try:
            ray.init(address=address or "local", **settings)
            return
        except Exception as error:  # Ray raises plain ones when its processes do not come up in time
            ray.shutdown()
            if number < tries:
                continue
            what = f"no Ray cluster answers at {address}" if address else "Ray does not start on this machine"
            said = str(error).strip().splitlines() or ["nothing"]
            raise UserError(what, hint=f"it says: {said[0]}") from error


def _reach(address: str) -> None:
    """Asks the address for a connection: Ray itself waits for minutes where nobody listens.

    Raises:
        UserError: nobody answers.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:  # `auto`: Ray looks on this machine
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except (OSError, ValueError) as error:
        hint = "look whether it runs (`ray status` there), and at `engine: {address: ...}` in the profile"
        raise UserError(f"no Ray cluster answers at {address}: {error}", hint=hint) from error


def _sees(ray: Any, work: Path, inputs: Sequence[Path], operators: Sequence[Operator], alone: bool) -> bool:
    """Whether all nodes see the work folder and the inputs.

    Raises:
        UserError: a node has other versions, or does not see a file or a model that an operator needs.
    """
    if alone:
        return True
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    token = work / f".seen-{uuid.uuid4().hex}"
    token.touch()
    needed = [p.path for operator in operators for _, p, _ in pointers(operator) if p.path is not None]
    try:
        asked = []
        for node in (n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")):
            there = On(node["NodeID"], soft=False)
            look = ray.remote(num_cpus=1, scheduling_strategy=there)(_look)
            asked.append((node["NodeManagerHostname"], look.remote([token, *inputs], needed)))
        versions, shared = _versions(), True
        for name, answer in asked:
            sees, missing, found = ray.get(answer)
            if found != versions:
                differing = [f"{k} {found.get(k)} there, {v} here" for k, v in versions.items() if found.get(k) != v]
                hint = "install the same versions on all nodes: results are promised equal within one of them"
                raise UserError(f"the node {name} has {'; '.join(differing)}", hint=hint)
            if missing:
                hint = "put the store on a file system that all nodes share: `store:` in the profile"
                raise UserError(f"the node {name} does not see {missing[0]}, which an operator needs", hint=hint)
            shared = shared and sees
        return shared
    finally:
        token.unlink()


def _look(places: Sequence[Path], needed: Sequence[Path]) -> tuple[bool, list[str], dict[str, str]]:
    """What a node sees: all of `places`, which of `needed` it does not, and what is installed on it."""
    return all(p.exists() for p in places), [str(p) for p in needed if not p.exists()], _versions()


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": ".".join(map(str, sys.version_info[:2]))}
    for package in ("polars", "polars-hash", "rlhf-curation"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def asks_endpoints(settings: BaseModel) -> bool:
    """Whether an operator, or a plugin inside it, asks a server that the profile names."""
    if getattr(settings, "endpoint_model", None) is not None:
        return True
    values = [getattr(settings, name) for name in type(settings).model_fields]
    flat = [v for value in values for v in (value if isinstance(value, list | tuple) else [value])]
    return any(isinstance(v, BaseModel) and asks_endpoints(v) for v in flat)
