"""`compare` in batches on the micro model: people fill in forms, the next batch is chosen by what they said."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parent))

from label_site import Site

from curation import conversation, table
from curation.artifact import Ref
from curation.conversation import Message
from curation.errors import UserError
from curation.labeling.acquisition import STRATEGIES
from rlhf.recipe.caches import Labels
from rlhf.recipe.step import Done, Waiting
from rlhf.steps.compare import Compare


@pytest.fixture
def site(tmp_path: Path, micro: Path) -> Site:
    return Site(tmp_path, micro)


def items(site: Site) -> set[str]:
    return {item for batch in site.batches() for item in batch}


def sizes(site: Site) -> list[int]:
    return [len(batch) for batch in site.batches()]


def test_batches_are_numbered_and_the_budget_is_met_exactly(site: Site) -> None:
    said, done = site.to_the_end(site.step(max_answers=16))
    assert [text.partition(";")[0] for text in said] == [
        "batch 1: 0 of 6 answered",
        "batch 2: 6 of 10 answered",
        "batch 3: 10 of 14 answered",
        "batch 4: 14 of 16 answered",
    ]
    assert "held-out accuracy after 6: 0.50" in said[1]  # nothing was learned yet
    assert sizes(site) == [6, 4, 4, 2] and len(items(site)) == 16
    assert done.metrics["answers"] == done.metrics["pairs"] == 16 and done.metrics["batches"] == 4
    assert done.metrics["stopped"] == "the 16 answers of `max_answers` are there"
    assert done.ledger is not None and done.ledger.problems() == []
    assert done.ledger.dropped() == {"compare: unanswered": 14}
    drawn = done.pictures["label_budget"]
    assert drawn["strategy"] == "margin" and [p["answers"] for p in drawn["points"]] == [6, 10, 14, 16]
    # People like the longer answer, so length is right on all that is held out, and the head finds that out.
    assert all(p["length"] == 1.0 for p in drawn["points"])
    assert drawn["points"][-1]["accuracy"] > 0.8
    assert done.metrics["held_out"]["accuracy"]["mean"] == drawn["points"][-1]["accuracy"]


def test_a_budget_for_several_people_is_met_exactly_too(site: Site) -> None:
    _, done = site.to_the_end(site.step(min_submitted=2, max_answers=18))
    assert done.metrics["answers"] == 18 and sizes(site) == [6, 3]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_held_out_batch_is_random_and_the_same_for_every_strategy(site: Site, strategy: str) -> None:
    site.run(site.step(strategy))
    held = site.batches()[0]
    shutil.rmtree(site.root / "labels")
    shutil.rmtree(site.forms)
    site.run(site.step("margin" if strategy == "random" else "random", held_out=9))
    assert site.batches()[0][:6] == held
    _, done = site.to_the_end(site.step(strategy, max_answers=18))
    assert done.metrics["answers"] == 18


def test_a_rerun_draws_nothing_anew(site: Site) -> None:
    step = site.step("thompson", max_answers=16)
    site.run(step)
    site.answer(3)
    assert site.run(step) == site.run(step) and sizes(site) == [6]
    site.answer()
    site.run(step)
    before = site.batches(), sorted(p.read_bytes() for p in site.forms.iterdir())
    site.run(step)
    assert (site.batches(), sorted(p.read_bytes() for p in site.forms.iterdir())) == before


def test_a_kill_after_the_choice_and_before_the_form_costs_no_batch(site: Site, micro: Path) -> None:
    step = site.step(max_answers=16)
    site.run(step)
    site.answer()
    script = Path(__file__).with_name("killed_asking.py")
    killed = subprocess.run([sys.executable, str(script), str(site.root), str(micro)], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert sizes(site) == [6, 4] and len(list(site.forms.iterdir())) == 1
    chosen = site.batches()
    now = site.run(step)
    assert isinstance(now, Waiting) and now.message.startswith("batch 2: 6 of 10 answered")
    assert site.batches() == chosen
    shown = {line["item"] for line in Labels(site.root / "labels").read("preference_items")}
    assert items(site) <= shown


def test_changing_the_strategy_loses_no_label_and_takes_back_no_batch(site: Site) -> None:
    site.run(site.step("margin", max_answers=16))
    site.answer()
    site.run(site.step("margin", max_answers=16))
    site.answer(2)
    before = site.batches()
    now = site.run(site.step("d_optimal", max_answers=16))
    assert isinstance(now, Waiting) and now.message.startswith("batch 2: 8 of 10 answered")
    assert site.batches() == before
    _, done = site.to_the_end(site.step("d_optimal", max_answers=16))
    assert done.metrics["answers"] == 16 and site.batches()[:2] == before


def test_answers_from_before_there_were_batches_count_and_are_learned_from(site: Site) -> None:
    site.run(site.step(None))
    site.answer(8)
    room = site.room()
    now = site.step(max_answers=24).run(room)
    assert isinstance(now, Waiting) and room.warnings == []
    answered, wanted = now.message.removeprefix("batch 1: ").removesuffix(" answered").split(" of ")
    # The held-out records that had no answer yet are asked about; the eight answers are there.
    assert answered == "8" and 8 <= int(wanted) <= 14
    assert site.answer() == 22  # all that the old form holds: more than was wanted, and none of it is lost
    done = site.run(site.step(max_answers=24))
    assert isinstance(done, Done) and done.metrics["answers"] == done.metrics["pairs"] == 30
    assert done.pictures["label_budget"]["points"][0]["answers"] == 30


def test_it_ends_when_everything_was_asked_or_the_interval_stopped_shrinking(site: Site) -> None:
    said, done = site.to_the_end(site.step("random", features=None, batch=10))
    assert said == [
        "batch 1: 0 of 6 answered",
        "batch 2: 6 of 16 answered",
        "batch 3: 16 of 26 answered",
        "batch 4: 26 of 30 answered",
    ]
    assert done.metrics["stopped"] == "everything had been asked" and done.pictures == {}
    _, done = site.to_the_end(site.step("random", batch=1, max_answers=30))
    assert done.metrics["answers"] == 30


def test_an_easy_question_is_asked_no_longer_than_it_teaches_something(site: Site) -> None:
    _, done = site.to_the_end(site.step("d_optimal", batch=2))
    assert done.metrics["stopped"] == "the interval of the held-out accuracy had stopped shrinking"
    assert done.metrics["answers"] < 30 and done.metrics["held_out"]["accuracy"]["mean"] > 0.8


def test_answers_are_read_by_the_policy_once(tmp_path: Path, micro_copy: Path) -> None:
    site = Site(tmp_path / "site", micro_copy, count=12)
    site.run(site.step())
    site.answer()
    site.run(site.step())
    shutil.rmtree(micro_copy)  # nobody needs it any more
    _, done = site.to_the_end(site.step())
    assert done.pictures["label_budget"]["points"]


def test_gold_questions_come_with_the_first_batch_and_teach_nothing(site: Site) -> None:
    folder = site.root / "artifacts" / "gold"
    known = [
        conversation.Preference(
            prompt=(Message("user", f"Fold the map, {k}."),),
            chosen=(Message("assistant", f"Fold it {k} times. Then check the map."),),
            rejected=(Message("assistant", "No."),),
        )
        for k in range(2)
    ]
    table.write_rows(folder, known, conversation.Preference)
    step = site.step(max_answers=16, gold=Ref("known", folder, table.digest(folder)), gold_items=2)
    said, done = site.to_the_end(step)
    assert said[0] == "batch 1: 0 of 8 answered" and sizes(site) == [6, 4, 4]
    assert done.metrics["answers"] == 16 and done.metrics["pairs"] == 14 and done.metrics["gold"] == 2
    assert [p["answers"] for p in done.pictures["label_budget"]["points"]] == [6, 10, 14]


def test_conversations_of_different_prompts_are_in_the_choice_and_never_held_out(site: Site) -> None:
    _, done = site.to_the_end(site.step("d_optimal", max_answers=18, cross_prompt=40))
    assert sizes(site) == [6, 4, 4, 4] and done.metrics["answers"] == done.metrics["pairs"] == 18
    across = {line["item"] for line in Labels(site.root / "labels").read("across_items")}
    first, *later = site.batches()
    assert not across & set(first), "what is held out compares answers to one prompt"
    assert across & {item for batch in later for item in batch}, "a wider gap tells more, so the design takes them"
    asked = {line["item"]: line for line in Labels(site.root / "labels").read("preference_items")}
    apart = {asked[item]["prompt"][0]["content"] for item in first}
    shown = Labels(site.root / "labels").read("across_items")
    assert not apart & {line[side][0]["content"] for line in shown for side in ("first", "second")}


def test_too_few_records_say_what_to_do(site: Site) -> None:
    with pytest.raises(UserError, match="all 30 records would be held out") as error:
        site.run(site.step(held_out=30))
    assert "lower `held_out`" in error.value.hint


def test_settings_that_do_not_belong_together_are_refused() -> None:
    for wrong, word in (
        ({"acquire": "margin"}, "needs `features`"),
        ({"batch": 5}, "`batch` says nothing without `acquire`"),
        ({"held_out": 5}, "`held_out` says nothing without `acquire`"),
        ({"acquire": "random", "held_out": 50, "min_submitted": 2, "max_answers": 100}, "takes the 100 answers"),
        ({"acquire": "random", "decided_by": "brevity"}, "`acquire` is for people"),
        ({"acquire": "uncertainty"}, "'random', 'margin'"),
    ):
        with pytest.raises(ValidationError, match=word):
            Compare.model_validate({"data": "answers", **wrong})
    assert Compare.model_validate({"data": "answers", "acquire": "random"}).features is None
