"""Rankings, ratings and reviews on the real server: what people say there comes back value by value, ties included."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from memory_log import Log

from curation.conversation import Answer, Candidates, Conversation, Message
from curation.labeling import online
from curation.labeling.argilla import Connection, Server, chat
from curation.labeling.chats import Rated, Reviewed
from curation.labeling.rounds import Terms
from curation.labeling.tasks import Asked, Compared

pytestmark = pytest.mark.heavy

NASTY = [
    "<script>alert(1)</script> <img src=x onerror=alert(1)> a < b && b > c",
    "[link](javascript:alert(1)) ![](http://tracker.example/x.png) [ref]: javascript:alert(1)",
    "```html\n<b>code</b>\n``` `vector<int>`",
    "\u200fمرحبا 👩\u200d👩\u200d👧 \x00 京塔",
]


def look(asked: Asked, server: Any, log: Log, name: str, **terms: Any) -> tuple[Any, dict[str, dict[str, Any]]]:
    """(where the asking stands, code -> record as the server has it)."""
    connection: Connection = Server(server.url, "rlhf", server.owner.api_key).connect()
    now, where = online.look(asked, connection, log, Terms(**terms), name, "")
    found: dict[str, dict[str, Any]] = {}
    for url in filter(None, where.split(" and ")):
        dataset = url.split("/dataset/")[1].split("/")[0]
        items = server.made("GET", f"datasets/{dataset}/records?limit=1000&include=responses&include=suggestions")
        found |= {item["external_id"]: item for item in items["items"]}
    return now, found


def say(server: Any, record: dict[str, Any], key: str, values: dict[str, Any], status: str = "submitted") -> str:
    body = {"values": {name: {"value": value} for name, value in values.items()}, "status": status}
    return str(server.made("POST", f"records/{record['id']}/responses", body, key)["id"])


def texts(record: dict[str, Any]) -> dict[str, str]:
    """Field -> its text, without what makes it inert."""
    fields = record["fields"].items()
    return {name: "".join(m["content"] for m in field).replace("\u200b", "") for name, field in fields}


def test_rankings_come_back_with_their_ranks_and_ties(server: Any) -> None:
    rows = [
        Candidates(prompt=(Message("user", f"{n}?"),), answers=tuple(Answer(f"{x}{n}") for x in names))
        for n, names in enumerate(("abcd", "abc", "ab"))
    ]
    asked, log = Compared.about(rows), Log()
    now, shown = look(asked, server, log, "ranks", min_submitted=2)
    assert now.message() == "0 of 6 answered" and len(shown) == 3, "three data sets: four answers, three, and two"
    ann, bo = server.person("ranks-ann"), server.person("ranks-bo")
    # a, b, c, d get these ranks; the list is sent backwards and with places left free, as a dragging hand leaves it.
    opinions = {ann: {"a": 2, "b": 1, "c": 2, "d": 4}, bo: {"a": 1, "b": 1, "c": 3, "d": 4}}
    for record in shown.values():
        where = {text[0]: name for name, text in texts(record).items() if name != "prompt"}
        for key, ranks in opinions.items():
            if len(where) == 2:
                better = "tie" if ranks["a"] == ranks["b"] else where["b"].removeprefix("answer_")
                say(server, record, key, {"better": better})
            else:
                order = [{"value": where[x], "rank": min(ranks[x], len(where))} for x in sorted(where, reverse=True)]
                say(server, record, key, {"ranking": order})
    now, _ = look(asked, server, log, "ranks", min_submitted=2)
    assert now.complete and now.answered == 6
    right = {
        "0": {"ranks-ann": {"b0": 1, "a0": 2, "c0": 2, "d0": 3}, "ranks-bo": {"a0": 1, "b0": 1, "c0": 2, "d0": 3}},
        "1": {"ranks-ann": {"b1": 1, "a1": 2, "c1": 2}, "ranks-bo": {"a1": 1, "b1": 1, "c1": 2}},
        "2": {"ranks-ann": {"b2": 1, "a2": 2}, "ranks-bo": {"a2": 1, "b2": 1}},
    }
    found: dict[str, Any] = {}
    for item, people in asked.rankings(now.said).items():
        answers = [m.content for m in asked.items[item].answers]
        told = {who: dict(zip(answers, ranks, strict=True)) for who, ranks in people.items()}
        found[asked.items[item].prompt[0].content[0]] = told
    assert found == right
    made, lost = asked.preferences(now.said)
    assert len(made) == 6 + 3 + 1 and lost == []
    outcome = {(p.chosen[0].content, p.rejected[0].content): p.verdict for p in made}
    assert outcome["b0", "a0"] == "chosen"  # one says so, the other sees a tie: the margin is one
    assert outcome["a0", "c0"] == "chosen" and {outcome.get(pair) for pair in (("b2", "a2"), ("a2", "b2"))} == {
        None,
        "tie",
    }
    assert all(line["at"] for line in log.read("ranking")), "when it was given is kept, for the pace of reading"


def test_conversations_with_different_prompts_come_back_as_they_were_judged(server: Any) -> None:
    rows = [Candidates(prompt=(Message("user", f"ask {n}"),), answers=(Answer(f"reply {n}"),)) for n in range(3)]
    asked, log = Compared.about(rows, cross_prompt=3), Log()
    now, shown = look(asked, server, log, "across", min_submitted=2)
    assert now.message() == "0 of 6 answered" and len(shown) == 3
    keys = [server.person("across-ann"), server.person("across-bo")]
    for record in shown.values():
        chats = {side: record["fields"][f"chat_{side}"] for side in "ab"}
        numbers = {side: chat[0]["content"].removeprefix("ask ") for side, chat in chats.items()}
        assert [m["role"] for m in chats["a"]] == ["user", "assistant"]
        assert all(chat[1]["content"] == f"reply {numbers[side]}" for side, chat in chats.items())
        for key in keys:
            say(server, record, key, {"better": max(numbers, key=lambda side: numbers[side])})
    now, _ = look(asked, server, log, "across", min_submitted=2)
    assert now.complete
    made, lost = asked.preferences(now.said)
    found = {(p.chosen[0].content, p.rejected[0].content) for p in made}
    assert found == {("ask 1", "ask 0"), ("ask 2", "ask 0"), ("ask 2", "ask 1")} and lost == []


def test_what_a_model_chooses_is_preselected_where_it_is_asked_for(server: Any) -> None:
    prompt, log = (Message("user", "?"),), Log()
    rows = [Candidates(prompt=prompt, answers=tuple(map(Answer, names))) for names in ("abc", "de")]
    asked = Compared.about(rows)
    asked.suggest([[1.0, 3.0, 3.0], [1.0, 2.0]])
    _, shown = look(asked, server, log, "hints")
    told: dict[str, Any] = {}
    for record in shown.values():
        where = {name: text for name, text in texts(record).items() if name != "prompt"}
        (hint,) = record["suggestions"]
        if isinstance(hint["value"], list):
            told |= {where[one["value"]]: one["rank"] for one in hint["value"]}
        else:
            told["better"] = where[f"answer_{hint['value']}"]
    assert told == {"a": 2, "b": 1, "c": 1, "better": "e"}
    ann = server.person("hints-ann")
    for record in shown.values():
        (hint,) = record["suggestions"]
        say(server, record, ann, {"ranking" if isinstance(hint["value"], list) else "better": hint["value"]})
    now, _ = look(asked, server, log, "hints")
    assert now.complete and all(line["suggested"] for name in ("ranking", "preference") for line in log.read(name))
    made, _ = asked.preferences(now.said)
    assert {p.chosen[0].content + p.rejected[0].content for p in made if p.verdict == "chosen"} == {"ba", "ca", "ed"}


def test_guidelines_that_are_too_long_for_argilla_are_said_to_be_cut(server: Any) -> None:
    connection: Connection = Server(server.url, "rlhf", server.owner.api_key).connect()
    said: list[str] = []
    text = "<script>alert(1)</script>" + "x" * 12_000
    asked = Rated.about(chats(1), {"help": "<b>" + "y" * 2_000})
    _, where = online.look(asked, connection, Log(), Terms(), "long-guidelines", text, warn=said.append)
    assert said == ["Argilla shows 10,000 characters of guidelines; the last 2,025 are not seen there"]
    dataset = server.made("GET", f"datasets/{where.split('/dataset/')[1].split('/')[0]}")
    assert len(dataset["guidelines"]) == 10_000 and "<script" not in dataset["guidelines"]


def chats(count: int = 3) -> list[Conversation]:
    return [
        Conversation(
            messages=(Message("user", f"{n}: {NASTY[n % 4]}"), Message("assistant", f"{NASTY[(n + 1) % 4]} {n}")),
            scores={"help": 2.0, "truth": 5.0},
        )
        for n in range(count)
    ]


def test_points_come_back_and_a_suggestion_is_marked_in_the_log(server: Any) -> None:
    aspects = {"help": "one can go on with it", "truth": "it is so"}
    asked, log = Rated.about(chats(), aspects), Log()
    _, shown = look(asked, server, log, "rates")
    assert all(not record["suggestions"] for record in shown.values()), "people are asked blind"
    ann = server.person("rates-ann")
    for record in shown.values():
        say(server, record, ann, {"help": int(texts(record)["prompt"][0]) + 1, "truth": 5, "note": "because"})
    now, _ = look(asked, server, log, "rates")
    assert now.complete
    made, _ = asked.scored(now.said)
    assert {row.messages[0].content[0]: row.scores["help"] for row in made} == {"0": 1.0, "1": 2.0, "2": 3.0}
    assert {line["note"] for line in log.read("rating")} == {"because"}

    hinted = Rated.about(chats(4)[3:], aspects, suggestions=True)
    _, shown = look(hinted, server, log, "rates")
    (record,) = shown.values()
    assert sorted(s["value"] for s in record["suggestions"]) == [2, 5]
    say(server, record, ann, {"help": 2, "truth": 5})
    now, _ = look(hinted, server, log, "rates")
    assert now.complete
    assert [line.get("suggested", False) for line in log.read("rating")] == [False] * 3 + [True]


def test_chats_are_accepted_dropped_and_put_right_and_nothing_in_them_can_run(server: Any) -> None:
    rows = chats(4)
    asked, log = Reviewed.about(rows, ("wrong", "unclear")), Log()
    _, shown = look(asked, server, log, "reviews")
    by_number = {texts(record)["prompt"][0]: record for record in shown.values()}
    for number, record in by_number.items():
        sent = "".join(m["content"] for field in record["fields"].values() for m in field)
        assert not re.search(r"<[a-z/!?]|!\[|\]\(\s*javascript|\]:\s*javascript", sent, re.IGNORECASE)
        row = rows[int(number)]
        answer = row.reply.replace("\x00", "\u2400")
        assert texts(record)["answer"] == answer
        assert [s["value"] for s in record["suggestions"]] == [row.reply], "the answer lies there to be worked on"
    ann = server.person("reviews-ann")
    say(server, by_number["0"], ann, {"action": "accept", "edited": rows[0].reply})
    say(server, by_number["1"], ann, {"action": "drop", "reason": "wrong", "edited": rows[1].reply})
    last = say(server, by_number["2"], ann, {"action": "edit", "edited": "Right <b>now</b> 😀"})
    say(server, by_number["3"], ann, {}, "discarded")
    now, _ = look(asked, server, log, "reviews")
    assert now.complete
    out = asked.outcome(now.said)
    assert [row.id for row in out.accepted] == [rows[0].id]
    assert [(row.reply, row.parent) for row in out.edited] == [("Right <b>now</b> 😀", rows[2].id)]
    assert {(row.id, word) for row, word in out.lost} == {(rows[1].id, "wrong"), (rows[3].id, "skipped")}

    # An edit without a text says neither yes nor no: it is named, and until it is put right the old answer stands.
    server.made("PUT", f"responses/{last}", {"values": {"action": {"value": "edit"}}, "status": "submitted"}, ann)
    now, _ = look(asked, server, log, "reviews")
    assert not now.complete and "what reviews-ann says of record v" in now.problems[0]
    assert asked.outcome(now.said).edited[0].reply == "Right <b>now</b> 😀"


def test_an_annotator_who_is_removed_takes_no_answer_along(server: Any) -> None:
    asked, log = Rated.about(chats(1), {"help": "x"}), Log()
    _, shown = look(asked, server, log, "leaves")
    (record,) = shown.values()
    say(server, record, server.person("leaves-ann"), {"help": 3})
    assert look(asked, server, log, "leaves")[0].complete
    users = server.made("GET", "users")["items"]
    server.made("DELETE", f"users/{next(u['id'] for u in users if u['username'] == 'leaves-ann')}")
    now, _ = look(asked, server, log, "leaves")
    assert now.complete and now.answered == 1


def test_what_was_said_just_before_a_change_of_reasons_is_taken_in(server: Any) -> None:
    """The data set with the old list of reasons is another one; what lies there unread still counts."""
    rows, log = chats(2), Log()
    _, shown = look(Reviewed.about(rows, ("wrong",)), server, log, "grows")
    ann = server.person("grows-ann")
    for record in shown.values():
        say(server, record, ann, {"action": "accept"})
    now, _ = look(Reviewed.about(rows, ("wrong", "rude")), server, log, "grows")
    assert now.complete and now.answered == 2


def test_a_message_of_ten_megabytes_is_shown_as_far_as_argilla_can_and_says_what_is_missing(server: Any) -> None:
    row = Conversation(messages=(Message("user", "x"), Message("assistant", "<b>" + "y" * 10_000_000 + "end")))
    _, shown = look(Rated.about([row], {"help": "x"}), server, Log(), "long-long")
    (record,) = shown.values()
    answer = record["fields"]["answer"]
    assert len(answer) <= 500 and answer[-1]["content"].endswith("end")
    assert re.match(r"\[\.\.\. [\d,]+ characters before this are not shown \.\.\.\]", answer[0]["content"])


def test_what_argilla_refuses_is_filled_in() -> None:
    assert chat(()) == [{"role": "system", "content": "(empty)"}]
    assert chat([Message("assistant", " \n")]) == [{"role": "assistant", "content": "(empty)"}]
    call = Message("assistant", "", '{"tool_calls":[{"function":{"arguments":"{}","name":"add"},"type":"function"}]}')
    assert chat([call])[0]["content"] == '[calls] {"arguments": "{}", "name": "add"}'
    assert [len(m["content"]) for m in chat([Message("user", "x" * 50_000)])] == [20_000, 20_000, 10_000]
