"""`rlhf label`: from nothing to a server that people log in to, as its user types it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from labeling_server import free_port

pytestmark = pytest.mark.heavy

RLHF = [sys.executable, "-c", "import sys; from rlhf.cli import main; sys.exit(main())"]


def rlhf(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RLHF, *words], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


@contextmanager
def served(home: Path, port: int, **environment: str) -> Iterator[list[str]]:
    """What a server says until it is ready; it is ended by Ctrl-C, and must end well."""
    command = [*RLHF, "label", "serve", "--port", str(port), "--home", str(home)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}
    )
    said: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line.strip())
            if "Ctrl-C" in line:
                break
        assert process.poll() is None, said
        yield said
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def log_in(port: int, name: str, password: str) -> str:
    """The token that a browser would get."""
    form = urllib.parse.urlencode({"username": name, "password": password}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/token", form, timeout=30) as answer:
        token: str = json.load(answer)["access_token"]
        return token


def whoami(port: int, token: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/me", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        name: str = json.load(answer)["username"]
        return name


def said_after(lines: list[str], word: str) -> str:
    return next(line.removeprefix(word).strip() for line in lines if line.startswith(word))


def test_a_server_from_nothing_to_a_backup(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    with served(home, port) as said:
        password = said_after(said, "password")
        assert len(password) == 20
        token = log_in(port, "owner", password)
        assert whoami(port, token) == "owner"
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).read().decode()
        assert "<title>Argilla</title>" in page

        added = json.loads(rlhf("label", "users", "add", "ann", "--home", str(home), "--json").stdout)
        assert whoami(port, log_in(port, "ann", added["password"])) == "ann"
        again = rlhf("label", "users", "add", "ann", "--home", str(home))
        assert again.returncode == 1
        assert "there is a user 'ann' already" in again.stderr
        users = json.loads(rlhf("label", "users", "list", "--home", str(home), "--json").stdout)["users"]
        assert [(u["username"], u["role"]) for u in users] == [("owner", "owner"), ("ann", "annotator")]

        status = json.loads(rlhf("label", "status", "--home", str(home), "--json").stdout)
        assert status["running"] is True
        assert status["url"] == f"http://127.0.0.1:{port}"
        second = rlhf("label", "serve", "--home", str(home), "--port", str(free_port()))
        assert second.returncode == 1
        assert f"runs already at http://127.0.0.1:{port}" in second.stderr

        kept = rlhf("label", "backup", str(tmp_path / "copy"), "--home", str(home))
        assert kept.returncode == 0, kept.stderr

    ended = rlhf("label", "status", "--home", str(home))
    assert ended.returncode == 1
    assert "no server runs" in ended.stdout

    with served(tmp_path / "copy", port) as said:  # the copy is as good as the first, and logins outlive a restart
        assert password not in "\n".join(said)
        assert whoami(port, token) == "owner"
        assert whoami(port, log_in(port, "ann", added["password"])) == "ann"


def test_other_machines_are_let_in_with_a_password_of_one_s_own_only(tmp_path: Path) -> None:
    bare = rlhf("label", "serve", "--host", "0.0.0.0", "--home", str(tmp_path / "home"))
    assert bare.returncode == 2
    assert "choose a password of your own" in bare.stderr
    assert "RLHF_OWNER_PASSWORD" in bare.stderr
    short = rlhf("label", "serve", "--home", str(tmp_path / "home"), RLHF_OWNER_PASSWORD="12345678")
    assert short.returncode == 2
    assert "12 characters" in short.stderr
    assert not (tmp_path / "home").exists()


def test_a_port_that_is_taken_is_said_so(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = rlhf("label", "serve", "--port", str(port), "--home", str(tmp_path / "home"))
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken" in done.stderr
    assert f"--port {port + 1}" in done.stderr


def test_where_no_server_is_the_commands_say_so(tmp_path: Path) -> None:
    for words in (["users", "list"], ["users", "add", "ann"], ["backup", str(tmp_path / "copy")]):
        done = rlhf("label", *words, "--home", str(tmp_path / "none"))
        assert done.returncode == 1
        assert "rlhf label serve" in done.stderr
    assert not (tmp_path / "none").exists()
