"""Starting the server, and waiting until it answers."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from curation.errors import UserError
from curation.labeling.server.home import WORKSPACE, Home, Owner, Running

_PRIVATE = 0o077
"""The server's files are its user's alone: they hold everyone's keys."""
READY_S = 60.0
"""How long a start may take; a cold one on a slow disk needs a quarter of it."""


def admin(python: Path, home: Home, job: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Does a job on the server's database, in the server's environment (`inside/admin.py`).

    Args:
        given: Goes in through standard input, so that no password stands in a list of processes.

    Raises:
        UserError: it cannot be done; the message says why.
    """
    home.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [str(python), "-m", "inside.admin", job]
    with TemporaryDirectory() as away:  # Argilla leaves a copy of its UI wherever it is imported
        done = subprocess.run(
            command,
            input=json.dumps(dict(given)),
            env={**os.environ, **home.environment(), "TMPDIR": away},
            capture_output=True,
            text=True,
            check=False,
            umask=_PRIVATE,
        )
    lines = done.stdout.strip().splitlines()
    try:
        answer: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    except ValueError:
        answer = {}
    if done.returncode or "error" in answer or not lines:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise UserError(
            answer.get("error") or f"the labeling server's database: {said[-1]}", hint=answer.get("hint", "")
        )
    return answer


def prepared(python: Path, home: Home, chosen_password: str | None) -> tuple[Owner, bool]:
    """Makes the database and its owner where they are not there, and brings an older database up to date.

    What was prepared by this environment for this owner is noted, and not looked at again: that takes as long as the
    start itself.

    Args:
        chosen_password: The owner's from now on; None: as it was, and random the first time.

    Returns:
        The owner, and whether it was made just now.
    """
    owner = home.owner()
    new = owner is None
    if owner is None:
        owner = Owner(password=chosen_password) if chosen_password else Owner()
        home.keep_owner(owner)
    elif chosen_password and chosen_password != owner.password:
        owner = replace(owner, password=chosen_password)
        home.keep_owner(owner)
    given = {**asdict(owner), "workspace": WORKSPACE}
    mark = hashlib.sha256(json.dumps([str(python), given]).encode()).hexdigest()
    note = home.folder / "prepared"
    if not (home.database.exists() and note.exists() and note.read_text(encoding="utf-8") == mark):
        admin(python, home, "prepare", given)
        home.write(note, mark)
    return owner, new


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def free(host: str, port: int) -> None:
    """Raises where something else listens.

    Raises:
        UserError: the port is taken.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(f"port {port} of {host} is taken", hint=f"--port {port + 1} takes another one") from error


def start(python: Path, home: Home, host: str, port: int) -> subprocess.Popen[bytes]:
    """Starts the server's process, which writes to `server.log`."""
    command = [str(python), "-m", "uvicorn", "inside.app:app", "--host", host, "--port", str(port)]
    command += ["--log-level", "warning", "--no-access-log"]
    shutil.rmtree(home.scratch, ignore_errors=True)
    home.scratch.mkdir(parents=True, mode=0o700)
    with os.fdopen(os.open(home.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        return subprocess.Popen(
            command,
            env={**os.environ, **home.environment()},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            umask=_PRIVATE,
        )


def url_of(host: str, port: int) -> str:
    """The address to type into a browser on this machine."""
    name = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def wait(process: subprocess.Popen[bytes], home: Home, url: str, tick: Callable[[], None] = lambda: None) -> None:
    """Returns when the server answers.

    Raises:
        UserError: it ended, or does not answer in time.
    """
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise UserError(f"the server ended at once: {_last_line(home.log)}", hint=f"its log: {home.log}")
        if answers(url):
            home.write(home.folder / "running.json", json.dumps(asdict(Running(process.pid, url))))
            return
        tick()
        time.sleep(0.1)
    stop(process)
    raise UserError(f"the server did not answer in {READY_S:.0f} s", hint=f"its log: {home.log}")


def answers(url: str) -> bool:
    """Whether Argilla answers there."""
    try:
        with urllib.request.urlopen(f"{url}/api/v1/version", timeout=2) as answer:
            return bool(json.load(answer).get("version"))
    except (urllib.error.URLError, TimeoutError, ValueError, ConnectionError):
        return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """Asks the server to end, and ends it after ten seconds."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(path: Path) -> str:
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
