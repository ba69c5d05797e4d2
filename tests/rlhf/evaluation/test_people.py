"""A blind study, whose win rate is counted by hand: five prompts, two policies, three people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from curation import table
from curation.artifact import Ref
from curation.conversation import Answer, Candidates, Message, Preference
from curation.errors import UserError
from rlhf.evaluation.leaks import Seen, prompt_id
from rlhf.evaluation.people import study
from rlhf.recipe.profile import Profile, Training
from rlhf.recipe.step import Done, Room
from rlhf.steps.evaluate import Evaluate

OURS, THEIRS = "a" * 12, "b" * 12


def row(prompt: str, ours: str, theirs: str) -> Candidates:
    """Answers stand in no helpful order."""
    return Candidates(prompt=(Message("user", prompt),), answers=(Answer(theirs, THEIRS), Answer(ours, OURS)))


ROWS = [
    row("one", "ours 1", "theirs 1"),
    row("two", "ours 2", "theirs 2"),
    row("three", "ours 3", "theirs 3"),
    row("four", "the same", "the same "),
    row("five", "ours 5", "theirs 5"),
]


def pair(of: Candidates, better: str, worse: str, verdict: str, **votes: str) -> Preference:
    return Preference(
        prompt=of.prompt,
        chosen=(Message("assistant", better),),
        rejected=(Message("assistant", worse),),
        verdict=verdict,
        decided_by="people",
        parent=of.id,
        meta={"votes": votes},
    )


PAIRS = [
    pair(ROWS[0], "ours 1", "theirs 1", "chosen", annotator1="chosen", annotator2="chosen", annotator10="rejected"),
    pair(ROWS[1], "theirs 2", "ours 2", "chosen", annotator1="rejected", annotator2="chosen", annotator10="chosen"),
    pair(ROWS[2], "theirs 3", "ours 3", "tie", annotator1="tie", annotator2="chosen", annotator10="rejected"),
]
"""Of the fifth nobody had an opinion."""


def test_wins_are_counted_for_whoever_wrote_the_answer() -> None:
    found = study(PAIRS, ROWS, OURS, THEIRS, Seen()).figures(seed=0)
    # Ours wins one, loses two, ties three; four is a tie that nobody was asked; five has no verdict.
    assert [found[k] for k in ("wins", "ties", "losses", "n")] == [1, 2, 1, 4]
    assert found["win_rate"]["mean"] == (1 + 0 + 0.5 + 0.5) / 4
    assert (found["identical"], found["without_verdict"], found["by"]) == (1, 1, "people")


def test_the_other_way_round_it_is_the_complement() -> None:
    one = study(PAIRS, ROWS, OURS, THEIRS, Seen()).figures(seed=0)
    other = study(PAIRS, ROWS, THEIRS, OURS, Seen()).figures(seed=0)
    assert (one["wins"], one["losses"]) == (other["losses"], other["wins"])
    assert one["win_rate"]["mean"] + other["win_rate"]["mean"] == 1


def test_each_person_has_a_win_rate() -> None:
    people = study(PAIRS, ROWS, OURS, THEIRS, Seen()).figures(seed=0)["annotators"]
    assert list(people) == ["annotator1", "annotator2", "annotator10"]
    counts = {who: [f[k] for k in ("wins", "ties", "losses")] for who, f in people.items()}
    # Of three pairs: 1 likes ours 1 and 2, and ties 3; 2 likes ours 1, theirs 2 and 3; 10 theirs 1 and 2, ours 3.
    assert counts == {"annotator1": [2, 1, 0], "annotator2": [1, 0, 2], "annotator10": [1, 0, 2]}
    assert people["annotator1"]["win_rate"]["mean"] == pytest.approx(2.5 / 3)


def test_people_agree_as_far_as_their_votes_do() -> None:
    """One pair of three agrees about one and two, none about three."""
    found = study(PAIRS, ROWS, OURS, THEIRS, Seen()).figures(seed=0)["agreement"]
    assert (found["items"], found["votes"]) == (3, 9)
    assert found["raw"]["mean"] == pytest.approx(2 / 9)


def test_prompts_that_a_policy_was_trained_on_are_left_out() -> None:
    found = study(PAIRS, ROWS, OURS, THEIRS, Seen(frozenset({prompt_id(ROWS[0].prompt)})))
    assert found.trained_on == 1 and found.outcomes == [0.0, 0.5, 0.5]


def test_several_answers_of_each_are_pairs_of_one_prompt() -> None:
    several = Candidates(
        prompt=(Message("user", "many"),),
        answers=(Answer("x", OURS), Answer("y", OURS), Answer("x", THEIRS), Answer("z", THEIRS)),
    )
    pairs = [
        pair(several, "x", "z", "chosen", annotator1="chosen"),
        pair(several, "y", "x", "chosen", annotator1="chosen"),
        pair(several, "z", "y", "chosen", annotator1="chosen"),
    ]
    found = study(pairs, [several], OURS, THEIRS, Seen())
    # ours x: ties with theirs x, beats z; ours y: beats x, loses to z.
    assert sorted(found.outcomes) == [0.0, 0.5, 1.0, 1.0]
    assert found.figures(seed=0)["n"] == 1


def settings(tmp_path: Path, **more: Any) -> tuple[dict[str, Any], Room]:
    """An evaluation by people alone of a store that holds candidates and what people said of them."""
    store, digests = tmp_path / "artifacts", {}
    for name, rows, kind in (("answers", ROWS, Candidates), ("human", PAIRS, Preference)):
        table.write_rows(tmp_path / name, rows, kind)
        digests[name] = table.digest(tmp_path / name)
        store.mkdir(exist_ok=True)
        (tmp_path / name).rename(store / digests[name])
    made = {
        "answers": {"output": {"digest": digests["answers"], "kind": "candidates"}, "inputs": {}, "settings": {}},
        "human": {
            "output": {"digest": digests["human"], "kind": "preferences"},
            "inputs": {"data": digests["answers"]},
            "settings": {},
            "decided_by": "people",
        },
    }
    (tmp_path / "work").mkdir()
    (tmp_path / "out").mkdir()
    profile = Profile(training=Training(threads=1, device="cpu"))
    room = Room(tmp_path / "work", tmp_path / "out", profile, inputs=made)
    written = {
        "policies": [Ref("koala", store / "k", OURS * 4)],
        "baseline": Ref("alpaca", store / "a", THEIRS * 4),
        "judges": [{"people": {"labels": Ref("human", store / digests["human"], digests["human"])}}],
    }
    return {**written, **more}, room


def test_people_judge_an_evaluation_and_no_model_is_opened(tmp_path: Path) -> None:
    given, room = settings(tmp_path, require="koala.win_rate.mean >= 0.5 and koala.people.identical == 1")
    done = Evaluate(**given).run(room)
    assert isinstance(done, Done)
    assert done.metrics["koala"]["people"]["win_rate"]["mean"] == 0.5
    assert done.metrics["koala"]["win_rate"] == done.metrics["koala"]["people"]["win_rate"]
    assert done.metrics["judged_by"] == ["people"] and done.metrics["prompts"] == 4
    assert done.examples[0]["answers"].keys() == {"alpaca", "koala"} and len(done.examples) == 3
    assert "of 1 pairs of answers of koala nobody had an opinion" in room.warnings
    kept = json.loads((room.out / "evaluation.json").read_text())["people"]["people"]["koala"]
    assert sorted(kept["outcomes"]) == [0.0, 0.5, 0.5, 1.0] and len(kept["votes"]) == 3


def test_a_policy_whose_answers_nobody_compared_is_an_error(tmp_path: Path) -> None:
    given, room = settings(tmp_path)
    with pytest.raises(UserError, match="no answer of 'stranger'"):
        Evaluate(**{**given, "policies": [Ref("stranger", tmp_path, "c" * 64)]}).run(room)
    room.inputs["human"]["inputs"].clear()  # type: ignore[index]
    with pytest.raises(UserError, match="who wrote the answers that 'human' compares is not known"):
        Evaluate(**given).run(room)


def test_what_is_written_about_people_is_checked() -> None:
    whole = {"policies": ["a"], "baseline": "b"}
    for judges, words in (
        (["people"], "labels"),
        ([{"people": {"labels": "human", "min": 3}}], "min"),
        ([{"people": {"labels": "human"}}, {"people": {"labels": "other"}}], "two judges are called `people`"),
        (["brevity"], "`judges` compare answers to `prompts`"),
    ):
        with pytest.raises(ValidationError) as error:
            Evaluate.model_validate({**whole, "judges": judges})
        assert words in str(error.value.errors(include_url=False))
    step = Evaluate.model_validate({**whole, "judges": {"people": {"labels": "human", "as": "study"}}})
    assert step.judges[0].column == "study"
    assert step.model_dump(by_alias=True)["judges"] == [{"people": {"labels": "human", "as_": "study"}}]
