"""How far judges agree with people: by hand on a few pairs, and the figures that were published about GPT-4."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parents[2]))

from chat_server import chat_server

from curation import table
from curation.artifact import Ref
from curation.conversation import Message, Preference
from curation.errors import UserError
from rlhf.evaluation.calibration import agreement
from rlhf.recipe.caches import Answers, Scores
from rlhf.recipe.profile import Endpoint, Profile, Training
from rlhf.recipe.step import Room
from rlhf.steps.evaluate import Evaluate


def pair(n: int, better: str, worse: str, verdict: str = "chosen", by: str = "people", **votes: str) -> Preference:
    return Preference(
        prompt=(Message("user", f"question {n}"),),
        chosen=(Message("assistant", better),),
        rejected=(Message("assistant", worse),),
        verdict=verdict,
        decided_by=by,
        meta={"votes": votes},
    )


PAIRS = [
    pair(1, "a long good answer", "bad", annotator1="chosen", annotator2="chosen"),
    pair(2, "good", "a long bad answer", annotator1="chosen", annotator2="chosen"),
    pair(3, "good", "bad one", annotator1="chosen", annotator2="rejected"),
    pair(4, "one", "two", "tie", annotator1="tie", annotator2="tie"),
]


def test_agreement_by_hand() -> None:
    """A judge that is right, wrong, right, and says the first is better where people see no difference."""
    found = agreement(PAIRS, [1.0, 0.0, 1.0, 1.0])
    assert found["agreement"]["mean"] == 2 / 4
    assert found["agreement_without_ties"]["mean"] == pytest.approx(2 / 3)
    # The longer is the chosen one in the first pair alone; in the fourth both are as long, which is a tie.
    assert found["length_agreement"]["mean"] == 2 / 4
    assert found["over_length"]["mean"] == 0
    assert found["people"]["mean"] == 3 / 4
    assert (found["n"], found["ties"]) == (4, 1)


def test_a_judge_that_always_says_the_same_side_has_no_kappa_however_often_it_is_right() -> None:
    """Pairs keep the chosen answer first; a judge that is right by that order alone must not profit from it."""
    many = [pair(n, f"good {n}", f"bad {n}") for n in range(200)]
    assert agreement(many, [1.0] * 200)["kappa"]["mean"] == 1
    ever_first = [1.0 if p.chosen[0].content > p.rejected[0].content else 0.0 for p in many]  # "good" > "bad"
    assert agreement(many, ever_first)["agreement"]["mean"] == 1
    coin = [1.0 if n % 2 else 0.0 for n in range(200)]
    assert abs(agreement(many, coin)["kappa"]["mean"]) < 0.15


def evaluation(tmp_path: Path, pairs: list[Preference], **settings: Any) -> tuple[Evaluate, Room]:
    folder = tmp_path / "artifacts" / "human"
    table.write_rows(folder, pairs, Preference)
    for name in ("work", "out"):
        (tmp_path / name).mkdir()
    endpoints = settings.pop("endpoints", {})
    profile = Profile(training=Training(threads=1, device="cpu"), endpoints=endpoints)
    room = Room(
        tmp_path / "work", tmp_path / "out", profile, scores=Scores(tmp_path / "s"), answers=Answers(tmp_path / "a")
    )
    return Evaluate(calibrate=Ref("human", folder, table.digest(folder)), **settings), room


def test_a_scorer_is_held_against_people_without_any_policy(tmp_path: Path) -> None:
    """By `words` the longer answer wins: right about the first pair and about the tie."""
    step, room = evaluation(
        tmp_path, PAIRS, judges=[{"words": {"as": "wordy"}}], require="calibration.wordy.agreement.mean >= 0.5"
    )
    done = step.run(room)
    found = done.metrics["calibration"]["wordy"]  # type: ignore[union-attr]
    assert found["agreement"]["mean"] == 2 / 4 and found["by"] == "a rule" and "flip_rate" not in found
    assert "judged_by" not in done.metrics  # type: ignore[union-attr]
    assert json.loads((room.out / "evaluation.json").read_text())["metrics"]["calibration"]["wordy"]["n"] == 4


def test_a_judge_behind_an_endpoint_is_asked_in_both_orders(tmp_path: Path) -> None:
    """It prefers the answer shown first where the question is odd, and the good one elsewhere."""

    def says(body: dict[str, Any], number: int) -> str:
        text = body["messages"][-1]["content"]
        if "question 1" in text or "question 3" in text:
            return "[[A]]"
        return "[[A]]" if text.partition("<answer_a>")[2].lstrip().startswith(("good", "one")) else "[[B]]"

    with chat_server(says) as server:
        endpoints = {"gpt": Endpoint(base_url=server.url, usd_per_mtok=(1.0, 1.0))}
        step, room = evaluation(tmp_path, PAIRS, judges=[{"llm_judge": {"endpoint_model": "gpt"}}], endpoints=endpoints)
        done = step.run(room)
        asked = len(server.heard)
    found = done.metrics["calibration"]["llm_judge"]  # type: ignore[union-attr]
    assert asked == 8 and found["flip_rate"] == 2 / 4 and found["unreadable"] == 0
    # Two pairs are ties by the place alone; the second pair it gets right; of the tie it prefers one.
    assert found["agreement"]["mean"] == 1 / 4 and found["agreement_without_ties"]["mean"] == 1
    assert done.tokens["prompt"] > 0 and done.usd > 0  # type: ignore[union-attr]


def test_pairs_that_no_person_decided_are_left_out_and_alone_are_an_error(tmp_path: Path) -> None:
    mixed = [*PAIRS, pair(9, "x", "y", by="brevity")]
    step, room = evaluation(tmp_path, mixed, judges=[{"words": {"as": "wordy"}}])
    assert step.run(room).metrics["calibration"]["wordy"]["n"] == 4  # type: ignore[union-attr]
    assert room.warnings == ["1 of 5 pairs of human were not decided by people"]
    (tmp_path / "other").mkdir()
    step, room = evaluation(tmp_path / "other", [mixed[-1]], judges=[{"words": {"as": "wordy"}}])
    with pytest.raises(UserError, match="1 not_decided_by_people"):
        step.run(room)


def test_settings_are_checked() -> None:
    for wrong, words in (
        ({"calibrate": "human"}, "`calibrate` is for `judges`"),
        ({"calibrate": "human", "judges": [{"people": {"labels": "human"}}]}, "`calibrate` is for `judges`"),
        ({"calibrate": "human", "judges": ["brevity"], "held_out": "chats"}, "`policies` is missing"),
        ({"calibrate": "human", "judges": ["brevity"], "require": "calibration.brvity.n > 3"}, "no number"),
    ):
        with pytest.raises(ValidationError, match=words):
            Evaluate.model_validate(wrong)


def votes(path: Path, turn: int, judges: str) -> dict[str, list[str]]:
    """(question and pair of models) -> votes, each a model's name or `tie`."""
    found: dict[str, list[str]] = {}
    for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        if line["turn"] == turn and line["judge"].startswith(judges):
            key = json.dumps([line["question_id"], sorted([line["model_a"], line["model_b"]])])
            found.setdefault(key, []).append("tie" if "tie" in line["winner"] else line[line["winner"]])
    return found


def test_gpt_4_agrees_with_experts_as_the_mt_bench_paper_says(real_data: Path) -> None:
    """Table 5, first turn: every expert's vote against GPT-4's verdict, 886 of 1343; without ties 727 of 859."""
    folder = real_data / "mtbench_human"
    experts, gpt4 = votes(folder / "human.jsonl", 1, "expert_"), votes(folder / "gpt4_pair.jsonl", 1, "gpt4")
    pairs, said = [], []
    for key in experts.keys() & gpt4.keys():
        for own in gpt4[key]:
            for vote in experts[key]:
                a, b = json.loads(key)[1]
                better, worse = (b, a) if vote == b else (a, b)
                pairs.append(pair(len(pairs), f"by {better}", f"by {worse}", "tie" if vote == "tie" else "chosen"))
                said.append(0.5 if own == "tie" else 1.0 if own == better else 0.0)
    found = agreement(pairs, said)
    assert found["n"] == 1343 and found["agreement"]["mean"] == pytest.approx(886 / 1343)
    assert found["agreement_without_ties"]["mean"] == pytest.approx(727 / 859)
