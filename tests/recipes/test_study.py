"""The human half of `koala` and `openassistant`: people fill in forms, and who wins is counted again by hand."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation import table
from curation.artifact import Ref, Surroundings, bind, hash_file
from curation.conversation import Answer, Candidates, Message
from rlhf.recipe.caches import Answers, Labels, Scores
from rlhf.recipe.load import load
from rlhf.recipe.profile import Profile, Training
from rlhf.recipe.step import Done, Room, Waiting

RLHF = [sys.executable, "-c", "import sys; from rlhf.cli import main; sys.exit(main())"]
Cells = dict[str, str]


def fill(path: Path, verdict: Callable[[Cells], str]) -> list[Cells]:
    """A person answers every row of a form; gives the rows."""
    with path.open(encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f))
    for row in rows:
        row["verdict"] = verdict(row)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")
    return rows


def worth(ours: str, theirs: str) -> float:
    """A person who likes the answer with more different letters, and sees no difference where there are as many."""
    a, b = len(set(ours)), len(set(theirs))
    return 1.0 if a > b else 0.0 if a < b else 0.5


@pytest.mark.heavy
def test_koala_s_study_from_the_answers_to_the_win_rate(micro: Path, tmp_path: Path) -> None:
    """As its user runs it: the run waits with the form's place, the form is filled in, the next run says who won."""
    sets = {
        "base.model_name_or_path": micro,
        "base.model_revision": "null",
        "sft.max_steps": 6,
        "sft.learning_rate": 1e-2,
        "sft.lora_r": 4,
        "answers.max_prompts": 12,
        "answers.max_completion_length": 8,
    }
    words = [w for name, value in sets.items() for w in ("--set", f"{name}={value}")]
    command = [*RLHF, "run", "mini/koala", "--until", "study", "--store", str(tmp_path / "store"), "--json", *words]

    def run() -> tuple[int, dict[str, Any]]:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode in (0, 3), ended.stdout + ended.stderr
        return ended.returncode, json.loads(ended.stdout)["steps"]

    code, steps = run()
    assert code == 3 and steps["human"]["state"] == "waiting"
    (form,) = (tmp_path / "store" / "labeling" / "human").glob("*.csv")
    blind = form.read_text(encoding="utf-8")
    assert not any(word in blind for word in ("sft", "koala", str(steps["sft"]["digest"])[:12], micro.name))

    def verdict(row: Cells) -> str:
        found = worth(row["answer_a"].removeprefix("'"), row["answer_b"].removeprefix("'"))
        return {1.0: "a", 0.0: "b", 0.5: "tie"}[found]

    asked = fill(form, verdict)
    code, steps = run()
    assert code == 0
    rows: list[Candidates] = table.rows(Path(steps["answers"]["path"]))
    trained = str(steps["sft"]["digest"])[:12]
    own = []
    for row in rows:
        by = {answer.policy == trained: answer.content for answer in row.answers}
        own.append(worth(by[True], by[False]) if by[True].strip() != by[False].strip() else 0.5)
    found = steps["study"]["metrics"]["sft"]["people"]
    assert len(rows) == 12 and len(asked) == 12 - found["identical"] > 0
    assert [found[k] for k in ("wins", "ties", "losses")] == [own.count(x) for x in (1.0, 0.5, 0.0)]
    assert found["win_rate"]["mean"] == pytest.approx(sum(own) / 12)
    assert found["annotators"].keys() == {"annotator1"}


PROMPTS = [f"question {n}" for n in range(9)]
DPO, SFT = "d" * 64, "e" * 64


def candidates() -> list[Candidates]:
    """Two answers of each policy to each prompt."""
    return [
        Candidates(
            prompt=(Message("user", p),),
            answers=tuple(Answer(f"{name} {p}", by[:12]) for by, names in ((DPO, "AB"), (SFT, "CD")) for name in names),
        )
        for p in PROMPTS
    ]


ORDERS = {"annotator1": "A>B>C>D", "annotator2": "B>C>A>D", "annotator3": "C>A>B>D"}
"""Condorcet's circle: A over B, B over C and C over A, each by two of three; all put D last."""


def test_openassistant_s_rankings_are_merged_by_ranked_pairs_and_say_which_policy_is_better(tmp_path: Path) -> None:
    """In every second prompt they go in a circle, which is a tie of three; in the others all agree on A>B>C>D."""
    recipe = load("openassistant")
    store = tmp_path / "artifacts"
    table.write_rows(tmp_path / "rows", candidates(), Candidates)
    digest = table.digest(tmp_path / "rows")
    store.mkdir()
    (tmp_path / "rows").rename(store / digest)
    refs = {"answers": (store / digest, digest), "dpo": (store / "d", DPO), "sft": (store / "e", SFT)}
    human: Any = bind(recipe.steps["human"], Surroundings(recipe.path.parent, hash_file, refs))

    def room(name: str, **more: Any) -> Room:
        made = tmp_path / f"{name}-{len(list(tmp_path.glob(f'{name}-*')))}"
        (made / "work").mkdir(parents=True)
        (made / "out").mkdir()
        profile = Profile(training=Training(threads=1, device="cpu"))
        shared: dict[str, Any] = {
            "scores": Scores(tmp_path / "scores"),
            "answers": Answers(tmp_path / "paid"),
            "labels": Labels(tmp_path / "labels"),
            "labeling": tmp_path / "forms",
        }
        return Room(made / "work", made / "out", profile, name, **shared, **more)

    waiting = human.run(room("human"))
    assert isinstance(waiting, Waiting) and waiting.message == "0 of 27 answered"
    for form in sorted((tmp_path / "forms" / "human").glob("*.csv")):

        def ranking(row: Cells, who: str = form.stem) -> str:
            order = ORDERS[who] if int(row["prompt"][-1]) % 2 else "A>B>C>D"
            stands = {row[f"answer_{x}"][0]: x for x in "abcd"}
            return ">".join(stands[name] for name in order.split(">"))

        fill(form, ranking)
    here = room("human")
    done = human.run(here)
    assert isinstance(done, Done) and done.metrics["consensus"] == "ranked_pairs"
    said = {
        (p.prompt[0].content, p.chosen[0].content[0] + p.rejected[0].content[0]): p.verdict
        for p in table.rows(here.out)
    }
    assert len(said) == 9 * 6
    for prompt in PROMPTS:
        circle = int(prompt[-1]) % 2
        for pair in ("AB", "AC", "BC"):
            verdict = said.get((prompt, pair), said.get((prompt, pair[::-1])))
            assert verdict == ("tie" if circle else "chosen")
            assert circle or (prompt, pair) in said
        assert all(said[prompt, f"{x}D"] == "chosen" for x in "ABC")

    there = table.digest(here.out)
    here.out.rename(store / there)
    inputs = {
        "answers": {"output": {"digest": digest, "kind": "candidates"}, "inputs": {}, "settings": {}},
        "human": {
            "output": {"digest": there, "kind": "preferences"},
            "inputs": {"data": digest},
            "settings": {},
            "decided_by": "people",
        },
    }
    refs["human"] = (store / there, there)
    study: Any = bind(recipe.steps["study"], Surroundings(recipe.path.parent, hash_file, refs))
    found = study.run(room("study", inputs=inputs)).metrics["dpo"]["people"]
    # dpo wrote A and B. Of AC, AD, BC, BD it wins all four where they agree, and where they do not AD and BD.
    assert [found[k] for k in ("wins", "ties", "losses", "n")] == [5 * 4 + 4 * 2, 4 * 2, 0, 9]
    assert found["win_rate"]["mean"] == pytest.approx((28 + 4) / 36)
    # Of the circle: 1 wins all of AC, AD, BC, BD; 2 wins AD, BC, BD; 3 wins AD, BD.
    wins = {who: (f["wins"], f["losses"]) for who, f in found["annotators"].items()}
    assert wins == {"annotator1": (36, 0), "annotator2": (20 + 12, 4), "annotator3": (20 + 8, 8)}


def test_both_recipes_ask_people_about_what_no_policy_was_trained_on() -> None:
    for name in ("koala", "mini/koala", "openassistant", "mini/openassistant"):
        steps: Any = load(name).steps
        judge = steps["study"].judges[0]
        assert (judge.op, str(judge.labels), str(steps["human"].data)) == ("people", "human", "answers")
        players = {str(ref) for ref in steps["study"].policies} | {str(steps["study"].baseline)}
        assert players == {str(ref) for ref in steps["answers"].policies}
        assert str(steps["answers"].prompts) == str(steps["report"].prompts)
        assert isinstance(steps["human"].data, Ref)
