"""The step that turns answers into preferences: by people on forms, by a rule, by a judge behind an endpoint."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import TypeAdapter, ValidationError

sys.path.insert(0, str(Path(__file__).parents[2]))

from chat_server import Says, chat_server

from curation import conversation, table
from curation.artifact import InputFile, Ref, identity
from curation.conversation import Answer, Conversation, Message, Preference
from curation.errors import UserError
from curation.operator import Scorer
from rlhf.recipe.caches import Answers, Labels, Scores
from rlhf.recipe.identity import artifact_digest, step_key
from rlhf.recipe.profile import Endpoint, Labeling, Profile
from rlhf.recipe.step import Done, Room, Waiting
from rlhf.steps.compare import Compare


class Counted(Scorer):
    """Length of an answer; counts how often it is asked, like a model that is dear."""

    chunked: ClassVar[bool] = True
    asked: ClassVar[list[int]] = []

    op: Literal["test/counted"] = "test/counted"

    def score(self, conversations: list[Conversation]) -> list[float]:
        self.asked.append(len(conversations))
        return [float(len(c.reply)) for c in conversations]


def answers(prompt: str, *texts: str | Answer) -> conversation.Candidates:
    made = tuple(t if isinstance(t, Answer) else Answer(t) for t in texts)
    return conversation.Candidates(
        prompt=(Message("user", prompt),), answers=made, split="train", meta={"tree": prompt}
    )


def data(tmp_path: Path, rows: list[conversation.Candidates]) -> Ref[Any]:
    folder = tmp_path / "artifacts" / "candidates"
    table.write_rows(folder, rows, conversation.Candidates)
    return Ref("answers", folder, table.digest(folder))


def room(tmp_path: Path, name: str = "human", **how: Any) -> Room:
    number = len(list(tmp_path.glob("try-*")))
    made = tmp_path / f"try-{number}"
    for folder in ("work", "out"):
        (made / folder).mkdir(parents=True)
    profile = Profile(labeling=Labeling(format=how.pop("format", "csv")), endpoints=how.pop("endpoints", {}))
    return Room(
        work=made / "work",
        out=made / "out",
        profile=profile,
        name=name,
        scores=Scores(tmp_path / "scores"),
        answers=Answers(tmp_path / "answers"),
        labels=Labels(tmp_path / "labels"),
        labeling=tmp_path / "labeling",
        **how,
    )


def pairs(here: Room) -> list[Preference]:
    return table.rows(here.out)


def shown(here: Room) -> set[tuple[str, str, str]]:
    return {(p.chosen[0].content, p.rejected[0].content, p.verdict) for p in pairs(here)}


def fill(path: Path, prefix: str, limit: int | None = None) -> None:
    with path.open(encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f))
    for row in rows[:limit]:
        row["verdict"] = "a" if row["answer_a"].startswith(prefix) else "b"
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")


ROWS = [
    answers("one", "good answer to one", "bad one"),
    answers("two", Answer("good answer to two, ünïcode 😀\nand =SUM(A1)", "policy 1", False), "bad two"),
    answers("three", "the same", "the same "),
    answers("four", "alone"),
]


def test_a_rule_decides_and_says_so(tmp_path: Path) -> None:
    here = room(tmp_path)
    done = Compare(data=data(tmp_path, ROWS), decided_by="brevity").run(here)
    assert isinstance(done, Done)
    assert done.decided_by == "brevity" and {p.decided_by for p in pairs(here)} == {"brevity"}
    # The long answer to two was cut off, so the rule prefers the finished one; to one, both end on no mark.
    assert {(p.chosen[0].content, p.verdict) for p in pairs(here)} == {("bad one", "chosen"), ("bad two", "chosen")}
    assert all(p.split == "train" and p.meta["tree"] in ("one", "two") for p in pairs(here))


def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    here = room(tmp_path)
    done = Compare(data=data(tmp_path, ROWS), decided_by="words").run(here)
    assert isinstance(done, Done) and done.ledger is not None
    assert done.ledger.problems() == []
    assert done.ledger.dropped() == {"compare: identical_answers": 1, "compare: one_answer": 1}
    lost = table.read(done.side["dropped"])
    assert sorted(lost["reason"]) == ["identical_answers", "one_answer"]
    assert done.metrics == {"pairs": 2, "ties": 0, "identical": 1}


def test_all_pairs_and_gaps(tmp_path: Path) -> None:
    rows = [answers("q", "a", "b b", "c c c c")]
    here = room(tmp_path)
    Compare(data=data(tmp_path, rows), decided_by="words", pairs="all", min_gap=2).run(here)
    assert shown(here) == {("c c c c", "b b", "chosen"), ("c c c c", "a", "chosen"), ("b b", "a", "tie")}
    scores = {p.chosen[0].content + p.rejected[0].content: p.scores for p in pairs(here)}
    assert scores["c c c ca"] == {"words_chosen": 4.0, "words_rejected": 1.0}


def test_a_dear_scorer_is_asked_once_about_each_answer_whatever_changes_after(tmp_path: Path) -> None:
    ref = data(tmp_path, ROWS)
    Counted.asked.clear()
    Compare(data=ref, decided_by=Counted()).run(room(tmp_path))
    assert Counted.asked == [4]
    Compare(data=ref, decided_by=Counted(), pairs="all", min_gap=3).run(room(tmp_path))
    assert Counted.asked == [4]


def test_no_pair_at_all_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 identical_answers, 1 one_answer") as error:
        Compare(data=data(tmp_path, ROWS[2:]), decided_by="words").run(room(tmp_path))
    assert "num_generations" in error.value.hint


def people(ref: Ref[Any], **settings: Any) -> Compare:
    return Compare(data=ref, **settings)


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_people_are_waited_for_and_then_heard(tmp_path: Path, format: str) -> None:
    ref = data(tmp_path, ROWS)
    waiting = people(ref).run(room(tmp_path, format=format))
    form = tmp_path / "labeling" / "human" / f"annotator1.{format}"
    assert waiting == Waiting("0 of 2 answered", str(form))
    if format == "jsonl":
        text = form.read_text(encoding="utf-8").replace('"verdict": ""', '"verdict": "tie"')
        form.write_text(text, encoding="utf-8")
    else:
        fill(form, "good", limit=1)
        assert people(ref).run(room(tmp_path)) == Waiting("1 of 2 answered", str(form))
        fill(form, "good")
    here = room(tmp_path)
    done = people(ref).run(here)
    assert isinstance(done, Done) and done.decided_by == "people"
    assert {p.decided_by for p in pairs(here)} == {"people"}
    if format == "csv":
        assert {p.chosen[0].content for p in pairs(here)} == {a.answers[0].content for a in ROWS[:2]}
    else:
        assert {p.verdict for p in pairs(here)} == {"tie"}
    assert done.metrics == {
        "pairs": 2,
        "ties": 0 if format == "csv" else 2,
        "answers": 2,
        "annotators": 1,
        "identical": 1,
        "consensus": "majority",
        "agreement": {"items": 0, "votes": 0},
        "people": {"annotator1": {"answers": 2, "skips": 0, "flags": []}},
    }


def test_a_form_shows_no_policy_and_no_model(tmp_path: Path) -> None:
    people(data(tmp_path, ROWS)).run(room(tmp_path))
    for path in (tmp_path / "labeling" / "human").iterdir():
        assert "policy 1" not in path.read_text(encoding="utf-8")


def test_the_same_answers_give_the_same_snapshot_in_another_store(tmp_path: Path) -> None:
    digests = []
    for store in ("one", "two"):
        ref = data(tmp_path / store, ROWS)
        people(ref).run(room(tmp_path / store))
        fill(tmp_path / store / "labeling" / "human" / "annotator1.csv", "good")
        here = room(tmp_path / store)
        people(ref).run(here)
        digests.append(artifact_digest(Compare(data=ref).makes(), here.out))
    assert digests[0] == digests[1]


def test_changing_min_submitted_changes_the_key_and_loses_no_label(tmp_path: Path) -> None:
    ref = data(tmp_path, ROWS)
    people(ref).run(room(tmp_path))
    fill(tmp_path / "labeling" / "human" / "annotator1.csv", "good")
    two = people(ref, min_submitted=2)
    assert step_key(two) != step_key(people(ref))
    waiting = two.run(room(tmp_path))
    assert isinstance(waiting, Waiting) and waiting.message == "2 of 4 answered"
    assert isinstance(people(ref).run(room(tmp_path)), Done)


def test_guidelines_lie_beside_the_form_and_other_guidelines_are_another_question(tmp_path: Path) -> None:
    ref = data(tmp_path, ROWS)
    page = tmp_path / "helpful.md"
    page.write_text("Be fair.")
    one = people(ref, guidelines=InputFile("helpful.md", page, "1" * 64))
    one.run(room(tmp_path))
    folder = tmp_path / "labeling" / "human"
    assert (folder / "guidelines-11111111.md").read_text() == "Be fair."
    fill(folder / "annotator1.csv", "good")
    here = room(tmp_path)
    waiting = people(ref, guidelines=InputFile("helpful.md", page, "2" * 64)).run(here)
    assert isinstance(waiting, Waiting) and waiting.message == "0 of 2 answered"
    assert len(here.warnings) == 1
    assert here.warnings[0].startswith("2 answers were given under other guidelines, and do not count")
    assert isinstance(one.run(room(tmp_path)), Done)


def judge(answer: Any, tmp_path: Path, **settings: Any) -> tuple[Room, Done, int]:
    with chat_server(answer) as server:
        endpoints = {"gpt": Endpoint(base_url=server.url, usd_per_mtok=(1.0, 1.0))}
        here = room(tmp_path, endpoints=endpoints)
        step = Compare(data=data(tmp_path, ROWS), decided_by={"llm_judge": {"endpoint_model": "gpt"}}, **settings)
        done = step.run(here)
    assert isinstance(done, Done)
    return here, done, len(server.heard)


def prefers_good(body: dict[str, Any], number: int) -> str:
    text = body["messages"][-1]["content"]
    good_is_a = text.partition("<answer_a>")[2].lstrip().startswith("good")
    return f"They differ. [[{'A' if good_is_a else 'B'}]]"


@pytest.mark.parametrize("how", ["best_worst", "all"])
def test_a_judge_that_looks_side_by_side_sees_each_pair_in_both_orders(tmp_path: Path, how: str) -> None:
    here, done, asked = judge(prefers_good, tmp_path, pairs=how)
    assert {p.chosen[0].content[:4] for p in pairs(here)} == {"good"} and len(pairs(here)) == 2
    assert asked == 4 and done.decided_by == "llm_judge"
    assert done.tokens == {"prompt": 40, "completion": 20} and done.usd == pytest.approx(60e-6)


def test_a_judge_that_goes_by_the_place_decides_nothing(tmp_path: Path) -> None:
    here, _, _ = judge(lambda b, n: "[[A]]", tmp_path)
    assert {p.verdict for p in pairs(here)} == {"tie"}


def test_verdicts_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    here, done, _ = judge(lambda b, n: Says("I would rather not say", finish="length"), tmp_path)
    assert {p.verdict for p in pairs(here)} == {"tie"} and done.metrics["unreadable"] == 2
    assert "could not be read" in here.warnings[0]


def test_a_judge_without_an_endpoint_is_told_where_to_say_it(tmp_path: Path) -> None:
    step = Compare(data=data(tmp_path, ROWS), decided_by={"llm_judge": {"endpoint_model": "gpt"}})
    with pytest.raises(UserError, match="no endpoint is called 'gpt'") as error:
        step.run(room(tmp_path))
    assert "profile" in error.value.hint


def test_settings_that_do_not_belong_together_are_refused() -> None:
    for wrong, word in (
        ({"decided_by": "brevity", "min_submitted": 2}, "`min_submitted` is for people"),
        ({"pairs": "all"}, "`pairs` is for scorers"),
        ({"decided_by": {"words": {"on": "prompt"}}}, "remove its `on`"),
        ({"decided_by": {"llm_judge": {"endpoint_model": "x"}}, "min_gap": 1}, "remove `min_gap`"),
        ({"decided_by": "exact_dedup"}, "no scorer"),
        ({"decided_by": "poeple"}, "did you mean 'people'"),
        ({"decided_by": "brevty"}, "did you mean 'brevity'"),
    ):
        with pytest.raises(ValidationError, match=word):
            Compare.model_validate({"data": "answers", **wrong})


def test_who_decides_is_written_as_it_was_read() -> None:
    for written in ("people", {"words": {"of": "chat"}}, {"brevity": {"as": "short"}}):
        step = Compare.model_validate({"data": "answers", "decided_by": written})
        assert step.model_dump()["decided_by"] == written
    assert TypeAdapter(Compare).json_schema()["properties"]["decided_by"]["anyOf"][0] == {"const": "people"}


def test_who_decides_is_part_of_the_key(tmp_path: Path) -> None:
    ref = data(tmp_path, ROWS)
    steps = [Compare(data=ref), Compare(data=ref, decided_by="brevity"), Compare(data=ref, decided_by="words")]
    assert len({step_key(s) for s in steps}) == 3
    assert identity(steps[0])["decided_by"] == "people"


FOUR = answers("rank", "a", "bb bb", "c c c", "d d d d d d d")


def write_ranking(form: Path, right: list[str]) -> None:
    """A person who ranks the answers by how they begin, the best first."""
    with form.open(encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f))
    for row in rows:
        where = {row[f"answer_{x}"][:1]: x for x in "abcd"}
        row["verdict"] = ">".join("=".join(where[name] for name in group) for group in right)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    form.write_text(text.getvalue(), encoding="utf-8")


def test_people_rank_four_answers_and_every_pair_comes_out(tmp_path: Path) -> None:
    ref = data(tmp_path, [FOUR])
    step = people(ref, min_submitted=2)
    waiting = step.run(room(tmp_path))
    assert isinstance(waiting, Waiting) and waiting.message == "0 of 2 answered"
    for number in (1, 2):
        write_ranking(tmp_path / "labeling" / "human" / f"annotator{number}.csv", ["d", "bc", "a"])
    here = room(tmp_path)
    done = step.run(here)
    assert isinstance(done, Done) and done.ledger is not None and done.ledger.problems() == []
    found = {(p.chosen[0].content[0] + p.rejected[0].content[0], p.verdict) for p in pairs(here)}
    sure = {("db", "chosen"), ("dc", "chosen"), ("da", "chosen"), ("ba", "chosen"), ("ca", "chosen")}
    assert sure < found and len(found) == 6 and (found - sure) <= {("bc", "tie"), ("cb", "tie")}
    assert done.metrics["pairs"] == 6 and done.metrics["ties"] == 1


def test_pairs_and_rankings_are_different_questions(tmp_path: Path) -> None:
    ref = data(tmp_path, [FOUR])
    people(ref).run(room(tmp_path))
    write_ranking(tmp_path / "labeling" / "human" / "annotator1.csv", ["d", "c", "b", "a"])
    assert isinstance(people(ref).run(room(tmp_path)), Done)
    here = room(tmp_path)
    waiting = people(ref, ask="pairs").run(here)
    assert isinstance(waiting, Waiting) and waiting.message == "0 of 6 answered"


def test_a_step_after_a_plan_knows_what_a_changed_row_strands(tmp_path: Path) -> None:
    ref = data(tmp_path / "one", ROWS)
    people(ref).run(room(tmp_path))
    fill(tmp_path / "labeling" / "human" / "annotator1.csv", "good")
    people(ref).run(room(tmp_path))
    changed = data(tmp_path / "two", [ROWS[0], answers("two", "other", "words")])
    forms, labels = tmp_path / "labeling" / "human", Labels(tmp_path / "labels")
    assert people(ref).stranded("human", labels, forms) == []
    (said,) = people(changed).stranded("human", labels, forms)
    assert said.startswith("1 answer was given about rows that are no longer asked about")
    assert people(ref, decided_by="brevity").stranded("human", labels, forms) == []


def test_what_a_model_says_is_suggested_only_where_it_is_asked_for(tmp_path: Path) -> None:
    asked = people(data(tmp_path, [FOUR, ROWS[0]])).asks()
    assert asked is not None and asked.suggested == {}
    asked.suggest([[1.0, 2.0, 3.0, 3.0], [0.5, 0.25]])
    told = {len(item.answers): asked.suggested[key] for key, item in asked.items.items()}
    four = next(item for item in asked.items.values() if len(item.answers) == 4)
    ranks = dict(zip((m.content[0] for m in four.answers), told[4], strict=True))
    assert ranks == {"a": 3, "b": 2, "c": 1, "d": 1}
    two = next(item for item in asked.items.values() if len(item.answers) == 2)
    assert two.answers[0 if told[2] == "first" else 1].content == "good answer to one"
    with pytest.raises(ValidationError, match="`suggestions` is for people"):
        Compare.model_validate({"data": "a", "decided_by": "brevity", "suggestions": "brevity"})
