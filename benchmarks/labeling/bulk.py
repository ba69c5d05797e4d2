"""How fast a step's records go up and people's answers come back: the client's own code, with a log on the disk."""

from __future__ import annotations

import random
import time
from pathlib import Path

from boards import chat
from served import Served

from curation.conversation import Answer, Candidates, Message
from curation.labeling.argilla import Server
from curation.labeling.log import Book
from curation.labeling.online import board_name, pull
from curation.labeling.tasks import Compared
from rlhf.recipe.caches import Labels

LANGUAGES = ("en", "vi", "de", "ar", "zh", "th")


def measured(server: Served, folder: Path, count: int) -> dict[str, float]:
    """Records a second of a push and of two pulls: everything is new, and nothing is.

    A prompt has 40 words, each answer 120; half of the records are answered by one of three people.
    """
    rng = random.Random(0)

    def candidates(n: int) -> Candidates:
        language = LANGUAGES[n % len(LANGUAGES)]
        a, b = (Answer(f"{chat(rng, language, 120)} {side}", side) for side in "ab")
        return Candidates(prompt=(Message("user", f"question {n}: {chat(rng, language, 40)}"),), answers=(a, b))

    asked = Compared.about(map(candidates, range(count)))
    shown = [item.shown(0, "g") for item in asked.items.values()]
    question = asked.questions[0]
    connection = Server(server.url, "rlhf", server.owner.api_key).connect()
    board = connection.board(board_name("bulk", question, "g"), question, "", 2)
    book = Book(Labels(folder))
    book.show(shown)

    started = time.perf_counter()
    board.push(shown)
    found = {"push": count / (time.perf_counter() - started)}

    owner = server.session()
    people = [session.made("GET", "me")["id"] for session in server.people(3, "bulk")]
    for begin in range(0, count, 500):
        page = owner.made("GET", f"datasets/{board.id}/records?limit=500&offset={begin}")["items"]
        answers = [
            {
                "id": record["id"],
                "responses": [
                    {
                        "user_id": rng.choice(people),
                        "status": "submitted",
                        "values": {"better": {"value": rng.choice("ab")}},
                    }
                ],
            }
            for record in page[::2]
        ]
        owner.made("PUT", f"datasets/{board.id}/records/bulk", {"items": answers})
    owner.close()
    names = connection.people()
    for name in ("pull, all new", "pull, nothing new"):
        started = time.perf_counter()
        problems: list[str] = []
        there = pull(board, Book(Labels(folder)), names, problems)
        found[name] = count / (time.perf_counter() - started)
        if len(there) != count or problems:
            raise RuntimeError(f"{len(there)} of {count} came back: {problems[:3]}")
    if len(Book(Labels(folder)).lines["preference"]) != (count + 1) // 2:
        raise RuntimeError("not every answer came back")
    return found
