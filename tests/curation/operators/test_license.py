"""Rows stay by the licence that their data set states; expressions are read, and what is not stated is unknown."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from curation.conversation import Candidates, Conversation, Message, Preference, Source
from curation.frame import to_frame
from curation.operators.license import License


def row(license: str) -> Conversation:
    messages = (Message("user", "q"), Message("assistant", license))
    return Conversation(messages=messages, source=Source("set", "f", "d", 0, license))


def reason(stated: str, **settings: Any) -> str | None:
    return License(**settings).reason(row(stated))


OPEN = {"allow": ["apache-2.0", "MIT", "cc-by-4.0"]}


@pytest.mark.parametrize(
    ("stated", "word"),
    [
        ("apache-2.0", None),
        ("Apache-2.0", None),
        (" mit ", None),
        ("mit-0", "license_not_allowed"),
        ("cc-by-nc-4.0", "license_not_allowed"),
        ("Apache 2.0", "license_not_allowed"),  # no identifier: nobody guesses
        ("MIT OR GPL-3.0-only", None),
        ("GPL-3.0-only or AGPL-3.0-only", "license_not_allowed"),
        ("MIT AND CC-BY-4.0", None),
        ("MIT AND CC-BY-NC-4.0", "license_not_allowed"),
        ("mit, cc-by-nc-4.0", "license_not_allowed"),
        ("GPL-2.0-only OR (MIT AND Apache-2.0)", None),
        ("(MIT OR GPL-2.0-only) AND CC-BY-NC-4.0", "license_not_allowed"),
        ("Apache-2.0 WITH LLVM-exception", None),
        ("MIT OR", "license_not_allowed"),
        ("(mit", "license_not_allowed"),
        ("", "unknown_license"),
        ("unknown", "unknown_license"),
        ("Other", "unknown_license"),
        ("unlicense", "license_not_allowed"),  # a licence of that name
    ],
)
def test_what_is_allowed_stays(stated: str, word: str | None) -> None:
    assert reason(stated, **OPEN) == word


@pytest.mark.parametrize(
    ("stated", "word"),
    [
        ("cc-by-nc-4.0", "license_denied"),
        ("CC-BY-NC-SA-3.0", "license_denied"),
        ("cc-by-4.0", None),
        ("mit", None),
        ("MIT OR CC-BY-NC-4.0", None),
        ("MIT AND CC-BY-NC-4.0", "license_denied"),
        ("openrail", None),
    ],
)
def test_what_is_denied_goes_and_all_else_stays(stated: str, word: str | None) -> None:
    assert reason(stated, deny=["cc-by-nc-*"]) == word


def test_denied_wins_over_allowed() -> None:
    assert reason("cc-by-nc-4.0", allow=["cc-by-*"], deny=["cc-by-nc-*"]) == "license_denied"
    assert reason("cc-by-sa-4.0", allow=["cc-by-*"], deny=["cc-by-nc-*"]) is None


def test_unknown_stays_where_it_is_told_to() -> None:
    assert reason("", **OPEN, unknown="keep") is None
    assert reason("gpl-3.0-only", **OPEN, unknown="keep") == "license_not_allowed"


def test_pairs_and_candidates_have_licences_too() -> None:
    source, prompt = Source("set", "f", "d", 0, "cc-by-nc-4.0"), (Message("user", "q"),)
    pair = Preference(
        prompt=prompt, chosen=(Message("assistant", "a"),), rejected=(Message("assistant", "b"),), source=source
    )
    assert License(**OPEN).reason(pair) == "license_not_allowed"
    assert License(**OPEN).reason(Candidates(prompt=prompt, answers=(), source=source)) == "license_not_allowed"


def test_a_frame_gets_what_its_rows_get_and_the_licence_beside_it() -> None:
    rows = [row(stated) for stated in ("mit", "", "cc-by-nc-4.0", "mit")]
    own, frame = License(**OPEN), to_frame(rows, Conversation)
    reasons = own.reasons(frame)
    assert reasons.to_list() == [own.reason(r) for r in rows] == [None, "unknown_license", "license_not_allowed", None]
    assert own.evidence(frame, reasons).to_list() == [None, None, "cc-by-nc-4.0", None]


@pytest.mark.parametrize(("settings", "said"), [({}, "needs `allow` or `deny`"), ({"deny": ["*"]}, "every licence")])
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        License(**settings)
