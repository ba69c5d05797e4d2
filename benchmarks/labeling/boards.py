"""Data sets to measure on: pairs of chats, as the steps push them, in six scripts and with what filters go by."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from served import Session

from curation.labeling.server.home import WORKSPACE

WORDS = {
    "en": "people compare two answers and choose the one that helps more while the other waits in the queue".split(),
    "vi": "người ta so sánh hai câu trả lời và chọn câu nào giúp ích hơn trong khi câu kia chờ".split(),
    "de": "menschen vergleichen zwei antworten und wählen die bessere während die andere wartet".split(),
    "ar": "يقارن الناس بين إجابتين ويختارون الأفضل بينما تنتظر الأخرى".split(),
    "zh": ["人们比较两个回答", "选择更有帮助的那个", "东京塔很高", "另一个在等待"],
    "th": ["คนเปรียบเทียบสองคำตอบ", "เลือกอันที่ช่วยได้มากกว่า"],
}


def records(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """What is pushed: a prompt of 40 words, two answers of 120, three values of metadata."""
    rng = random.Random(seed)
    found = []
    for n in range(count):
        language = list(WORDS)[n % len(WORDS)]
        turn = {"role": "user", "content": f"question {n}: {chat(rng, language, 40)}"}
        fields: dict[str, Any] = {"prompt": [turn]}
        for side in ("answer_a", "answer_b"):
            fields[side] = [{"role": "assistant", "content": chat(rng, language, 120)}]
        metadata = {"language": language, "length": rng.randrange(10, 2000), "margin": round(rng.random(), 4)}
        found.append({"external_id": f"record-{seed}-{n}", "fields": fields, "metadata": metadata})
    return found


def with_answers(items: list[dict[str, Any]], question: str, people: Sequence[str]) -> list[dict[str, Any]]:
    """The same records, half of them with a suggestion and a third with answers of two people."""
    rng = random.Random(1)
    for n, item in enumerate(items):
        if n % 2 == 0:
            score = round(rng.random(), 3)
            item["suggestions"] = [{"question_id": question, "value": rng.choice("ab"), "score": score, "agent": "rm"}]
        if n % 3 == 0:
            who = rng.sample(list(people), 2)
            values = {"better": {"value": rng.choice(["a", "b", "tie"])}}
            item["responses"] = [{"user_id": one, "values": values, "status": "submitted"} for one in who]
    return items


def chat(rng: random.Random, language: str, words: int) -> str:
    """A text of so many words."""
    return " ".join(rng.choice(WORDS[language]) for _ in range(words))


def made(owner: Session, name: str, min_submitted: int) -> str:
    """A published data set without records; its id."""
    workspace = next(w["id"] for w in owner.made("GET", "me/workspaces")["items"] if w["name"] == WORKSPACE)
    body = {
        "name": name,
        "workspace_id": workspace,
        "distribution": {"strategy": "overlap", "min_submitted": min_submitted},
        "allow_extra_metadata": False,
    }
    dataset = str(owner.made("POST", "datasets", body)["id"])
    place = f"datasets/{dataset}"
    for field in ("prompt", "answer_a", "answer_b"):
        settings = {"type": "chat", "use_markdown": True}
        owner.made("POST", f"{place}/fields", {"name": field, "title": field, "required": True, "settings": settings})
    options = [{"value": v, "text": v, "description": None} for v in ("a", "b", "tie")]
    choice = {"type": "label_selection", "options": options, "visible_options": 3}
    owner.made("POST", f"{place}/questions", {"name": "better", "title": "?", "required": True, "settings": choice})
    for prop, kind in (("language", "terms"), ("length", "integer"), ("margin", "float")):
        body = {"name": prop, "title": prop, "settings": {"type": kind}, "visible_for_annotators": True}
        owner.made("POST", f"{place}/metadata-properties", body)
    owner.made("PUT", f"{place}/publish")
    return dataset


def pushed(owner: Session, dataset: str, items: list[dict[str, Any]], at_once: int = 200) -> None:
    """Records, by the bulk call."""
    for begin in range(0, len(items), at_once):
        owner.made("POST", f"datasets/{dataset}/records/bulk", {"items": items[begin : begin + at_once]})
