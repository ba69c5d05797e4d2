"""What holds for every mapper that works on texts, whatever the rows: no crash, no lost row, no look at a neighbour."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.conversation import Conversation, Message
from curation.engines.batch import Batch, through
from curation.frame import in_order, to_frame, to_rows
from curation.operator import OPERATOR_FIELD, Mapper

MAPPERS: list[Any] = [
    "normalize",
    "sharegpt_noise",
    "html_to_markdown",
    "trim",
    {"system_prompt": {"text": "Hi"}},
    "pii",
    {"pii": {"numbered": True}},
    {"pii": {"action": "drop"}},
]
PIECES = st.sampled_from(
    [
        *"a é ế hoà được 你好 สวัสดี مرحبا 😀 \x00 \u200b \ufeff Ã© â€™ \ud7ff".split(" "),
        *"<p>b</p> <div> </div> &lt; ``` python".split(" "),
        *"an@congty.vn 0912345678 +84912345678 45.83.12.201 001099012345 4539148803436467 sk- ١٢٣ \U0010ffff".split(
            " "
        ),
        *("<pre><code>x</code></pre>", "2 / 2", "Copy code", "\n", "\r\n", "Regenerate response", "network error"),
        *("Share Prompt", "Too many requests in 1 hour. Try again later."),
    ]
)
TEXTS = st.lists(PIECES, max_size=6).flatmap(lambda p: st.sampled_from(["".join(p), " ".join(p), "\n".join(p)]))
CHATS = st.builds(
    Conversation,
    messages=st.lists(
        st.builds(
            Message,
            st.sampled_from(["system", "user", "assistant", "tool", ""]),
            TEXTS,
            st.sampled_from([None, '{"name":"n"}']),
        ),
        max_size=5,
    ).map(tuple),
    scores=st.sampled_from([{}, {"s": 1.0}]),
    label=st.sampled_from([None, True]),
)


def run(mapper: Mapper, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, Any]:
    batch = through(Batch(frame), [mapper])
    lost = pl.concat(batch.dropped) if batch.dropped else frame.head(0)
    return batch.frame, lost, batch.entries[0]


@pytest.mark.parametrize("written", MAPPERS, ids=str)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CHATS, min_size=1, max_size=6))
def test_rows_come_out_alike_together_and_one_by_one(written: Any, rows: list[Conversation]) -> None:
    mapper = OPERATOR_FIELD.parse(written)
    frame = to_frame(rows, Conversation)
    kept, lost, entry = run(mapper, frame)
    assert entry.problem() is None and len(kept) + len(lost) == len(rows)
    assert kept.columns == frame.columns and kept.schema == frame.schema
    alone = [run(mapper, frame[i : i + 1]) for i in range(len(frame))]
    assert pl.concat([k for k, _, _ in alone]).equals(kept)
    assert [w for _, _, e in alone for w in e.dropped] == (lost["reason"].to_list() if entry.dropped else [])
    backwards, _, _ = run(mapper, frame.reverse())
    assert in_order(backwards).equals(in_order(kept))
    for row in to_rows(kept):
        assert row.label in (None, True) and row.scores in ({}, {"s": 1.0})


@pytest.mark.parametrize("written", MAPPERS, ids=str)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CHATS, min_size=1, max_size=4))
def test_twice_is_once(written: Any, rows: list[Conversation]) -> None:
    mapper = OPERATOR_FIELD.parse(written)
    once, _, _ = run(mapper, to_frame(rows, Conversation))
    twice, _, entry = run(mapper, once)
    assert (entry.edited, entry.dropped) == (0, {}), (once["messages"].to_list(), twice["messages"].to_list())


@pytest.mark.parametrize(
    "written", ["normalize", {"system_prompt": {"text": "Hi"}}, "pii", {"pii": {"action": "drop"}}], ids=str
)
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_pairs_and_candidates_too(written: Any, any_rows: Any, data: Any) -> None:
    kind, rows = data.draw(any_rows)
    kept, lost, entry = run(OPERATOR_FIELD.parse(written), to_frame(rows, kind))
    assert entry.problem() is None and len(kept) + len(lost) == len(rows)
