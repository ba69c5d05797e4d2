"""`auto` tells a format by its keys, and refuses where no format fits."""

from __future__ import annotations

from typing import Any

import pytest

from curation.errors import UserError
from curation.formats import BUILTIN, Format
from curation.formats.auto import Auto, recognized
from curation.registry import FORMATS, lookup

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
TRANSCRIPT = "\n\nHuman: Hi\n\nAssistant: "
SAMPLES: dict[str, dict[str, Any]] = {
    "alpaca": {"instruction": "Say hi.", "input": "", "output": "Hi!"},
    "completion": {"prompt": "Hi", "completion": "Hello!"},
    "hh": {"chosen": TRANSCRIPT + "Yes", "rejected": TRANSCRIPT + "No"},
    "kto": {"prompt": "Hi", "completion": "Hello!", "label": True},
    "messages": {"messages": CHAT},
    "oasst": {"message_id": "m", "parent_id": None, "text": "Hi", "role": "prompter", "message_tree_id": "m"},
    "preference": {"prompt": "Hi", "chosen": "Hello!", "rejected": "What?"},
    "prompt": {"prompt": "Hi", "category": "greetings"},
    "ratings": {"prompt": "Hi", "responses": ["Hello!", "What?"], "ratings": [5, 1]},
    "sharegpt": {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]},
    "transcript": {"text": "<human>: Hi\n<bot>: Hello!"},
}


def test_there_is_a_sample_of_every_format() -> None:
    assert {*SAMPLES, "auto"} == set(BUILTIN)


@pytest.mark.parametrize("name", SAMPLES)
def test_auto_reads_what_the_named_format_reads_and_says_which(name: str) -> None:
    named: type[Format] = lookup(FORMATS, name)
    assert named.model_fields["op"].default == name
    for makes in sorted(named.makes):
        rows = named().rows(SAMPLES[name], makes)  # type: ignore[call-arg]
        assert Auto().rows(SAMPLES[name], makes) == rows
        (outcome, *_) = Auto().outcomes([(3, SAMPLES[name])], makes)
        assert outcome.rows == ([] if isinstance(rows, str) else [(3, row) for row in rows])
        assert (outcome.format, outcome.evidence) == (name, named.evidence(SAMPLES[name]))
        assert any(f"`{key}`" in outcome.evidence for key in SAMPLES[name])


@pytest.mark.parametrize("name", SAMPLES)
def test_no_sample_looks_like_a_more_telling_format(name: str) -> None:
    found = recognized(SAMPLES[name])
    assert found and found.model_fields["op"].default == name


def test_one_odd_record_at_the_start_does_not_mislead() -> None:
    records = [None, {"x": 1}, SAMPLES["alpaca"]]
    outcomes = list(Auto().outcomes(enumerate(records), "conversations"))
    assert [[one.reason for one in o.lost] for o in outcomes] == [["not_an_object"], ["no_instruction"], []]


def test_auto_refuses_to_guess() -> None:
    with pytest.raises(UserError, match=r"no known format fits.*\n.*question, answer.*`columns:`"):
        list(Auto().outcomes([(0, {"question": "x", "answer": "y"})], "conversations"))
    with pytest.raises(UserError, match="looks like alpaca, which cannot make preferences"):
        list(Auto().outcomes([(0, SAMPLES["alpaca"])], "preferences"))


def test_two_sets_in_one_file_are_both_read() -> None:
    records = [SAMPLES["sharegpt"], SAMPLES["alpaca"], SAMPLES["sharegpt"], SAMPLES["completion"], SAMPLES["alpaca"]]
    outcomes = list(Auto().outcomes(enumerate(records), "conversations"))
    assert sorted((o.rows[0][0], o.format) for o in outcomes) == [
        (0, "sharegpt"),
        (1, "alpaca"),
        (2, "sharegpt"),
        (3, "completion"),
        (4, "alpaca"),
    ]
    assert sum(bool(o.evidence) for o in outcomes) == 3


def test_trees_are_whole_wherever_their_messages_stand_among_others() -> None:
    reply = {**SAMPLES["oasst"], "message_id": "r", "parent_id": "m", "text": "Hello!", "role": "assistant"}
    for records in ([SAMPLES["alpaca"], SAMPLES["oasst"], SAMPLES["alpaca"], reply], [reply, {"messages": CHAT}]):
        if len(records) == 2:
            records = [SAMPLES["oasst"], *records[::-1]]
        rows = [row for o in Auto().outcomes(enumerate(records), "conversations") for _, row in o.rows]
        assert [m.content for m in next(r for r in rows if "tree" in r.meta).messages] == ["Hi", "Hello!"]
        assert len(rows) == len(records) - 1


def test_a_broken_record_of_the_files_own_format_is_not_taken_for_another() -> None:
    labelled = {"messages": CHAT, "label": True}
    records = [labelled, {"messages": CHAT, "label": "maybe"}, {"messages": CHAT}, labelled]
    reasons = [[one.reason for one in o.lost] for o in Auto().outcomes(enumerate(records), "conversations")]
    assert reasons == [[], ["unknown_label"], ["no_label"], []]
    pairs = [SAMPLES["preference"], SAMPLES["alpaca"], {"prompt": "Hi", "chosen": "Hello!"}]
    lost = [one.reason for o in Auto().outcomes(enumerate(pairs), "preferences") for one in o.lost]
    assert sorted(lost) == ["cannot_make_preferences", "no_rejected"]


def test_a_label_that_names_a_topic_makes_no_thumbs() -> None:
    record = {**SAMPLES["sharegpt"], "label": "greetings"}
    assert recognized(record) is recognized(SAMPLES["sharegpt"])
    assert recognized({**record, "label": 0}) is recognized(SAMPLES["kto"])
