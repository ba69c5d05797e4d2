"""A run that is killed at any moment goes on, and comes to what it comes to when nobody kills it.

`RLHF_KILLS=50` kills at so many moments instead of a handful.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from run_to_kill import said
from small_rows import chats

from curation import table
from curation.conversation import Conversation
from curation.frame import to_frame

KILLS = int(os.environ.get("RLHF_KILLS", "6"))


def begun(given: Path, work: Path, out: Path) -> subprocess.Popen[str]:
    """A process that waits for a line to run at once."""
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    command = [sys.executable, str(Path(__file__).with_name("run_to_kill.py")), str(given), str(work), str(out)]
    environment = {**os.environ, "PYTHONPATH": paths, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.timeout(120 + 30 * KILLS)
def test_a_run_that_is_killed_at_any_moment_goes_on(tmp_path: Path) -> None:
    given = tmp_path / "given"
    table.write(given, to_frame(chats(120), Conversation))
    clean = said(given, tmp_path / "clean", tmp_path / "clean-out")
    _, (kept, dropped), lines = clean
    assert kept > 20 and dropped > 20 and lines[1]["children"] > 10
    assert kept + dropped == 120 + lines[1]["children"] - lines[1]["replaced"]
    started = time.monotonic()
    said(given, tmp_path / "timed", tmp_path / "timed-out")
    takes = time.monotonic() - started

    rng, under_way = random.Random(1), 0
    for number in range(KILLS):
        work = tmp_path / f"work-{number}"
        with begun(given, work, tmp_path / f"killed-{number}") as child:
            assert child.stdin and child.stdout and child.stdout.readline() == "ready\n"
            child.stdin.write("\n")
            child.stdin.flush()
            time.sleep(moment := rng.uniform(0, takes))
            child.send_signal(signal.SIGKILL)
        under_way += child.returncode == -signal.SIGKILL
        assert said(given, work, tmp_path / f"resumed-{number}") == clean, f"killed {moment:.3f} of {takes:.3f} s in"
        assert not list(work.rglob("*.part"))
    assert under_way >= KILLS / 2
