"""`auto` tells a format by its keys, and refuses where no format fits."""

from __future__ import annotations

from typing import Any

import pytest

from curation.errors import UserError
from curation.formats import BUILTIN, Format
from curation.formats.auto import Auto
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
    "sharegpt": {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]},
}


def test_there_is_a_sample_of_every_format() -> None:
    assert {*SAMPLES, "auto"} == set(BUILTIN)


@pytest.mark.parametrize("name", SAMPLES)
def test_auto_reads_what_the_named_format_reads(name: str) -> None:
    named: type[Format] = lookup(FORMATS, name)
    assert named.model_fields["op"].default == name
    for makes in sorted(named.makes):
        rows = named().rows(SAMPLES[name], makes)  # type: ignore[call-arg]
        assert Auto().rows(SAMPLES[name], makes) == rows
        (outcome, *_) = Auto().outcomes([(3, SAMPLES[name])], makes)
        assert outcome.rows == ([] if isinstance(rows, str) else [(3, row) for row in rows])


def test_one_odd_record_at_the_start_does_not_mislead() -> None:
    records = [None, {"x": 1}, SAMPLES["alpaca"]]
    outcomes = list(Auto().outcomes(enumerate(records), "conversations"))
    assert [[one.reason for one in o.lost] for o in outcomes] == [["not_an_object"], ["no_instruction"], []]


def test_auto_refuses_to_guess() -> None:
    with pytest.raises(UserError, match=r"no known format fits.*\n.*question, answer"):
        list(Auto().outcomes([(0, {"question": "x", "answer": "y"})], "conversations"))
    with pytest.raises(UserError, match="looks like alpaca, which cannot make preferences"):
        list(Auto().outcomes([(0, SAMPLES["alpaca"])], "preferences"))
