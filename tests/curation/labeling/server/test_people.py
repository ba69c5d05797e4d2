"""Two people answer pairs on the real server; what comes back is what they said, and nothing is lost or doubled."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from curation.conversation import Answer, Candidates, Message
from curation.errors import UserError
from curation.labeling import online
from curation.labeling.argilla import Connection, Server
from curation.labeling.rounds import Terms
from curation.labeling.tasks import Compared

pytestmark = pytest.mark.heavy


class Log:
    """Answers in memory."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def append(self, answers: list[dict[str, Any]]) -> int:
        self.lines += answers
        return len(answers)

    def read(self, question: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["question"] == question]


def asked(count: int = 3) -> Compared:
    return Compared.about(
        Candidates(
            prompt=(Message("system", "Be brief."), Message("user", f"question {n}: 京塔?")),
            answers=(Answer(f"yes {n} <script>alert(1)</script>", "a"), Answer(f"no {n} 👍🏽", "b")),
        )
        for n in range(count)
    )


def connected(server: Any) -> Connection:
    return Server(server.url, "rlhf", server.owner.api_key).connect()


def records(server: Any, where: str) -> dict[str, dict[str, Any]]:
    """Code -> record, as the server has them."""
    dataset = where.split("/dataset/")[1].split("/")[0]
    items = server.made("GET", f"datasets/{dataset}/records?limit=1000&include=responses")["items"]
    return {item["external_id"]: item for item in items}


def answer(server: Any, record: dict[str, Any], key: str, side: str, note: str = "") -> str:
    """Says which side is better, as the UI would; returns the answer's id."""
    values = {"better": {"value": side}} | ({"note": {"value": note}} if note else {})
    body = {"values": values, "status": "submitted"}
    return str(server.made("POST", f"records/{record['id']}/responses", body, key)["id"])


def better(record: dict[str, Any], start: str) -> str:
    """The side on which the answer stands that begins so."""
    return next(side for side in "ab" if record["fields"][f"answer_{side}"][0]["content"].startswith(start))


def test_what_people_say_comes_back_as_preferences(server: Any) -> None:
    question, log, terms = asked(), Log(), Terms(guidelines="g1", min_submitted=2)
    now, where = online.look(question, connected(server), log, terms, "human", "Prefer *short* ones.")
    assert (now.answered, now.wanted, now.message()) == (0, 6, "0 of 6 answered")
    shown = records(server, where)
    assert len(shown) == 3
    one = next(iter(shown.values()))
    assert [m["role"] for m in one["fields"]["prompt"]] == ["system", "user"]

    again, _ = online.look(question, connected(server), log, terms, "human", "Prefer *short* ones.")
    assert again.answered == 0
    assert records(server, where).keys() == shown.keys(), "pushing twice adds nothing"

    ann, bo = server.person("people-ann"), server.person("people-bo")
    kept: list[str] = []
    for record in shown.values():
        kept.append(answer(server, record, ann, better(record, "yes"), "shorter"))
        answer(server, record, bo, better(record, "yes"))
    first = next(iter(shown.values()))
    now, _ = online.look(question, connected(server), log, terms, "human", "")
    assert (now.answered, now.complete) == (6, True)
    made, lost = question.preferences(now.said)
    assert lost == []
    assert sorted(p.chosen[0].content[:5] for p in made) == ["yes 0", "yes 1", "yes 2"]
    assert {p.verdict for p in made} == {"chosen"}
    assert {p.decided_by for p in made} == {"people"}
    assert [p.meta["votes"] for p in made] == [{"annotator1": "chosen", "annotator2": "chosen"}] * 3
    lines = log.read("preference")
    assert {line["annotator"] for line in lines} == {"people-ann", "people-bo"}
    assert all(datetime.fromisoformat(line["at"]) for line in lines), "the server says when each was given"
    assert [line["note"] for line in lines if line["annotator"] == "people-ann"] == ["shorter"] * 3

    # Nothing new was said, so nothing is added; then one changes her mind, and takes another answer back.
    online.look(question, connected(server), log, terms, "human", "")
    assert log.read("preference") == lines
    server.made("PUT", f"responses/{kept[0]}", {"values": {"better": {"value": "tie"}}, "status": "submitted"}, ann)
    server.made("DELETE", f"responses/{kept[1]}", key=ann)
    now, _ = online.look(question, connected(server), log, terms, "human", "")
    code = first["external_id"]
    item = next(line["item"] for line in log.read("preference_items") if line["record"] == code)
    assert now.said[item]["people-ann"] == "tie"
    assert (now.answered, now.complete) == (5, False)
    assert log.read("preference")[: len(lines)] == lines, "what was there stays as it was"
    assert [line["verdict"] for line in log.read("preference")[len(lines) :]].count("withdrawn") == 1


def test_a_data_set_that_someone_deleted_costs_no_answer(server: Any) -> None:
    question, log, terms = asked(2), Log(), Terms(guidelines="deleted", min_submitted=1)
    _, where = online.look(question, connected(server), log, terms, "gone", "")
    ann = server.person("gone-ann")
    for record in list(records(server, where).values())[:1]:
        answer(server, record, ann, "a")
    now, _ = online.look(question, connected(server), log, terms, "gone", "")
    assert now.answered == 1
    server.made("DELETE", f"datasets/{where.split('/dataset/')[1].split('/')[0]}")
    now, new = online.look(question, connected(server), log, terms, "gone", "")
    assert now.answered == 1
    assert new != where
    assert len(records(server, new)) == 1, "only what still lacks an answer is put up again"


def test_other_numbers_of_people_and_other_guidelines(server: Any) -> None:
    question, log = asked(2), Log()
    _, where = online.look(question, connected(server), log, Terms("g", 1), "terms", "")
    ann = server.person("terms-ann")
    for record in records(server, where).values():
        answer(server, record, ann, "b")
    now, _ = online.look(question, connected(server), log, Terms("g", 1), "terms", "")
    assert now.complete
    now, same = online.look(question, connected(server), log, Terms("g", 2), "terms", "")
    assert (now.answered, now.wanted, same) == (2, 4, where), "no answer is lost when more are wanted"
    now, other = online.look(question, connected(server), log, Terms("other", 1), "terms", "")
    assert (now.answered, now.stranded.guidelines) == (0, 2)
    assert other != where, "other guidelines ask another question"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"api_key": "wrong"}, "does not take the key in ARGILLA_API_KEY"),
        ({"workspace": "elsewhere"}, "has no workspace 'elsewhere'"),
        ({"api_url": "http://127.0.0.1:9"}, "does not answer"),
    ],
)
def test_what_is_wrong_with_a_server_is_said(server: Any, change: dict[str, str], said: str) -> None:
    right = {"api_url": server.url, "workspace": "rlhf", "api_key": server.owner.api_key}
    with pytest.raises(UserError, match=said) as caught:
        Server(**(right | change)).connect()
    assert caught.value.hint
    assert server.owner.api_key not in str(caught.value)


def test_the_profile_and_the_environment_must_name_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARGILLA_API_KEY", raising=False)
    with pytest.raises(UserError, match="it is not known where"):
        Server.of(None, None)
    with pytest.raises(UserError, match="ARGILLA_API_KEY is not set"):
        Server.of("http://127.0.0.1:6900", None)
    monkeypatch.setenv("ARGILLA_API_KEY", "secret")
    assert Server.of("http://127.0.0.1:6900/", None) == Server("http://127.0.0.1:6900", "rlhf", "secret")
    assert "secret" not in repr(Server.of("http://127.0.0.1:6900", None))


def test_very_long_chats_and_empty_answers_are_taken(server: Any) -> None:
    turns = tuple(Message("user" if n % 2 == 0 else "assistant", f"turn {n}") for n in range(701))
    question = Compared.about([Candidates(prompt=turns, answers=(Answer("", "a"), Answer("x" * 100_000, "b")))])
    _, where = online.look(question, connected(server), Log(), Terms("long", 1), "long", "")
    (record,) = records(server, where).values()
    chat = record["fields"]["prompt"]
    assert len(chat) == 500
    assert chat[-1]["content"] == "turn 700"
    assert "turn 0" in chat[0]["content"]
    said = ["".join(m["content"] for m in record["fields"][f"answer_{side}"]) for side in "ab"]
    assert sorted(said, key=len) == ["(empty)", "x" * 100_000], "a long answer comes in several messages"
