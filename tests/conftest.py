"""What the whole suite shares: which skips CI accepts, what starts first, a micro model, a labeling server, a browser.

The model is a Llama of 2 layers, hidden 64, 512 tokens, that has seen a few sentences. `micro` is an artifact folder as
the store keeps it (named by its digest, `lineage.json` inside); `micro_copy` is a copy of its own for a test that
changes it.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ALLOWED_SKIPS = ("needs a GPU", "needs a data set")
"""Beginnings of the reasons for which a test may be skipped where CI is set; any other skip fails the run there."""


class SkipPolicy:
    """Collects skips and expected failures; where CI is set, one that is not allowed fails the run."""

    def __init__(self) -> None:
        self.unexpected: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome == "skipped":
            self.note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.outcome == "skipped":
            self.note(report)

    def note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = getattr(report, "wasxfail", None) or text.removeprefix("Skipped: ")
        if not reason.startswith(ALLOWED_SKIPS):
            self.unexpected.append(f"{report.nodeid}: {reason}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unexpected and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unexpected:
            terminalreporter.section("skips that CI does not accept", red=True)
            for line in self.unexpected:
                terminalreporter.line(line)


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("CI"):
        # The same examples each time: what CI says is about the change. People's own runs draw new ones.
        settings.register_profile("ci", derandomize=True)
        settings.load_profile("ci")
    if os.environ.get("CI") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipPolicy(), "skip-policy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("heavy") is None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real data sets, which lies beside a checkout and is no part of it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs a data set: ../shared/data is not here")
    return folder


VERBS = "open close clean fix paint move lift fold wash pack read write send find plan cook".split()
NOUNS = "door box car boat tent lamp book shirt map phone cake table garden fence wheel letter".split()
HOW = ["with care", "by hand", "in the morning", "with a friend", "step by step", "at home"]
ASK = ["How do I {v} the {n}?", "Tell me how to {v} the {n}.", "I want to {v} the {n}. What now?"]


def micro_chats(count: int, seed: int = 0) -> list[list[dict[str, str]]]:
    """Chats of one short question and one short answer, as the micro model knows them."""
    rng = random.Random(seed)
    chats = []
    for _ in range(count):
        v, n, how = rng.choice(VERBS), rng.choice(NOUNS), rng.choice(HOW)
        answer = rng.choice(["Please {v} the {n} {how}.", "You {v} the {n} {how}."]).format(v=v, n=n, how=how)
        if rng.random() < 0.3:
            answer += f" Then check the {n} again and rest for a while."
        ask = rng.choice(ASK).format(v=v, n=n)
        chats.append([{"role": "user", "content": ask}, {"role": "assistant", "content": answer}])
    return chats


@pytest.fixture(scope="session")
def micro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the micro model, `.../artifacts/<digest>`. Read it only."""
    import torch

    from curation.artifact import Policy
    from curation.models.lineage import Lineage
    from curation.models.saving import save_model
    from rlhf.recipe.identity import artifact_digest
    from rlhf.training import pretrain

    torch.set_num_threads(1)
    chats = micro_chats(400)
    tokenizer = pretrain.train_tokenizer((m["content"] for chat in chats for m in chat), 512)
    rows = [tokenizer(tokenizer.apply_chat_template(chat, tokenize=False))["input_ids"] for chat in chats]
    model = pretrain.new_llama(tokenizer, seed=0)
    pretrain.train(model, rows, max_steps=80, pad=tokenizer.pad_token_id, seed=0)
    raw = tmp_path_factory.mktemp("micro") / "artifacts" / "new"
    save_model(raw, model, tokenizer, Lineage())
    return raw.rename(raw.parent / artifact_digest(Policy, raw))


@pytest.fixture
def micro_copy(micro: Path, tmp_path: Path) -> Path:
    """A copy of the micro model that a test may change."""
    return Path(shutil.copytree(micro, tmp_path / "artifacts" / micro.name))


@pytest.fixture(scope="session")
def labeling_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The real Argilla server (`labeling_server.Server`), once a process; each test has data sets of its own."""
    sys.path.insert(0, str(Path(__file__).parent))
    from labeling_server import served

    with served(tmp_path_factory.mktemp("label") / "home") as server:
        yield server


BROWSER = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --allow-file-access-from-files --hide-scrollbars"
).split()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium (`playwright.sync_api.Browser`). Closed with the module: while it is open nothing else in the
    process can run an event loop."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("needs Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER)
        yield browser
        browser.close()
