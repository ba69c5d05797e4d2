"""Koala's blind study on the real server: two policies answer, two people choose in Argilla, and who wins is counted by
hand; the same verdicts then say how good a judge is.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import micro_chats
from labeling_server import Server

from curation import table
from rlhf import Recipe

pytestmark = pytest.mark.heavy

RECIPE = """
recipe: blind
base: {{model_name_or_path: {base}}}
steps:
  chats: {{step: ingest, makes: conversations, datasets: [{{path: chats.jsonl, format: messages, license: mit}}]}}
  questions: {{step: ingest, makes: conversations, datasets: [{{path: asks.jsonl, format: messages, license: mit}}]}}
  otter: {{step: sft, data: chats, max_steps: 4, lora_r: 4, learning_rate: 1e-2, global_batch_size: 8}}
  answers: {{step: sample, prompts: questions, policies: [otter, base], max_completion_length: 8}}
  blindly: {{step: compare, data: answers, min_submitted: 2}}
  study: {{step: evaluate, policies: [otter], baseline: base, judges: [{{people: {{labels: blindly}}}}]}}
  judged: {{step: evaluate, judges: [brevity], calibrate: blindly}}
"""
WORTH = {"a": 1.0, "tie": 0.5, "b": 0.0}


def variety(a: str, b: str) -> str:
    """One person likes many different letters."""
    return "a" if len(set(a)) > len(set(b)) else "b" if len(set(a)) < len(set(b)) else "tie"


def first_letter(a: str, b: str) -> str:
    """The other goes by the alphabet, and sees no difference in answers that begin alike."""
    return "a" if a[:1] < b[:1] else "b" if a[:1] > b[:1] else "tie"


PEOPLE = {"blind-ann": variety, "blind-bo": first_letter}


def read(answer: str) -> str:
    """An answer as people read it: the form has words for one that says nothing."""
    return answer.strip() or "(empty)"


def together(votes: list[str]) -> float:
    """The verdict of the two: what both say, else what is said more often, else a tie."""
    counts = Counter(votes).most_common()
    return WORTH[counts[0][0]] if len(counts) == 1 else 0.5


def rule(answer: str) -> float:
    """What `brevity` says it goes by: 32 / (32 + words), 2 less where the answer ends on no full stop."""
    words = len(re.findall(r"\w+", answer))
    return -2.0 if not words else 32 / (32 + words) - (0 if answer.rstrip().endswith((".", "?", "!")) else 2)


def exact_interval(outcomes: list[float]) -> tuple[float, float]:
    """The bootstrap's bounds without a draw: how the mean of n draws from the outcomes lies, by convolution."""
    n = len(outcomes)
    one = np.array([outcomes.count(0.0), outcomes.count(0.5), outcomes.count(1.0)]) / n
    whole = np.array([1.0])
    for _ in range(n):
        whole = np.convolve(whole, one)
    reached = np.cumsum(whole)
    low, high = (int(np.searchsorted(reached, q)) for q in (0.025, 0.975))
    return low / (2 * n), high / (2 * n)


def test_two_people_judge_two_policies_blind_and_a_judge_is_measured_by_them(
    micro: Path, tmp_path: Path, labeling_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGILLA_API_KEY", labeling_server.owner.api_key)
    chats, asks = micro_chats(24, seed=1), [chat[:1] for chat in micro_chats(14, seed=2)]
    for name, rows in (("chats", chats), ("asks", asks)):
        lines = (json.dumps({"messages": row}) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    known = {chat[0]["content"] for chat in chats} & {ask[0]["content"] for ask in asks}
    assert known  # otter was trained on some of the questions: these count for nobody
    (tmp_path / "blind.yaml").write_text(RECIPE.format(base=micro))
    where = {"backend": "argilla", "api_url": labeling_server.url, "workspace": "rlhf"}
    (tmp_path / "here.yaml").write_text(json.dumps({"labeling": where, "training": {"threads": 1}}))

    def run() -> Any:
        return Recipe.load(tmp_path / "blind.yaml", store=tmp_path / "store", profile=tmp_path / "here.yaml").run()

    waiting = run()
    url = waiting.result.outcomes["blindly"].hint
    assert waiting.exit_code == 3
    dataset = url.split("/dataset/")[1].split("/")[0]
    place = f"datasets/{dataset}"
    seen = [labeling_server.made("GET", place)]
    seen += [labeling_server.made("GET", f"{place}/{what}") for what in ("fields", "questions")]
    records = labeling_server.made("GET", f"{place}/records?limit=100&include=responses&include=suggestions")["items"]
    text = json.dumps([seen, records])
    digest = str(waiting["otter"].manifest.output.digest)
    assert not any(word in text for word in ("otter", "base", digest[:8], micro.name[:8]))
    assert all(record["metadata"] in (None, {}) and not record.get("suggestions") for record in records)

    for name, says in PEOPLE.items():
        key = labeling_server.person(name)
        for record in records:
            a, b = (record["fields"][f"answer_{side}"][0]["content"].strip() for side in "ab")
            body = {"values": {"better": {"value": says(a, b)}}, "status": "submitted"}
            labeling_server.made("POST", f"records/{record['id']}/responses", body, key)
    done = run()
    assert done.exit_code == 0

    own: dict[str, list[float]] = {"all": [], **{name: [] for name in PEOPLE}}
    identical = asked = 0
    for row in table.rows(done["answers"].path):
        by = {answer.policy == digest[:12]: read(answer.content) for answer in row.answers}
        asked += by[True] != by[False]
        if row.prompt[0].content in known:
            continue
        if by[True] == by[False]:
            identical += 1
            own["all"].append(0.5)
            continue
        votes = [says(by[True], by[False]) for says in PEOPLE.values()]
        own["all"].append(together(votes))
        for name, vote in zip(PEOPLE, votes, strict=True):
            own[name].append(WORTH[vote])
    assert len(records) == asked >= 5
    found = done["study"].manifest.metrics["otter"]["people"]
    assert found["identical"] == identical and found["without_verdict"] == 0
    one, other = (found["annotators"][f"annotator{n}"] for n in (1, 2))
    people = {"all": found, "blind-ann": one, "blind-bo": other}
    for name, outcomes in own.items():
        figures = people[name]
        assert [figures[k] for k in ("wins", "ties", "losses")] == [outcomes.count(x) for x in (1.0, 0.5, 0.0)]
        assert figures["win_rate"]["mean"] == pytest.approx(sum(outcomes) / len(outcomes))
        if 0 < sum(outcomes) < len(outcomes):
            low, high = exact_interval(outcomes)
            step = 1 / (2 * len(outcomes))
            assert figures["win_rate"]["low"] == pytest.approx(low, abs=step + 1e-9)
            assert figures["win_rate"]["high"] == pytest.approx(high, abs=step + 1e-9)

    pairs = table.rows(done["blindly"].path)
    hits = []
    for pair in pairs:
        a, b = (rule(answer[0].content) for answer in (pair.chosen, pair.rejected))
        hits.append(("chosen" if a > b else "rejected" if a < b else "tie") == pair.verdict)
    judged = done["judged"].manifest.metrics["calibration"]["brevity"]
    assert judged["n"] == len(pairs) and judged["by"] == "a rule"
    assert judged["agreement"]["mean"] == pytest.approx(sum(hits) / len(hits))
    alike = [len(set(pair.meta["votes"].values())) == 1 for pair in pairs]
    assert judged["people"]["mean"] == pytest.approx(sum(alike) / len(alike))
