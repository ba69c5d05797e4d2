"""The engine of a cluster comes to what the local one comes to: rows, dropped rows, ledger, digest; resumed, too."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_rows import Halves, Model, Prepares, Refuses, Slow, chats, outcome

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


BARS = [
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


def test_it_comes_to_what_the_local_engine_comes_to(cluster: Any, tmp_path: Path) -> None:
    """Rows, dropped rows, ledger, digest and bars; and the cache of scores, which the driver alone fills."""
    from rlhf.recipe.caches import Scores

    cache, bars = Scores(tmp_path / "scores"), []
    found = []
    for used in (Ray(batch_rows=7, workers=1), Local(7)):
        heard = Heard()
        Model.calls.clear()
        curated = curate(chats(60), OPERATORS, engine=used, scores=cache, progress=heard)
        assert Model.calls == []  # on ray they are made elsewhere; local finds them in the cache
        curated.kept.write(tmp_path / type(used).__name__)
        assert all(bar.n == bar.of for _, bar in heard.bars)
        assert heard.bars[-1][1].figures == {"kept": len(curated.kept), "dropped": len(curated.dropped)}
        bars.append([what for what, _ in heard.bars])
        found.append(outcome(curated))
    there, here = found
    assert there[0].equals(here[0]) and there[1].equals(here[1]) and there[2] == here[2]
    assert len(here[0]) > 10 and len(here[1]) > 10 and here[2].entries[2].children > 10
    assert table.digest(tmp_path / "Ray") == table.digest(tmp_path / "Local")
    assert bars == [BARS, BARS]


def test_nodes_that_do_not_see_the_disk_get_the_rows_themselves(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With other batches and more workers, too."""
    monkeypatch.setattr(engine, "_sees", lambda *a, **k: False)
    there, here = (outcome(curate(chats(60), OPERATORS, engine=e)) for e in (Ray(batch_rows=13, workers=2), Local()))
    assert there[0].equals(here[0]) and there[1].equals(here[1]) and there[2] == here[2]


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
    assert curate(rows, [scorer], engine=Ray(batch_rows=7, workers=1)).kept.frame().equals(here)


def test_what_asks_endpoints_stays_with_the_driver() -> None:
    judge = OPERATOR_FIELD.parse({"llm_judge": {"endpoint_model": "gpt"}})
    assert asks_endpoints(judge)
    assert not any(map(asks_endpoints, OPERATORS))


def test_where_nobody_listens_that_is_said_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", "127.0.0.1:none"):
            with pytest.raises(UserError, match=f"no Ray cluster answers at {address}") as caught:
                engine._begin(None, address, {})
            assert "ray status" in caught.value.hint


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="which is not installed") as caught:
        curate(chats(4), [], engine=Ray())
    assert "pip install 'rlhf-curation[ray]'" in caught.value.hint


SCRIPT = """
import sys
from pathlib import Path
from test_ray import slowly
from curation.pipeline import curate
from curation.engines.ray import Ray

curate(Path(sys.argv[1]), slowly(), engine=Ray(batch_rows=5, workers=2), work=Path(sys.argv[2]))
"""


def slowly() -> list[Operator]:
    words, dedup, split = (OPERATOR_FIELD.parse(o) for o in ("words", "exact_dedup", {"split": {"test": 0.5}}))
    return [Slow(), dedup, words, Slow(), split]


@pytest.mark.heavy
def test_a_cluster_of_its_own_is_private_and_a_killed_driver_goes_on(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    table.write(tmp_path / "given", to_frame(chats(80), Conversation))
    paths = [str(Path(__file__).parent), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TMPDIR": tempfile.mkdtemp(dir="/tmp")}
    environment.pop("RAY_ADDRESS", None)
    stages = tmp_path / "work" / "stages"
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "given"), str(tmp_path / "work")]
    with subprocess.Popen(command, env=environment) as child:
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

    (left,) = Path(environment["TMPDIR"]).iterdir()  # it could not tidy up, so the next one does
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", environment["TMPDIR"])
        with engine._own_folder() as own:
            assert [*own.parent.iterdir()] == [own] != [left]
    Path(environment["TMPDIR"]).rmdir()

    request.getfixturevalue("cluster")
    clean = outcome(curate(tmp_path / "given", slowly(), engine=Local(7)))
    resumed = Ray(batch_rows=5, workers=2)
    found = outcome(curate(tmp_path / "given", slowly(), engine=resumed, work=tmp_path / "work"))
    assert found[0].equals(clean[0]) and found[1].equals(clean[1]) and found[2] == clean[2] and len(clean[1])
    assert all(path.stat().st_mtime_ns == before for path, before in done.items())
