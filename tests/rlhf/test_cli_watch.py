"""`rlhf run --watch`: it stays while people answer, goes on by itself, and leaves at Ctrl-C with all that was said."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
RLHF = [sys.executable, "-c", "import sys; from rlhf.cli import main; sys.exit(main())"]
RECIPE = """\
recipe: watched
steps:
  chats: {step: ingest, makes: conversations, datasets: [{path: chats.jsonl, format: messages, license: cc0-1.0}]}
  looked: {step: review, data: chats}
  after: {step: curate, data: looked, operators: [words]}
"""


def laid_out(folder: Path) -> None:
    turns = [[{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": f"a{n}"}] for n in range(3)]
    lines = [json.dumps({"messages": messages}) + "\n" for messages in turns]
    (folder / "chats.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "watched.yaml").write_text(RECIPE, encoding="utf-8")


def watching(folder: Path) -> subprocess.Popen[str]:
    words = ["run", str(folder / "watched.yaml"), "--watch", "--no-page", "--store", str(folder / "store")]
    command = [*RLHF, *words, "--set", "profile.labeling.poll_s=0.2"]
    with (folder / "said.txt").open("a") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, text=True, env=dict(os.environ))


def fill(form: Path, limit: int) -> None:
    with form.open(encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f))
    for row in rows[:limit]:
        row["verdict"] = "accept"
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    new = form.with_name(".new")  # as an editor saves: at once
    new.write_text(text.getvalue(), encoding="utf-8")
    os.replace(new, form)


def until(there: Callable[[], bool], folder: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not there():
        assert time.monotonic() < end and process.poll() is None, (folder / "said.txt").read_text()
        time.sleep(0.05)


@pytest.mark.heavy
def test_it_stays_goes_on_by_itself_and_leaves_cleanly(tmp_path: Path) -> None:
    form = tmp_path / "store" / "labeling" / "looked" / "annotator1.csv"
    log = tmp_path / "store" / "labels" / "review.jsonl"

    def said(text: str) -> bool:
        return text in (tmp_path / "said.txt").read_text()

    laid_out(tmp_path)
    process = watching(tmp_path)
    try:
        until(form.exists, tmp_path, process)
        fill(form, 2)
        until(lambda: said("2 of 3 answered"), tmp_path, process)
        assert len(log.read_text().splitlines()) == 2
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 3, "it leaves as a run does that waits"
        assert not said("Traceback")

        process = watching(tmp_path)
        until(lambda: (tmp_path / "said.txt").read_text().count("2 of 3 answered") > 2, tmp_path, process)
        fill(form, 3)
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()
    assert said("after: done")
    assert (tmp_path / "said.txt").read_text().count("0 of 3 answered") == 1, "only news is said"


def test_a_plan_says_what_would_be_stranded_before_it_is(rlhf: Run, tmp_path: Path) -> None:
    laid_out(tmp_path)
    recipe = ("watched.yaml", "--store", "store")
    assert rlhf("run", *recipe, "--no-page")[0] == 3
    fill(tmp_path / "store" / "labeling" / "looked" / "annotator1.csv", 2)
    (tmp_path / "rules.md").write_text("Be fair.")
    assert "warning" not in rlhf("plan", *recipe)[2]
    _, _, said = rlhf("plan", *recipe, "--set", "looked.guidelines=rules.md")
    assert "looked: 2 answers were given under other guidelines, and do not count; they are kept" in " ".join(
        said.split()
    )
    lines = (tmp_path / "chats.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "chats.jsonl").write_text("".join(line.replace('"content": "a', '"content": "b') for line in lines))
    code, out, _ = rlhf("run", *recipe, "--no-page")
    assert code == 3
    assert "warning: 2 answers were given about rows that are no longer asked about" in " ".join(out.split())
    assert out.index("no longer asked about") < out.index("0 of 3 answered")
