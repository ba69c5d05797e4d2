"""A client that is killed while it pulls, at random moments: no answer that people submitted is missing or double."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import pulling

KILLS = int(os.environ.get("RLHF_TEST_KILLS", "8"))

pytestmark = pytest.mark.heavy


def test_no_answer_is_lost_when_the_client_is_killed_while_it_pulls(server: Any, tmp_path: Path) -> None:
    key, log = server.owner.api_key, tmp_path / "labels" / "rating.jsonl"
    pulling.look(server.url, key, log.parent)
    ann = server.person("killed-ann")
    dataset = next(d["id"] for d in server.made("GET", "me/datasets")["items"] if d["name"].startswith(pulling.NAME))
    records = server.made("GET", f"datasets/{dataset}/records?limit=1000")["items"]
    assert len(records) == pulling.COUNT
    dice, submitted = random.Random(7), 0
    each = len(records) // KILLS
    for number in range(KILLS):
        for record in records[number * each : (number + 1) * each]:
            body = {"values": {"help": {"value": submitted % 5 + 1}}, "status": "submitted"}
            server.made("POST", f"records/{record['id']}/responses", body, ann)
            submitted += 1
        child = subprocess.Popen(
            [sys.executable, str(Path(pulling.__file__)), server.url, key, str(log.parent)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert child.stdout is not None and child.stdout.readline() == "go\n"
            time.sleep(dice.uniform(0, 0.6))
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
        lines = log.read_text().splitlines() if log.exists() else []
        assert len(lines) <= submitted + number + 1  # at most one torn line a kill
    now = pulling.look(server.url, key, log.parent)
    assert now.answered == submitted == each * KILLS
    values = [said["killed-ann"]["help"] for said in now.said.values()]
    assert sorted(values) == sorted(n % 5 + 1 for n in range(submitted))
    whole = []
    for line in log.read_text().splitlines():
        try:
            whole.append(json.loads(line))
        except ValueError:
            continue
    assert len({line["record"] for line in whole}) == len(whole) == submitted, "each answer stands there once"
    again = server.made("GET", f"datasets/{dataset}/records?limit=1000")["items"]
    assert len(again) == pulling.COUNT, "no record was put up twice"
