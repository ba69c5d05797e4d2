"""`python -m curation.labeling.smoke URL`: does an Argilla server, of whatever kind, do what labeling needs?

Makes a data set, pushes a record, answers it, finds it, pulls the answer, and takes the data set away again. The key is
taken from ARGILLA_API_KEY; its user must be an owner, or an admin of the workspace.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from curation.conversation import Answer, Candidates, Message
from curation.errors import UserError
from curation.labeling.argilla import Board, Connection, Server
from curation.labeling.log import Book
from curation.labeling.online import board_name, pull
from curation.labeling.tasks import Compared

_WORD = "tower"
_SAID = "the tower is high"
_FINDS_S = 20.0
"""Search servers take a record in a moment after it was pushed."""


class _Memory:
    """A log that ends with the process."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def append(self, answers: list[dict[str, Any]]) -> int:
        self.lines += answers
        return len(answers)

    def read(self, question: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["question"] == question]


def smoke(server: Server, say: Callable[[str], None]) -> None:
    """Goes through it, and says what works.

    Raises:
        UserError: the first thing that does not.
    """
    connection = server.connect()
    say(f"version, key of {connection.me['username']} and workspace {server.workspace!r}: right")
    prompt = (Message("user", "Which tower?"),)
    asked = Compared.about([Candidates(prompt=prompt, answers=(Answer(_SAID, "a"), Answer("none", "b")))])
    (item,) = asked.items.values()
    shown, book = item.shown(0, ""), Book(_Memory())
    with _made(connection, f"smoke-{secrets.token_hex(4)}", item.question) as board:
        say("a data set: made and published")
        book.show([shown])
        board.push([shown])
        say("a record: pushed")
        (record,) = connection.ask("GET", f"datasets/{board.id}/records")["items"]
        answer = {"values": {"better": {"value": "a"}}, "status": "submitted"}
        connection.ask("POST", f"records/{record['id']}/responses", answer)
        say("an answer: submitted")
        problems: list[str] = []
        pull(board, book, connection.people(), problems)
        lines = book.lines["preference"]
        right = item.question.read(shown, {"better": "a"})
        if problems or [line["verdict"] for line in lines] != [right]:
            raise UserError(f"the answer did not come back as it was given: {problems or lines}", hint="report this")
        say("the answer: pulled")
        _searched(connection, board)
        say("the record: found by its text")
    say("the data set: taken away")


@contextmanager
def _made(connection: Connection, name: str, question: Any) -> Iterator[Board]:
    board = connection.board(board_name(name, question, ""), question, "", 1)
    try:
        yield board
    finally:
        connection.ask("DELETE", f"datasets/{board.id}")


def _searched(connection: Connection, board: Board) -> None:
    until = time.monotonic() + _FINDS_S
    body = {"query": {"text": {"q": _WORD}}}
    while not connection.ask("POST", f"me/datasets/{board.id}/records/search", body)["total"]:
        if time.monotonic() > until:
            hint = "is the search server of this Argilla running?"
            raise UserError(f"the search does not find {_WORD!r}, which was pushed {_FINDS_S:.0f} s ago", hint=hint)
        time.sleep(0.5)


def main(arguments: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m curation.labeling.smoke", description=__doc__.split("\n\n")[0])
    parser.add_argument("url", help="as the profile has it in labeling.api_url")
    parser.add_argument("--workspace", help="default: rlhf")
    args = parser.parse_args(arguments)
    try:
        smoke(Server.of(args.url, args.workspace), lambda text: print(text, flush=True))  # noqa: T201
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    print("all that labeling needs works")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
