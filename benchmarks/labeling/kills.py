"""A labeling session in which server and client are killed (`kill -9`) at random moments: is any answer ever missing?

People answer without a pause, change some of their answers, and try again where the server is gone. A client pulls
into a log on the disk all the while, as `rlhf run --watch` does. Whatever the server said it took must stand in the log
in the end, as it was said last, and nothing more than once.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from served import Served, Session, served
from team import PENDING

WHOM = ("server", "client", "both")


@dataclass
class Outcome:
    """What was said and what became of it."""

    kills: dict[str, int] = field(default_factory=dict)
    taken: int = 0
    """Answers that the server said it took, changes included."""
    missing: list[str] = field(default_factory=list)
    """Of these, those that the log does not hold as they were said last."""
    twice: list[str] = field(default_factory=list)
    """Answers that the log holds twice in a row."""


class Answerer(threading.Thread):
    """Someone who answers, and who tries again where nobody answers."""

    def __init__(self, session: Session, name: str, dataset: str, seed: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.session, self.who, self.dataset, self.stop = session, name, dataset, stop
        self.rng = random.Random(seed)
        self.said: dict[str, set[str]] = {}
        """Code -> what it may say: one side where the server has confirmed it, two while a change is in the air."""
        self.taken = 0

    def run(self) -> None:
        mine: list[tuple[str, str, str]] = []
        while not self.stop.is_set():
            if mine and self.rng.random() < 0.2:
                code, record, answer = self.rng.choice(mine)
                self._say(code, "PUT", f"responses/{answer}", record)
                continue
            page = self._asked("POST", f"me/datasets/{self.dataset}/records/search?limit=5", PENDING)
            for item in (page or {}).get("items", []):
                record, code = item["record"]["id"], item["record"]["external_id"]
                answer = self._say(code, "POST", f"records/{record}/responses", record)
                if answer:
                    mine.append((code, record, answer))
            if not (page or {}).get("items"):
                time.sleep(0.1)

    def _say(self, code: str, method: str, place: str, record: str) -> str:
        side = self.rng.choice("ab")
        body = {"values": {"better": {"value": side}}, "status": "submitted"}
        self.said[code] = self.said.get(code, set()) | {side} if method == "PUT" else {side}
        sent = False
        while not self.stop.is_set() or not sent:
            sent = True
            try:
                status, answer = self.session.ask(method, place, body)
            except (OSError, HTTPException):
                if self.stop.is_set():
                    break
                time.sleep(0.2)
                continue
            if status < 300:
                self.taken += 1
                self.said[code] = {side}
                return str(answer["id"])
            if status in (409, 422) and method == "POST":  # it had been heard before the server died
                return ""
            time.sleep(0.2)
        if method == "POST":
            self.said.pop(code, None)  # nobody confirmed it
        return ""

    def _asked(self, method: str, place: str, body: Any) -> Any:
        try:
            status, answer = self.session.ask(method, place, body)
        except (OSError, HTTPException):
            time.sleep(0.2)
            return None
        return answer if status < 300 else None


def asked(count: int) -> Any:
    """The pairs that people compare."""
    from curation.conversation import Answer, Candidates, Message
    from curation.labeling.tasks import Compared

    return Compared.about(
        Candidates(
            prompt=(Message("user", f"question {n}"),), answers=(Answer(f"yes {n}", "a"), Answer(f"no {n}", "b"))
        )
        for n in range(count)
    )


def pull(url: str, folder: Path, count: int, once: bool) -> None:
    """What the client does: look, keep, look again."""
    from curation.errors import UserError
    from curation.labeling.argilla import KEY, Server
    from curation.labeling.online import look
    from curation.labeling.rounds import Terms
    from rlhf.recipe.caches import Labels

    while True:
        try:
            connection = Server(url, "rlhf", os.environ[KEY]).connect()
            look(asked(count), connection, Labels(folder), Terms("g", 1000), "session", "")
        except UserError:
            if once:
                raise
        if once:
            return
        time.sleep(0.2)


def _client(server: Served, folder: Path, count: int, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, server.url, str(folder), str(count), *more]
    return subprocess.Popen(command, env={**os.environ, "ARGILLA_API_KEY": server.owner.api_key})


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def session(folder: Path, kills: list[str], people: int = 3, count: int = 400, seed: int = 0) -> Outcome:
    """A session with these kills.

    Args:
        kills: Of whom, in this order: `server`, `client` or `both`.
    """
    rng, stop = random.Random(seed), threading.Event()
    with served(folder / "home") as server:
        labels = folder / "labels"
        _client(server, labels, count, "once").wait(120)
        owner = server.session()
        dataset = owner.made("GET", "me/datasets")["items"][0]["id"]
        owner.close()
        team = [
            Answerer(session, f"person-{n}", dataset, seed * 100 + n, stop)
            for n, session in enumerate(server.people(people))
        ]
        client = _client(server, labels, count)
        for one in team:
            one.start()
        try:
            for whom in kills:
                time.sleep(rng.uniform(0.5, 3.0))
                if whom != "server":
                    _kill(client)
                if whom != "client":
                    _kill(server.process)
                    time.sleep(rng.uniform(0.0, 0.5))
                    server.again()
                if whom != "server":
                    client = _client(server, labels, count)
            time.sleep(1.0)
        finally:
            stop.set()
            for one in team:
                one.join(60)
            _kill(client)
        _kill(server.process)
        server.again()
        if _client(server, labels, count, "once").wait(120):
            raise RuntimeError("the last pull failed")
        for one in team:
            one.session.close()
        outcome = _compared(labels, team)
    for whom in kills:
        outcome.kills[whom] = outcome.kills.get(whom, 0) + 1
    return outcome


def _compared(labels: Path, team: list[Answerer]) -> Outcome:
    from curation.labeling.log import Book
    from rlhf.recipe.caches import Labels

    outcome = Outcome(taken=sum(one.taken for one in team))
    book = Book(Labels(labels))
    last: dict[tuple[str, str], Any] = {}
    for line in book.lines["preference"]:
        place = (line["annotator"], line["record"])
        if place in last and last[place] == line["verdict"]:
            outcome.twice.append(f"{place}: {line['verdict']}")
        last[place] = line["verdict"]
    for one in team:
        for code, sides in one.said.items():
            shown = book.known[code]
            right = {shown.question.read(shown, {"better": side}) for side in sides}
            if last.get((one.who, code)) not in right:
                outcome.missing.append(f"{one.who} said {sides} of {code}; the log: {last.get((one.who, code))}")
    return outcome


if __name__ == "__main__":
    pull(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), "once" in sys.argv[4:])
