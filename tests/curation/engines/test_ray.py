"""The engine of a cluster comes to what the local one comes to: rows, dropped rows, ledger, digest; resumed, too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_rows import Halves, Model, Prepares, Refuses, chats, outcome

from curation import table
from curation.conversation import Conversation, Message
from curation.engines import ray as engine
from curation.engines.local import Local
from curation.engines.ray import Ray, asks_endpoints
from curation.errors import UserError
from curation.frame import to_frame
from curation.operator import OPERATOR_FIELD, Operator
from curation.pipeline import curate
from curation.progress import Bar, Progress

OPERATORS: list[Operator] = [
    OPERATOR_FIELD.parse("normalize"),
    OPERATOR_FIELD.parse("turns"),
    Halves(),
    OPERATOR_FIELD.parse("exact_dedup"),
    Prepares(),
    OPERATOR_FIELD.parse("words"),
    Model(),
    OPERATOR_FIELD.parse({"keep": "words >= 2 and model > 5"}),
    OPERATOR_FIELD.parse({"random": {"fraction": 0.8}}),
    OPERATOR_FIELD.parse({"split": {"test": 0.3, "by": "prompt"}}),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two CPUs, started as the engine starts them, kept for the whole module."""
    with engine._connected(None, 2) as ray:
        yield ray


def test_it_comes_to_what_the_local_engine_comes_to(cluster: Any, tmp_path: Path) -> None:
    rows = chats(60)
    here = curate(rows, OPERATORS)
    here.kept.write(tmp_path / "here")
    whole = outcome(here)
    assert len(whole[0]) > 10 and len(whole[1]) > 10 and whole[2].entries[2].children > 10
    for batch_rows, workers in ((7, 1), (13, 2), (1000, 3)):
        there = curate(rows, OPERATORS, engine=Ray(batch_rows=batch_rows, workers=workers))
        there.kept.write(tmp_path / f"there{workers}")
        assert table.digest(tmp_path / f"there{workers}") == table.digest(tmp_path / "here")
        found = outcome(there)
        assert found[0].equals(whole[0]) and found[1].equals(whole[1]) and found[2] == whole[2]


def test_nodes_that_do_not_see_the_disk_get_the_rows_themselves(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = chats(60)
    monkeypatch.setattr(engine, "_sees", lambda *a, **k: False)
    found, whole = (outcome(curate(rows, OPERATORS, engine=e)) for e in (Ray(batch_rows=9), Local(9)))
    assert found[0].equals(whole[0]) and found[1].equals(whole[1]) and found[2] == whole[2]


def test_a_node_without_what_an_operator_needs_is_named(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine._sees(cluster, tmp_path, [tmp_path], OPERATORS, alone=False)
    assert list(tmp_path.iterdir()) == []
    judge: Any = OPERATOR_FIELD.parse({"llm_judge": {"endpoint_model": "gpt", "rubric": "rubric.md"}})
    judge = judge.model_copy(update={"rubric": judge.rubric.bound(tmp_path / "rubric.md", "0" * 64)})
    with pytest.raises(UserError, match=r"does not see .*rubric.md, which an operator needs") as caught:
        engine._sees(cluster, tmp_path, [tmp_path], [judge], alone=False)
    assert "file system that all nodes share" in caught.value.hint
    monkeypatch.setattr(engine, "_versions", lambda: {"polars": "0.1"})
    with pytest.raises(UserError, match=r"the node \S+ has polars .* there, 0.1 here"):
        engine._sees(cluster, tmp_path, [tmp_path], [], alone=False)


def test_errors_of_a_worker_are_those_of_the_operator(cluster: Any) -> None:
    with pytest.raises(UserError, match="refuses gave the reason 'Not A Word'") as caught:
        curate(chats(10), [Refuses()], engine=Ray(batch_rows=3))
    assert caught.value.hint == "a reason is one snake_case word"


def test_scores_go_through_the_cache_of_the_driver(cluster: Any, tmp_path: Path) -> None:
    from rlhf.recipe.caches import Scores

    rows, cache = chats(60), Scores(tmp_path)
    first = curate(rows, [Model()], engine=Ray(batch_rows=9), scores=cache).kept.frame()
    Model.calls.clear()
    assert curate(rows, [Model()], engine=Local(13), scores=cache).kept.frame().equals(first)
    assert Model.calls == []


def test_a_real_model_gives_the_same_bits(cluster: Any, micro: Path) -> None:
    scorer: Any = OPERATOR_FIELD.parse({"perplexity": {"policy": "base"}})
    scorer = scorer.model_copy(update={"policy": scorer.policy.bound(micro, micro.name)})
    rows = [
        Conversation(messages=(Message("user", f"How do I open the {noun}?"), Message("assistant", "Please " * n)))
        for noun in ("door", "box", "car", "tent", "lamp", "book")
        for n in range(1, 8)
    ]
    here = curate(rows, [scorer]).kept.frame()
    assert here["scores.perplexity"].n_unique() > 30
    assert curate(rows, [scorer], engine=Ray(batch_rows=7)).kept.frame().equals(here)


class Noted(Bar):
    def __init__(self, total: int | None) -> None:
        self.n, self.of = 0, total
        self.figures: dict[str, float] = {}

    def advance(self, n: int = 1, **figures: float) -> None:
        self.n, self.figures = self.n + n, {**self.figures, **figures}

    def total(self, n: int) -> None:
        self.of = n


class Heard(Progress):
    """Notes the bars."""

    def __init__(self) -> None:
        self.bars: list[tuple[str, Noted]] = []

    @contextmanager
    def bar(self, what: str, total: int | None = None, unit: str = "rows") -> Iterator[Bar]:
        self.bars.append((what, Noted(total)))
        yield self.bars[-1][1]


@pytest.mark.parametrize("where", ["local", "ray"])
def test_bars_end_where_they_should_and_tell_what_was_kept_and_dropped(where: str, cluster: Any) -> None:
    heard = Heard()
    used = Local(7) if where == "local" else Ray(batch_rows=7)
    curated = curate(chats(60), OPERATORS, engine=used, progress=heard)
    assert all(bar.n == bar.of for _, bar in heard.bars)
    last = heard.bars[-1][1]
    assert last.figures == {"kept": len(curated.kept), "dropped": len(curated.dropped)}
    assert [what for what, _ in heard.bars] == [
        "normalize, turns, halves",
        "exact_dedup",
        "exact_dedup, prepares, words",
        "model",
        "model, keep(words >= 2 and model > 5)",
        "random",
        "random",
        "split",
        "split",
    ]


def test_what_asks_endpoints_stays_with_the_driver() -> None:
    judge = OPERATOR_FIELD.parse({"llm_judge": {"endpoint_model": "gpt"}})
    assert asks_endpoints(judge)
    assert not any(map(asks_endpoints, OPERATORS))


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="which is not installed") as caught:
        curate(chats(4), [], engine=Ray())
    assert "pip install 'rlhf-curation[ray]'" in caught.value.hint


SCRIPT = """
import sys, time
from pathlib import Path
from typing import Literal
from curation import table
from curation.engines.local import Local
from curation.engines.ray import Ray
from curation.operator import OPERATOR_FIELD
from small_rows import Slow
from curation.pipeline import curate

given, work, out, where = *map(Path, sys.argv[1:4]), sys.argv[4]
parsed = map(OPERATOR_FIELD.parse, ["exact_dedup", "words", {"split": {"test": 0.5}}])
operators = [Slow(), next(parsed), next(parsed), Slow(), next(parsed)]
curated = curate(given, operators, engine=Local(5) if where == "local" else Ray(batch_rows=5, workers=2), work=work)
curated.kept.write(out)
print(table.digest(out), curated.ledger.dropped())
"""


@pytest.mark.heavy
def test_a_cluster_of_its_own_is_private_and_a_killed_driver_goes_on(tmp_path: Path) -> None:
    table.write(tmp_path / "given", to_frame(chats(80), Conversation))
    paths = [str(Path(__file__).parent), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "POLARS_MAX_THREADS": "1"}
    environment.pop("RAY_ADDRESS", None)

    def start(work: str, out: str, where: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SCRIPT, *(str(tmp_path / p) for p in ("given", work, out)), where]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    with start("clean", "out", "local") as child:
        clean = child.communicate()[0]
    assert "exact_dedup: duplicate" in clean
    stages = tmp_path / "work" / "stages"
    with start("work", "unused", "ray") as child:
        patience = time.monotonic() + 120
        while len(list(stages.glob("stage-0/*.json"))) < 4:
            assert child.poll() is None and time.monotonic() < patience
            time.sleep(0.02)
        family = psutil.Process(child.pid).children(recursive=True)
        listening = {
            c.laddr.ip.removeprefix("::ffff:")
            for p in family
            for c in p.net_connections()
            if c.status == psutil.CONN_LISTEN
        }
        assert listening and all(ip == "127.0.0.1" for ip in listening), listening
        servers = [p.cmdline() for p in family if "dashboard/dashboard.py" in " ".join(p.cmdline())]
        assert all("--disable-frontend" in words for words in servers)
        agents = [p for p in family if "agent" in " ".join(p.cmdline()).lower()]
        child.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs([p for p in family if p not in agents], timeout=60)
    assert not alive  # the cluster goes with its driver
    for agent in agents:  # Ray's watchmen notice later that there is nothing left to watch
        with suppress(psutil.NoSuchProcess):
            agent.kill()
    done = {path: path.stat().st_mtime_ns for path in stages.glob("stage-0/*.json")}
    assert 4 <= len(done) < 16
    with start("work", "resumed", "ray") as child:
        assert child.communicate()[0] == clean
    assert all(path.stat().st_mtime_ns == before for path, before in done.items())
