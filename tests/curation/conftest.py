"""Rows to test with: short chats of every shape, and strategies that draw them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from curation.conversation import Answer, Candidates, Conversation, Message, Preference, Source

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
EXTRAS = st.sampled_from([None, '{"name":"n"}'])
ORIGINS = st.builds(Source, st.sampled_from(["a", "b"]), TEXTS, st.sampled_from(["d1", "d2"]), st.integers(0, 9), TEXTS)
META: Any = st.dictionaries(
    st.sampled_from(["tree", "finished", "x"]), st.booleans() | st.integers() | TEXTS, max_size=2
)
SHARED: dict[str, Any] = {
    "source": ORIGINS,
    "parent": st.none() | TEXTS,
    "split": st.sampled_from([None, "train", "test"]),
    "meta": META,
    "scores": st.dictionaries(
        st.sampled_from(["a", "b"]), st.floats(allow_nan=False, allow_infinity=False), max_size=2
    ),
}
MESSAGES = st.lists(
    st.builds(Message, st.sampled_from(["system", "user", "assistant", "tool"]), TEXTS, EXTRAS), max_size=3
).map(tuple)


@pytest.fixture(scope="session")
def any_conversation() -> Any:
    """A strategy of conversations."""
    return st.builds(
        Conversation, messages=MESSAGES, tools=st.none() | TEXTS, label=st.sampled_from([None, True, False]), **SHARED
    )


@pytest.fixture(scope="session")
def any_candidates() -> Any:
    """A strategy of candidates."""
    answers = st.lists(st.builds(Answer, TEXTS, TEXTS, st.booleans(), EXTRAS), max_size=3).map(tuple)
    return st.builds(Candidates, prompt=MESSAGES, answers=answers, **SHARED)


@pytest.fixture(scope="session")
def any_preference() -> Any:
    """A strategy of preferences."""
    return st.builds(
        Preference,
        prompt=MESSAGES,
        chosen=MESSAGES,
        rejected=MESSAGES,
        verdict=st.sampled_from(["chosen", "tie"]),
        weight=st.floats(0, 2),
        decided_by=TEXTS,
        **SHARED,
    )


@pytest.fixture(scope="session")
def any_rows(any_conversation: Any, any_candidates: Any, any_preference: Any) -> Any:
    """A strategy of (row type, rows of that type)."""
    return st.one_of(
        st.tuples(st.just(Conversation), st.lists(any_conversation, max_size=6)),
        st.tuples(st.just(Candidates), st.lists(any_candidates, max_size=6)),
        st.tuples(st.just(Preference), st.lists(any_preference, max_size=6)),
    )
