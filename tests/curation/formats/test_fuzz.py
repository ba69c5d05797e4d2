"""Whatever a record holds: no format crashes, every record is accounted for, and the rows can be kept."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.conversation import Candidates, Conversation, Preference
from curation.errors import UserError
from curation.formats import BUILTIN, Format, Makes
from curation.formats.auto import Auto
from curation.frame import to_frame, to_rows
from curation.registry import FORMATS, lookup

NAMES = sorted(set(BUILTIN) - {"auto"})
TEXT = st.one_of(
    st.text(st.characters(), max_size=12),  # surrogates and NUL included
    st.sampled_from(["", "\n\nHuman: a\n\nAssistant: b", '[{"role": "user", "content": "a"}]', "[[", "true"]),
)
ROLE = st.sampled_from(["user", "assistant", "human", "gpt", "system", "tool", "prompter", "function_call", "x", "", 3])
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.binary(max_size=3))
ANY = st.recursive(
    SCALAR, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)), max_leaves=6
)
TURN = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "role": ROLE,
            "from": ROLE,
            "content": st.one_of(TEXT, ANY),
            "value": TEXT,
            "tool_calls": ANY,
            "name": ANY,
        },
    ),
    ANY,
)
GOOD = st.sampled_from(["user", "assistant", "human", "gpt"])
CHAT = st.one_of(
    st.lists(st.fixed_dictionaries({"role": GOOD, "content": TEXT}), min_size=1, max_size=3),
    st.lists(st.fixed_dictionaries({"from": GOOD, "value": TEXT}), min_size=1, max_size=3),
)
TURNS = st.one_of(CHAT, CHAT, TEXT, st.lists(TURN, max_size=3), ANY)
TRANSCRIPT = st.lists(st.sampled_from(["\n\nHuman: a", "\n\nAssistant: b", "\n\nAssistant:", "c"]), max_size=4).map(
    "".join
)
ID = st.one_of(st.sampled_from(["a", "b", "c", "d"]), SCALAR)
MESSAGE = st.fixed_dictionaries(
    {
        "message_id": st.one_of(st.sampled_from(["a", "b", "c", "d"]), ID),
        "parent_id": st.one_of(st.none(), st.sampled_from(["a", "b", "c"]), ID),
        "text": st.one_of(TEXT, TEXT, ANY),
        "role": st.one_of(st.sampled_from(["prompter", "assistant"]), ROLE),
    },
    optional={
        "message_tree_id": ID,
        "rank": st.one_of(st.integers(0, 3), SCALAR),
        "deleted": st.booleans(),
        "review_result": st.one_of(st.just(True), SCALAR),
        "lang": ANY,
        "labels": st.one_of(
            ANY, st.just({"name": ["spam"], "value": [0.9]}), st.just({"name": ["spam", "quality"], "value": [None]})
        ),
    },
)
TREE = st.recursive(
    MESSAGE,
    lambda inner: st.builds(lambda m, r: {**m, "replies": r}, MESSAGE, st.one_of(st.lists(inner, max_size=3), ANY)),
    max_leaves=8,
)
NUMBER = st.one_of(st.integers(0, 5), st.sampled_from(["4", "N/A", "", "1e999"]), SCALAR)
RATED = st.one_of(
    TEXT,
    st.fixed_dictionaries(
        {"response": st.one_of(TEXT, TEXT, ANY)},
        optional={
            "rating": NUMBER,
            "rank": NUMBER,
            "model": ANY,
            "annotations": st.one_of(
                ANY, st.dictionaries(TEXT, st.one_of(NUMBER, st.just({"Rating": "4"})), max_size=2)
            ),
        },
    ),
    ANY,
)
KINDS = {"conversations": Conversation, "candidates": Candidates, "preferences": Preference}
COLUMNS = {
    "alpaca": {
        "instruction": TEXT,
        "input": st.one_of(TEXT, ANY),
        "output": st.one_of(TEXT, ANY),
        "id": ANY,
        "history": st.one_of(ANY, st.lists(st.lists(TEXT, min_size=2, max_size=2), max_size=2)),
    },
    "completion": {"prompt": TURNS, "completion": TURNS, "system": ANY},
    "prompt": {"prompt": TURNS, "system": ANY, "tools": ANY},
    "ratings": {
        "prompt": TURNS,
        "completions": st.one_of(st.lists(RATED, max_size=3), st.lists(TEXT, max_size=3), ANY),
        "ratings": st.one_of(st.lists(NUMBER, max_size=3), ANY),
        "models": ANY,
    },
    "hh": {"chosen": st.one_of(TRANSCRIPT, TRANSCRIPT, ANY), "rejected": st.one_of(TRANSCRIPT, TRANSCRIPT, TEXT)},
    "kto": {"prompt": TURNS, "completion": TURNS, "messages": TURNS, "label": st.one_of(st.booleans(), SCALAR)},
    "messages": {"messages": TURNS, "tools": ANY, "id": ANY},
    "preference": {
        "prompt": TURNS,
        "chosen": TURNS,
        "rejected": TURNS,
        "score_chosen": NUMBER,
        "score_rejected": NUMBER,
    },
    "sharegpt": {
        "conversations": TURNS,
        "items": TURNS,
        "system": ANY,
        "tools": ANY,
        "id": st.one_of(ANY, st.sampled_from(["a_0", "a_2", "a_1", "a_3", "a_4"])),
    },
    "transcript": {"text": st.one_of(TRANSCRIPT, TEXT.map("<human>: {0}\n<bot>: {0}".format), ANY), "id": ANY},
}


def records(name: str) -> st.SearchStrategy[Any]:
    if name == "oasst":
        nested = st.fixed_dictionaries({"prompt": TREE}, optional={"message_tree_id": ID})
        return st.one_of(MESSAGE, nested, ANY)
    columns = COLUMNS[name]
    return st.one_of(st.fixed_dictionaries(columns), st.fixed_dictionaries({}, optional=columns), ANY)


def settled(name: str) -> list[Format]:
    """The format, and the format with settings that take other ways through it."""
    kind: Any = lookup(FORMATS, name)
    other: dict[str, dict[str, Any]] = {
        "alpaca": {"wording": "plain"},
        "hh": {"answers": "both"},
        "preference": {"answers": "both"},
        "transcript": {"speakers": {"Human:": "user", "Assistant:": "assistant"}},
        "oasst": {"top_k": 1, "last": "assistant", "deleted": True, "min_quality": 0.5},
        "ratings": {"pairs": "all", "answers": "all", "min_gap": 1},
        "sharegpt": {"pieces": "joined"},
    }
    return [kind(), kind(**other[name])] if name in other else [kind()]


def check(format: Format, given_records: list[Any], makes: Makes) -> None:
    """Every record is used or lost with a reason, and the rows are the same as columns."""
    outcomes = list(format.outcomes(enumerate(given_records), makes, ["id", "extra"]))
    lost = [one for outcome in outcomes for one in outcome.lost]
    assert sum(outcome.used for outcome in outcomes) + len(lost) == len(given_records)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", one.reason) for one in lost)
    assert all(0 <= one.index < len(given_records) for one in lost)
    assert len({one.index for one in lost}) == len(lost)
    rows = [row for outcome in outcomes for _, row in outcome.rows]
    frame = to_frame(rows, KINDS[makes])
    kept = to_rows(frame)
    assert kept == rows
    assert [row.id for row in kept] == frame["id"].to_list()
    assert frame.select(pl.col("id").str.len_chars() == 32).to_series().all()
    assert all({*row.scores} <= format.scores(makes) for row in rows)


QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.mark.parametrize("name", NAMES)
@QUICK
@given(data=st.data())
def test_any_record_is_rows_or_a_reason(name: str, data: st.DataObject) -> None:
    given_records = data.draw(st.lists(records(name), max_size=5))
    for format in settled(name):
        for makes in sorted(format.makes):
            check(format, given_records, makes)


@QUICK
@given(data=st.data())
def test_auto_accounts_for_files_of_mixed_formats(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5))
    given_records = [data.draw(records(name)) for name in names]
    for makes in sorted(Auto().makes):
        with suppress(UserError):  # it says that nothing fits, or what cannot be made: shown by claims elsewhere
            check(Auto(), given_records, makes)
