"""How fast people answer, by arithmetic on a clock."""

from __future__ import annotations

import pytest

from curation.labeling.pace import Pace, Submit, paces, words


def sitting(*gaps: float, text_words: int = 100, who: str = "ann") -> list[Submit]:
    """One record after the other, each of so many words that nobody has seen."""
    at, made = 1_000_000.0, []
    for n, gap in enumerate((0, *gaps)):
        at += gap
        made.append(Submit(who, at, (f"record {n} " + "word " * (text_words - 2),)))
    return made


def test_a_hundred_words_take_ten_seconds_to_scan() -> None:
    """600 words a minute: 100 words in 10 s. Nine seconds are too few, eleven are not."""
    assert paces(sitting(9)) == {"ann": Pace(1, 1, 9)}
    assert paces(sitting(11)) == {"ann": Pace(1, 0, 11)}


def test_the_first_answer_has_no_time_and_one_alone_no_pace() -> None:
    assert paces(sitting()) == {}


def test_what_was_read_before_costs_no_time() -> None:
    """Three pairs of the same three answers: the third shows nothing new."""
    long = {name: f"{name} " * 200 for name in ("prompt", "a", "b", "c")}
    shown = [("prompt", "a", "b"), ("prompt", "b", "c"), ("prompt", "a", "c")]
    submits = [Submit("ann", 100.0 * n, tuple(long[x] for x in names)) for n, names in enumerate(shown[:2])]
    submits.append(Submit("ann", 101.0, tuple(long[x] for x in shown[2])))
    assert paces(submits) == {"ann": Pace(2, 0, 50.5)}


def test_a_page_that_is_submitted_as_a_whole_shares_its_time() -> None:
    """Ten records of 100 words in 200 s: read. In 60 s: 1000 words, not read."""
    first = sitting()
    for gap, too_fast in ((200, 0), (60, 10)):
        page = [Submit("ann", first[0].at + gap + n / 100, (f"page {n} " + "w " * 98,)) for n in range(10)]
        assert paces([*first, *page]) == {"ann": Pace(10, too_fast, gap / 10)}


@pytest.mark.parametrize(("fast", "slow", "flagged"), [(4, 0, False), (5, 14, True), (5, 15, False), (20, 0, True)])
def test_more_than_a_quarter_and_at_least_five(fast: int, slow: int, flagged: bool) -> None:
    pace = paces(sitting(*[2] * fast, *[60] * slow))["ann"]
    assert (pace.timed, pace.too_fast, pace.flagged) == (fast + slow, fast, flagged)


def test_people_do_not_share_a_clock() -> None:
    """Two who answer in turn, each once in 20 s."""
    mixed = [*sitting(20, 20), *(Submit("bob", s.at + 1, s.texts) for s in sitting(20, 20))]
    assert paces(mixed) == {"ann": Pace(2, 0, 20), "bob": Pace(2, 0, 20)}


def test_words_of_all_scripts() -> None:
    assert words("How tall is it? 3.5 m") == 7
    assert words("东京塔很高") == 5
    assert words("Phở rất ngon") == 3
    assert words("これは ok です") == 6
    assert words("") == 0
