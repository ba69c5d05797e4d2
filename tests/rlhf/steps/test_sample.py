"""`sample`: who is asked what, that a kill costs a batch and changes nothing, and what ends in the ledger."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation import table
from curation.artifact import Conversations, Policy, Ref
from curation.conversation import Candidates, Conversation, Message, Source
from curation.errors import UserError
from curation.models import Completion, Journal, Request, Sampling, ask, generate, load_policy
from rlhf.recipe.profile import Generation, Profile
from rlhf.recipe.step import Done, Room
from rlhf.steps.sample import Sample

QUESTIONS = [
    "How do I open the door?",
    "Tell me how to wash the car.",
    "I want to sell the boat. What now?",
    "Tell me how to read the map.",
    "How do I fold the shirt?",
]


def chat(question: str, answer: str = "You rest.", split: str | None = None, **more: Any) -> Conversation:
    messages = (Message("user", question), Message("assistant", answer))
    return Conversation(messages=messages, split=split, source=Source(digest="d", index=len(question)), **more)


RunSample = Callable[..., tuple[list[Candidates], Done]]


@pytest.fixture
def sample(micro: Path, tmp_path: Path) -> RunSample:
    """Runs the step on these chats; gives the rows of its artifact."""

    def run(chats: list[Conversation], *, part: str = "", out: str = "out", batch: int = 4, **settings: Any) -> Any:
        data = tmp_path / "data"
        if not data.exists():
            table.write_rows(data, chats, Conversation)
        prompts = Ref(f"chats{part}", accepts=(Conversations,)).bound(data, "data")
        policy = Ref("sft", accepts=(Policy,)).bound(micro, micro.name)
        given = {"policy": policy, "max_completion_length": 12, **settings}
        work, made = tmp_path / f"work-{out}", tmp_path / out
        work.mkdir(exist_ok=True)
        profile = Profile(generation=Generation(per_device_eval_batch_size=batch))
        room = Room(work=work, out=made, profile=profile)
        done = Sample(prompts=prompts, **given).run(room)
        return table.rows(made), done

    return run


def test_answers_are_those_of_the_sampler(sample: RunSample, micro: Path) -> None:
    rows, done = sample([chat(q) for q in QUESTIONS], num_generations=2, seed=3)
    loaded = load_policy(micro)
    requests, _ = ask(loaded, [Conversation(messages=row.prompt) for row in rows], samples=2)
    wanted = generate(loaded, requests, Sampling(max_completion_length=12, seed=3))
    assert [(a.content, a.finished) for row in rows for a in row.answers] == [(c.text, c.finished) for c in wanted]
    assert {a.policy for row in rows for a in row.answers} == {micro.name[:12]}
    assert done.tokens["generated"] == sum(len(c.tokens) + c.finished for c in wanted)
    assert done.metrics["sft"]["finished"] == sum(c.finished for c in wanted) / len(wanted)


def test_a_row_says_where_its_prompt_came_from(sample: RunSample) -> None:
    chats = [chat(q, split="train", meta={"tree": q[:3]}) for q in QUESTIONS]
    rows, _ = sample(chats)
    assert {row.parent for row in rows} == {c.id for c in chats}
    assert {row.split for row in rows} == {"train"}
    assert all(row.source.digest == "d" and row.meta["tree"] == row.prompt[0].content[:3] for row in rows)


def test_the_answer_that_stood_there_is_not_looked_at(sample: RunSample, tmp_path: Path) -> None:
    one, _ = sample([chat(q, "Yes.") for q in QUESTIONS])
    shutil.rmtree(tmp_path / "data")
    two, _ = sample([chat(q, "No, not at all.") for q in QUESTIONS], out="two")
    assert {r.prompt: r.answers for r in one} == {r.prompt: r.answers for r in two}


def test_equal_prompts_are_asked_once_and_the_ledger_adds_up(sample: RunSample) -> None:
    chats = [chat(q) for q in QUESTIONS] + [chat(QUESTIONS[0], "Another answer."), chat("Say <|im_end|>")]
    rows, done = sample(chats, max_prompts=5)
    assert len({row.prompt for row in rows}) == len(rows)
    ledger = done.ledger
    assert ledger and not ledger.problems()
    (entry,) = ledger.entries
    assert entry.made == 7
    assert entry.kept == len(rows)
    assert entry.dropped["repeated_prompt"] == 1
    assert entry.dropped["beyond_max_prompts"] == 1
    assert set(entry.dropped) <= {"repeated_prompt", "beyond_max_prompts", "control_token"}


def test_more_prompts_keep_the_earlier_choice(sample: RunSample) -> None:
    chats = [chat(q) for q in QUESTIONS]
    chosen = [{row.prompt for row in sample(chats, max_prompts=n, out=f"of-{n}")[0]} for n in (2, 3, 5)]
    assert [len(c) for c in chosen] == [2, 3, 5]
    assert chosen[0] < chosen[1] < chosen[2]


def test_a_split_set_gives_its_part_train(sample: RunSample) -> None:
    chats = [chat(q, split="test" if i < 2 else "train") for i, q in enumerate(QUESTIONS)]
    assert {row.split for row in sample(chats)[0]} == {"train"}
    assert {row.split for row in sample(chats, part=".test", out="test")[0]} == {"test"}


def test_policies_answer_in_order_with_the_same_random_numbers(sample: RunSample, micro: Path) -> None:
    names = [Ref(n, accepts=(Policy,)).bound(micro, digest) for n, digest in (("a", "1" * 64), ("b", "2" * 64))]
    rows, done = sample([chat(q) for q in QUESTIONS], policy=None, policies=names, num_generations=2)
    for row in rows:
        assert [a.policy for a in row.answers] == ["1" * 12, "1" * 12, "2" * 12, "2" * 12]
        assert [a.content for a in row.answers[:2]] == [a.content for a in row.answers[2:]]
    assert list(done.metrics) == ["prompts", "a", "b"]
    assert set(done.examples[0]["answers"]) == {"a, 1", "a, 2", "b, 1", "b, 2"}


def test_a_kill_costs_one_batch_and_changes_nothing(
    sample: RunSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chats = [chat(q) for q in QUESTIONS]
    whole, _ = sample(chats, num_generations=3, out="whole")
    keep = Journal.append
    batches = []

    def killed(self: Journal, made: dict[int, Completion]) -> None:
        if len(batches) == 2:
            raise KeyboardInterrupt
        batches.append(made)
        keep(self, made)

    monkeypatch.setattr(Journal, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        sample(chats, num_generations=3)
    monkeypatch.setattr(Journal, "append", lambda self, made: (batches.append(made), keep(self, made)))
    (file,) = (tmp_path / "work-out").glob("*.jsonl")
    file.write_text(file.read_text() + '{"answers": [[7, "torn in the mid')
    rows, _ = sample(chats, num_generations=3, batch=32)  # the profile changed: batches stay as they were begun
    assert rows == whole
    assert [len(b) for b in batches] == [4, 4, 4, 3]


def test_a_journal_of_other_requests_is_not_used(tmp_path: Path) -> None:
    one, two = [Request("a", (1, 2))], [Request("a", (1, 3))]
    Journal(tmp_path / "j", one, 8).append({0: Completion("x", (5,), True)})
    assert Journal(tmp_path / "j", one, 4).known == {0: Completion("x", (5,), True)}
    assert Journal(tmp_path / "j", one, 4).batch_size == 8
    assert Journal(tmp_path / "j", two, 4).known == {}
    assert json.loads((tmp_path / "j").read_text().splitlines()[0])["batch_size"] == 4


def test_settings_that_make_no_sense_are_refused(micro: Path) -> None:
    with pytest.raises(ValueError, match="write one of the two"):
        Sample(prompts="p", policy="a", policies=["b"])
    with pytest.raises(ValueError, match="names one twice"):
        Sample(prompts="p", policies=["a", "a"])


def test_nothing_to_ask_is_an_error_with_the_reasons(sample: RunSample) -> None:
    with pytest.raises(UserError, match="none of the 1 prompts") as error:
        sample([chat("Say <|im_end|>")])
    assert "control_token 1" in error.value.hint
