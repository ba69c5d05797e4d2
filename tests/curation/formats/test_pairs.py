"""Formats whose records are pairs: prompt/chosen/rejected, and Anthropic's transcripts."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from curation.conversation import Conversation, Message, Preference
from curation.formats.format import Format
from curation.formats.hh import HH
from curation.formats.preference import PreferencePair

ASK = [{"role": "user", "content": "What color is the sky?"}]
BLUE = [{"role": "assistant", "content": "It is blue."}]
GREEN = [{"role": "assistant", "content": "It is green."}]
PAIR = (
    (Message("user", "What color is the sky?"),),
    (Message("assistant", "It is blue."),),
    (Message("assistant", "It is green."),),
)


def one(format: Format, record: Any) -> Preference:
    rows = format.rows(record, "preferences")
    assert not isinstance(rows, str), rows
    (row,) = rows
    assert isinstance(row, Preference)
    return row


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "What color is the sky?", "chosen": "It is blue.", "rejected": "It is green."},
        {"prompt": ASK, "chosen": BLUE, "rejected": GREEN},
        {"prompt": ASK, "chosen": ASK + BLUE, "rejected": ASK + GREEN},
        {"prompt": "anything", "chosen": ASK + BLUE, "rejected": ASK + GREEN},
        {"prompt": "What color is the sky?", "chosen": BLUE, "rejected": GREEN},
        {"chosen": ASK + BLUE, "rejected": ASK + GREEN},
        {"prompt": json.dumps(ASK), "chosen": json.dumps(BLUE), "rejected": json.dumps(GREEN)},
    ],
)
def test_a_pair_may_be_written_in_many_ways(record: Any) -> None:
    row = one(PreferencePair(), record)
    assert (row.prompt, row.chosen, row.rejected) == PAIR
    assert row.verdict == "chosen"


def test_an_implied_prompt_is_all_that_the_two_share() -> None:
    more = [*ASK, *BLUE, {"role": "user", "content": "Sure?"}]
    row = one(PreferencePair(), {"chosen": [*more, *BLUE], "rejected": [*more, *GREEN]})
    assert [m.to_dict() for m in row.prompt] == more
    row = one(PreferencePair(), {"chosen": [*more, *BLUE], "rejected": [*more, *GREEN, *ASK, *BLUE]})
    assert [m.to_dict() for m in row.rejected] == [*GREEN, *ASK, *BLUE]
    row = one(PreferencePair(), {"chosen": ASK + BLUE, "rejected": ASK + BLUE})
    assert (row.chosen, row.rejected) == (PAIR[1], PAIR[1])


def test_of_two_texts_the_prompt_is_cut_as_in_trls_documentation() -> None:
    # https://huggingface.co/docs/trl/dataset_formats, "Preference", explicit and implicit prompt
    row = one(PreferencePair(), {"chosen": "The sky is blue.", "rejected": "The sky is green."})
    assert row == Preference(
        prompt=(Message("user", "The sky is"),),
        chosen=(Message("assistant", " blue."),),
        rejected=(Message("assistant", " green."),),
    )


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"prompt": "x", "chosen": "y"}, "no_rejected"),
        ({"prompt": "x", "rejected": "y", "chosen": None}, "no_chosen"),
        ({"chosen": BLUE, "rejected": GREEN}, "no_prompt"),
        ({"chosen": "yes", "rejected": "no"}, "no_prompt"),
        ({"chosen": ASK + BLUE, "rejected": ASK}, "ends_on_user"),
        ({"chosen": [*ASK, *BLUE, *ASK, *BLUE], "rejected": [*ASK, *BLUE, *ASK[:0], *GREEN]}, "no_shared_prompt"),
        ({"prompt": ASK, "chosen": [{"role": "user", "content": "?"}, *BLUE], "rejected": GREEN}, "no_answer"),
    ],
)
def test_a_pair_that_is_none_says_why(record: Any, reason: str) -> None:
    assert PreferencePair().rows(record, "preferences") == reason


def test_as_conversations_a_pair_gives_its_chosen_answer() -> None:
    rows = PreferencePair().rows({"prompt": "What color is the sky?", "chosen": "It is blue.", "rejected": "Green."})
    assert rows == [Conversation(messages=PAIR[0] + PAIR[1])]


def test_hh_splits_transcripts_at_the_last_answer() -> None:
    start = "\n\nHuman: Hi\n\nAssistant: Hello, Human: friend\n\nHuman: a\n\nb"
    row = one(HH(), {"chosen": f"{start}\n\nAssistant: Yes", "rejected": f"{start}\n\nAssistant:"})
    assert row.prompt == (
        Message("user", "Hi"),
        Message("assistant", "Hello, Human: friend"),
        Message("user", "a\n\nb"),
    )
    assert (row.chosen, row.rejected) == ((Message("assistant", "Yes"),), (Message("assistant", ""),))
    assert row.decided_by == "people"


def test_hh_refuses_what_is_no_transcript() -> None:
    good = "\n\nHuman: Hi\n\nAssistant: Yes"
    assert HH().rows({"chosen": "Hello", "rejected": good}, "preferences") == "not_a_transcript"
    assert HH().rows({"chosen": good + "\n\nHuman: Why?", "rejected": good}, "preferences") == "ends_on_user"
    assert HH().rows({"chosen": good}, "preferences") == "no_rejected"
    assert HH().rows({"chosen": good, "rejected": good.replace("Hi", "Ho")}, "preferences") == "no_prompt"


def trl_example(record: dict[str, str]) -> dict[str, Any]:
    """What TRL's example script for this data set makes of a record (examples/datasets/hh-rlhf-helpful-base.py)."""
    a, b = record["chosen"], record["rejected"]
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    prompt = a[:start]
    if not prompt.endswith("\n\nAssistant: "):
        prompt = prompt[: prompt.rfind("\n\nAssistant: ")] + "\n\nAssistant: "
    chosen, rejected = a[len(prompt) :], b[len(prompt) :]
    pieces = re.split(r"(\n\nAssistant: |\n\nHuman: )", prompt[: -len("\n\nAssistant: ")])[1:]
    roles = ["user" if piece == "\n\nHuman: " else "assistant" for piece in pieces[::2]]
    return {"prompt": list(zip(roles, pieces[1::2], strict=True)), "chosen": chosen, "rejected": rejected}


def test_the_real_hh_pairs_come_out_as_in_trls_own_script(real_data: Path) -> None:
    with gzip.open(real_data / "hh_rlhf" / "harmless_base_test_first1500.jsonl.gz", "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    different = []
    for record in records:
        row, expected = one(HH(), record), trl_example(record)
        same = [(m.role, m.content) for m in row.prompt] == expected["prompt"]
        same &= row.chosen[-1].content == expected["chosen"] and row.rejected[-1].content == expected["rejected"]
        different += [] if same else [row]
    assert len(records) == 1500
    # The script takes all that follows the shared prompt as one text; one answer holds a second "Assistant:".
    assert [len(row.chosen) for row in different] == [2]


def test_a_pair_can_be_judged_anew() -> None:
    """As candidates: both answers side by side, and nothing of which was preferred but the order in the file."""
    (row,) = PreferencePair().rows({"prompt": "Hi", "chosen": "Hello!", "rejected": "What?"}, "candidates")
    assert [m.content for m in row.prompt] == ["Hi"]
    assert [a.content for a in row.answers] == ["Hello!", "What?"]
    turns = [
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "c"},
    ]
    long = {"prompt": [{"role": "user", "content": "Hi"}], "chosen": turns, "rejected": turns[:1]}
    assert PreferencePair().rows(long, "candidates") == "several_turns"
