"""docs/labeling.md, from the first command to the reward model: every command runs, on a server that it starts."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from labeling_server import free_port

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "labeling.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
    for line in block.splitlines()
]
RLHF = [sys.executable, "-m", "rlhf.cli"]

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(400)]


def asked(url: str, key: str, method: str, place: str, body: Any = None) -> Any:
    headers = {"X-Argilla-Api-Key": key, "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/api/v1/{place}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_the_page_takes_a_newcomer_to_a_reward_model(tmp_path: Path, micro: Path) -> None:
    assert COMMANDS[0] == "pip install rlhf-curation"
    assert COMMANDS[1] == "rlhf label serve"
    left_out = ("RLHF_", "ARGILLA_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    rows = [{"prompt": f"How do I open box {n}?", "answers": ["Please open it with care.", "No."]} for n in range(6)]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "helpful.md").write_text("# Prefer the *helpful* one")
    (recipe,) = re.findall(r"`judge.yaml`:\n\n```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "judge.yaml").write_text(recipe)
    smaller = ["--set", f"base.model_name_or_path={micro}", "--set", "reward.max_steps=2"]
    port = free_port()
    serve = [*RLHF, "label", "serve", "--port", str(port), "--json"]
    server = subprocess.Popen(serve, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["username"] == "owner"
        for command in COMMANDS[2:]:
            words = shlex.split(command)
            assert words[0] == "rlhf", command
            if words[1:3] == ["label", "pull"]:
                answered(tmp_path, f"http://127.0.0.1:{port}")
            if words[1] == "run":
                words += [*smaller, "--no-page"]
            done = subprocess.run([*RLHF, *words[1:]], cwd=tmp_path, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
    finally:
        server.kill()
        server.wait()
        if server.stdout:
            server.stdout.close()
    card = (tmp_path / "labels" / "README.md").read_text()
    assert "people: 5 answers of 1" in card
    show = [*RLHF, "show", "judge.yaml", *smaller, "--json"]
    shown = subprocess.run(show, cwd=tmp_path, env=environment, capture_output=True, text=True)
    steps = json.loads(shown.stdout)["steps"]
    assert steps["pairs"]["counts"]["rows"] == 5
    assert steps["reward"]["state"] == "done"


def answered(folder: Path, url: str) -> None:
    """The owner answers five of the six, as the page shows it in the browser."""
    key = json.loads((folder / ".rlhf" / "argilla" / "owner.json").read_text())["api_key"]
    (dataset,) = asked(url, key, "GET", "me/datasets")["items"]
    for record in asked(url, key, "GET", f"datasets/{dataset['id']}/records?limit=10")["items"][:5]:
        side = "a" if record["fields"]["answer_a"][0]["content"].startswith("Please") else "b"
        body = {"values": {"better": {"value": side}}, "status": "submitted"}
        asked(url, key, "POST", f"records/{record['id']}/responses", body)
