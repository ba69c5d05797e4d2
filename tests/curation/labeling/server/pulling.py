"""A client that pulls without end, to be killed: `pulling.py URL KEY FOLDER`. Says `go` when it begins."""

from __future__ import annotations

import sys
from pathlib import Path

from curation.conversation import Conversation, Message
from curation.labeling import argilla, online
from curation.labeling.chats import Rated
from curation.labeling.rounds import Round, Terms
from rlhf.recipe.caches import Labels

COUNT = 60
NAME = "killed"


def asked() -> Rated:
    rows = (Conversation(messages=(Message("user", f"{n}"), Message("assistant", "a"))) for n in range(COUNT))
    return Rated.about(rows, {"help": "x"})


def look(url: str, key: str, folder: Path) -> Round:
    connection = argilla.Server(url, "rlhf", key).connect()
    return online.look(asked(), connection, Labels(folder), Terms(), NAME, "")[0]


if __name__ == "__main__":
    argilla._PULLED_AT_ONCE = 10  # several pages a pull
    print("go", flush=True)
    while True:
        look(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
        print("pulled", flush=True)
