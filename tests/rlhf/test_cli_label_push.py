"""`rlhf label push`, `pull` and `import` on the real server: from a file to labeled rows, with no recipe written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from labeling_server import Server, free_port

from rlhf.cli import main
from rlhf.recipe.caches import Labels

pytestmark = pytest.mark.heavy

Said = tuple[int, dict[str, Any], str]


@pytest.fixture
def label(
    labeling_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Runs `rlhf label ...` in a folder of its own; gives exit code, JSON and what stands on the error output."""
    monkeypatch.setenv("ARGILLA_API_KEY", labeling_server.owner.api_key)
    monkeypatch.delenv("RLHF_LABEL_HOME", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(action: str, *words: str, url: str = labeling_server.url) -> Said:
        capsys.readouterr()
        code = main(["label", action, *words, "--api-url", url, "--store", "store", "--json"])
        out, err = capsys.readouterr()
        return code, json.loads(out), err

    return run


def wrote(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path.name


def records(server: Server, url: str) -> list[dict[str, Any]]:
    dataset = url.split("/dataset/")[1].split("/")[0]
    found: list[dict[str, Any]] = server.made("GET", f"datasets/{dataset}/records?limit=100")["items"]
    return found


def says(server: Server, record: dict[str, Any], key: str, **values: Any) -> None:
    body = {"values": {name: {"value": value} for name, value in values.items()}, "status": "submitted"}
    server.made("POST", f"records/{record['id']}/responses", body, key)


def side(record: dict[str, Any], text: str) -> str:
    return next(x for x in "ab" if record["fields"][f"answer_{x}"][0]["content"] == text)


PAIRS = [{"prompt": f"question {n}", "chosen": f"yes {n}", "rejected": f"no {n}"} for n in range(3)]


def test_a_file_of_pairs_is_judged_anew(label: Any, labeling_server: Server, tmp_path: Path) -> None:
    file = wrote(tmp_path / "old-pairs.jsonl", PAIRS)
    (tmp_path / "guide.md").write_text("Prefer **no**.")
    code, said, _ = label("push", file, "--question", "compare", "--guidelines", "guide.md")
    assert (code, said["name"], said["message"]) == (0, "old-pairs", "0 of 3 answered")
    dataset = said["url"].split("/dataset/")[1].split("/")[0]
    assert labeling_server.made("GET", f"datasets/{dataset}")["guidelines"] == "Prefer **no**."
    assert label("push", file, "--question", "compare", "--guidelines", "guide.md")[1]["url"] == said["url"]
    put_up = records(labeling_server, said["url"])
    assert len(put_up) == 3, "pushing twice adds nothing"

    key = labeling_server.person("push-ann")
    by_prompt = {r["fields"]["prompt"][0]["content"]: r for r in put_up}
    for n in (0, 1):
        record = by_prompt[f"question {n}"]
        says(labeling_server, record, key, better=side(record, f"no {n}"))
    code, said, _ = label("pull", "old-pairs", "--out", "labels")
    assert (code, said["message"], said["path"]) == (3, "2 of 3 answered", None)
    assert not (tmp_path / "labels").exists()
    assert len(Labels(tmp_path / "store" / "labels").read("preference")) == 2, "what was said is kept all the same"

    code, said, _ = label("pull", "--out", "labels", "--now")
    assert (code, said["splits"], said["dropped"]) == (0, {"train": 2}, 1)
    rows = pl.read_parquet(tmp_path / "labels" / "data" / "*.parquet").sort("prompt")
    assert [r[0]["content"] for r in rows["chosen"]] == ["no 0", "no 1"]
    assert [r[0]["content"] for r in rows["rejected"]] == ["yes 0", "yes 1"]
    card = (tmp_path / "labels" / "README.md").read_text()
    assert "- `old-pairs` (compare): people: 2 answers of 1 person" in card and "push-ann" not in card

    record = by_prompt["question 2"]
    says(labeling_server, record, key, better="tie")
    code, said, _ = label("pull", "old-pairs", "--out", "labels")
    assert (code, said["splits"], said["ties"]) == (0, {"train": 2}, 1)


def test_what_a_step_of_a_recipe_made_is_rated(label: Any, labeling_server: Server, tmp_path: Path) -> None:
    chats = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in ("ab", "cd")
    ]
    wrote(tmp_path / "chats.jsonl", chats)
    data = "{step: ingest, makes: conversations, datasets: [{path: chats.jsonl, format: messages}]}"
    (tmp_path / "mine.yaml").write_text(f"recipe: mine\nsteps:\n  chats: {data}\n")
    code, said, _ = label("push", "mine.yaml", "chats", "--question", "rate")
    assert code == 1 and "chats" in said["error"]["what"], "the step has not run"
    assert main(["run", "mine.yaml", "--store", "store", "--no-page"]) == 0
    code, said, _ = label("push", "mine.yaml", "chats", "--question", "rate", "--min-submitted", "2")
    assert (code, said["name"], said["message"]) == (0, "chats-rate", "0 of 4 answered")
    for name, points in (("push-bo", 5), ("push-cy", 2)):
        key = labeling_server.person(name)
        for record in records(labeling_server, said["url"]):
            values = dict.fromkeys(("instruction", "truth", "honesty", "help"), points)
            says(labeling_server, record, key, **values)
    code, said, _ = label("pull", "--out", "rated")
    assert (code, said["kind"]) == (0, "conversations")
    rows = pl.read_parquet(tmp_path / "rated" / "data" / "*.parquet")
    assert [scores["help"] for scores in rows["scores"]] == [3.5, 3.5]
    code, said, _ = label("push", "mine.yaml", "chat", "--question", "rate")
    assert code == 2 and said["error"]["hint"] == "did you mean 'chats'?"


def test_flags_reach_the_question_and_the_wrong_file_is_refused(
    label: Any, labeling_server: Server, tmp_path: Path
) -> None:
    def turns(prompt: str, answer: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]}

    file = wrote(tmp_path / "talks.jsonl", [turns("a", "b"), {"prompt": "p", "chosen": "x", "rejected": "y"}])
    known = wrote(tmp_path / "known.jsonl", [{**turns("c", "nonsense"), "points": {"wit": 1}}])
    code, said, _ = label("push", file, "--question", "compare", "--aspects", "wit")
    assert (code, said["error"]["what"]) == (2, "--aspects is for `--question rate`, and here it is compare")
    words = ("--question", "rate", "--aspects", "wit=it made me laugh", "--gold", known, "--gold-items", "1")
    code, said, _ = label("push", file, *words)
    assert (code, said["message"]) == (0, "0 of 3 answered")
    dataset = said["url"].split("/dataset/")[1].split("/")[0]
    asked = labeling_server.made("GET", f"datasets/{dataset}/questions")["items"]
    assert (asked[0]["name"], asked[0]["description"]) == ("wit", "it made me laugh")
    answers = {record["fields"]["answer"][0]["content"] for record in records(labeling_server, said["url"])}
    assert answers == {"b", "x", "nonsense"}
    only = wrote(tmp_path / "only.jsonl", [turns("a", "b")])
    code, said, _ = label("push", only, "--question", "compare")
    assert code == 1 and said["error"]["what"].startswith("only.jsonl, line 1: it holds `messages`")
    assert "`--question rate or review` would fit it" in said["error"]["hint"]


def theirs(server: Server, name: str, fields: list[str], question: dict[str, Any], rows: list[list[str]]) -> list[Any]:
    """A data set as somebody else makes one; its records."""
    workspace = server.made("GET", "me/workspaces")["items"][0]["id"]
    body = {"name": name, "workspace_id": workspace, "distribution": {"strategy": "overlap", "min_submitted": 1}}
    place = f"datasets/{server.made('POST', 'datasets', body)['id']}"
    for field in fields:
        kind = {"type": "text", "use_markdown": False}
        server.made("POST", f"{place}/fields", {"name": field, "title": field, "required": True, "settings": kind})
    server.made("POST", f"{place}/questions", {"title": "?", "required": True, **question})
    server.made("PUT", f"{place}/publish")
    items = [{"fields": dict(zip(fields, row, strict=True))} for row in rows]
    server.made("POST", f"{place}/records/bulk", {"items": items})
    found: list[Any] = server.made("GET", f"{place}/records?limit=100")["items"]
    return found


def options(*values: str) -> list[dict[str, Any]]:
    return [{"value": value, "text": value, "description": None} for value in values]


def test_labels_of_another_data_set_become_ours(label: Any, labeling_server: Server, tmp_path: Path) -> None:
    fields = ["instruction", "response_1", "response_2"]
    choice = {"type": "label_selection", "options": options("1", "2", "tie"), "visible_options": 3}
    rows = [["q0", "good", "bad"], ["q1", "bad", "good"], ["q2", "x", "y"], ["q3", "same", "same"], ["q4", "u", "v"]]
    made = theirs(labeling_server, "theirs", fields, {"name": "preference", "settings": choice}, rows)
    key = labeling_server.person("import-ann")
    by_row = {record["fields"]["instruction"]: record for record in made}
    for name, said in (("q0", "1"), ("q1", "2"), ("q2", "tie"), ("q3", "1")):
        says(labeling_server, by_row[name], key, preference=said)
    code, said, told = label("import", "--dataset", "theirs", "--out", "out")
    assert code == 0, said
    assert "field response_2: answer 2" in told
    assert "question preference: which is better (1 = response_1, 2 = response_2, tie = tie)" in told
    assert "4 records, 3 answers, 3 of them new, 1 identical_answers" in told
    assert (said["splits"], said["ties"]) == ({"train": 2}, 1)
    rows_ = pl.read_parquet(tmp_path / "out" / "data" / "*.parquet")
    assert {(r[0]["content"]) for r in rows_["chosen"]} == {"good"}
    assert len(Labels(tmp_path / "store" / "labels").read("preference")) == 3
    assert "0 of them new" in label("import", "--dataset", "theirs", "--out", "out")[2]


def test_a_ranking_with_a_tie_is_imported_by_rank(label: Any, labeling_server: Server, tmp_path: Path) -> None:
    fields = ["prompt", "answer_a", "answer_b", "answer_c"]
    ranking = {"type": "ranking", "options": options("a", "b", "c")}
    (record,) = theirs(
        labeling_server, "theirs-ranked", fields, {"name": "order", "settings": ranking}, [["q", "x", "y", "z"]]
    )
    order = [{"value": "b", "rank": 1}, {"value": "a", "rank": 2}, {"value": "c", "rank": 2}]
    says(labeling_server, record, labeling_server.person("import-bo"), order=order)
    code, said, _ = label("import", "--dataset", "theirs-ranked", "--out", "out")
    assert (code, said["splits"], said["ties"]) == (0, {"train": 2}, 1)
    rows = pl.read_parquet(tmp_path / "out" / "data" / "*.parquet")
    pairs = {(c[0]["content"], r[0]["content"]) for c, r in zip(rows["chosen"], rows["rejected"], strict=True)}
    assert pairs == {("y", "x"), ("y", "z")}


def test_what_goes_wrong_says_what_to_do(
    label: Any, labeling_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = wrote(tmp_path / "fault.jsonl", PAIRS)
    push = ("push", file, "--question", "compare")
    code, said, _ = label("import", "--dataset", "no-such")
    assert (code, "no data set 'no-such'" in said["error"]["what"]) == (1, True)
    code, said, _ = label("pull", "nothing")
    assert (code, said["error"]["hint"]) == (2, "rlhf label push FILE --question compare puts something up")
    code, said, _ = label(*push, "--workspace", "elsewhere")
    assert code == 1 and "no workspace 'elsewhere'" in said["error"]["what"] and "rlhf" in said["error"]["hint"]
    code, said, _ = label("pull", "fault")
    assert "nothing was put up" in said["error"]["what"], "a first push that failed leaves no name behind"

    url = label(*push)[1]["url"]
    key = labeling_server.person("fault-ann")
    first, second, _ = records(labeling_server, url)
    says(labeling_server, first, key, better="a")
    assert label("pull", "fault")[1]["message"] == "1 of 3 answered"
    says(labeling_server, second, key, better="b")
    users = {u["username"]: u["id"] for u in labeling_server.made("GET", "users")["items"]}
    labeling_server.made("DELETE", f"users/{users['fault-ann']}")
    assert label("pull", "fault")[1]["message"] == "1 of 3 answered", "what was taken in is kept without its author"
    labeling_server.made("DELETE", f"datasets/{url.split('/dataset/')[1].split('/')[0]}")
    code, said, _ = label("pull", "fault")
    assert (code, said["message"]) == (3, "1 of 3 answered")
    assert len(records(labeling_server, said["url"])) == 2, "what still lacks an answer is put up again"

    monkeypatch.setenv("ARGILLA_API_KEY", "wrong")
    code, said, _ = label("pull", "fault")
    assert code == 1 and "does not take the key" in said["error"]["what"]
    monkeypatch.delenv("ARGILLA_API_KEY")
    code, said, _ = label("pull", "fault")
    assert code == 1 and "ARGILLA_API_KEY is not set" in said["error"]["what"]
    monkeypatch.setenv("ARGILLA_API_KEY", "any")
    code, said, _ = label("pull", "fault", url=f"http://127.0.0.1:{free_port()}")
    assert code == 1 and "does not answer" in said["error"]["what"]
    assert len(Labels(tmp_path / "store" / "labels").read("preference")) == 1

    code, said, _ = label("push", wrote(tmp_path / "other.jsonl", PAIRS), "--question", "compare", "--name", "fault")
    assert code == 2 and "--name gives another one" in said["error"]["hint"]
