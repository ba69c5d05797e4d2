"""Conversations with different prompts, side by side: what is asked, who is paired with whom, what comes of it."""

from __future__ import annotations

from collections import Counter

import pytest

from curation.conversation import Answer, Candidates, Message
from curation.formats.preference import PreferencePair
from curation.labeling.acquisition.batches import Pool
from curation.labeling.across import Across, Chat, drawn
from curation.labeling.tasks import Compared


def asks(text: str) -> tuple[Message, ...]:
    return (Message("system", "Be kind."), Message("user", text))


def chat(prompt: str, answer: str) -> Chat:
    return (*asks(prompt), Message("assistant", answer))


def row(n: int, *answers: str, split: str | None = None) -> Candidates:
    return Candidates(prompt=asks(f"question {n}"), answers=tuple(map(Answer, answers)), split=split)


def test_both_chats_are_shown_whole_and_neighbours_see_them_on_opposite_sides() -> None:
    a, b = chat("why?", "so."), chat("how?", "thus.")
    item = Across.item_of(a, b)
    assert item == Across.item_of(b, a) and item.prompt == ()
    seen = [Across().shows(item.shown(who, "")) for who in (0, 1)]
    assert set(seen[0].values()) == {a, b}
    assert (seen[0]["chat_a"], seen[0]["chat_b"]) == (seen[1]["chat_b"], seen[1]["chat_a"])


def test_a_choice_means_the_same_chat_whichever_side_it_stood_on() -> None:
    a, b = chat("why?", "so."), chat("how?", "thus.")
    item = Across.item_of(a, b)
    for who in (0, 1):
        shown = item.shown(who, "")
        side = "a" if Across().shows(shown)["chat_a"] == a else "b"
        place = {"first": 0, "second": 1}[str(Across().read(shown, {"better": side}))]
        assert item.chat(place) == a
        assert Across().parse(shown, {"verdict": side}) == Across().read(shown, {"better": side})


def test_chats_are_drawn_within_a_split_and_never_with_their_own_prompt() -> None:
    chats = [(f"part {n % 2}", chat(f"question {n // 4}", f"answer {n}")) for n in range(40)]
    pairs = list(drawn(chats, 60))
    assert len(pairs) == len({frozenset(pair) for pair in pairs}) == 60
    assert all(chats[i][0] == chats[j][0] and chats[i][1][:-1] != chats[j][1][:-1] for i, j in pairs)
    often = Counter(k for pair in pairs for k in pair)
    assert len(often) == 40 and max(often.values()) - min(often.values()) <= 3, "all are asked about as often"


def test_there_are_no_more_pairs_than_there_are() -> None:
    chats = [("", chat(f"question {n}", "answer")) for n in range(4)]
    assert len(list(drawn(chats, 100))) == 6
    assert list(drawn([("", chat("the same", x)) for x in "abc"], 5)) == []
    assert list(drawn([], 5)) == []


def test_one_more_row_leaves_nearly_all_pairs_as_they_were() -> None:
    def ids(count: int) -> set[str]:
        return set(Compared.about([row(n, "a", "b") for n in range(count)], cross_prompt=60).across)

    assert len(ids(60) & ids(61)) >= 54


def test_the_preference_holds_both_prompts_and_reads_back_from_a_file() -> None:
    asked = Compared.about([row(n, f"good {n}", f"bad {n}", split="train") for n in range(4)], cross_prompt=6)
    assert len(asked.items) == 4 + 6 and len(asked.across) == 6
    said = {}
    for key in asked.across:
        item = asked.items[key]
        goods = [item.chat(place)[-1].content.startswith("good") for place in (0, 1)]
        said[key] = {"ann": "tie" if goods[0] == goods[1] else "first" if goods[0] else "second"}
    made, lost = asked.preferences(said)
    assert len(made) == 6
    for pair in made:
        assert pair.across and pair.prompt == () and pair.split == "train" and pair.decided_by == "people"
        assert pair.chosen[:2] != pair.rejected[:2] and pair.prompts == (pair.chosen[:-1], pair.rejected[:-1])
        words = [side[-1].content.split()[0] for side in (pair.chosen, pair.rejected)]
        assert words == ["good", "bad"] if pair.verdict == "chosen" else words[0] == words[1]
        parents = {r.id for r in (d.row for d in asked.rows) if r.prompt in pair.prompts}
        assert set(pair.meta["parents"]) == parents and pair.parent in parents
        record = {
            "prompt": [],
            "chosen": [m.to_dict() for m in pair.chosen],
            "rejected": [m.to_dict() for m in pair.rejected],
        }
        (again,) = PreferencePair().rows(record, "preferences")
        assert again.id == pair.id and again.across
        assert PreferencePair().rows(record, "candidates") == "no_prompt"
    used = {parent for pair in made for parent in pair.meta["parents"]}
    assert {r.id for r, reason in lost} == {d.row.id for d in asked.rows} - used
    assert all(reason == "unanswered" for _, reason in lost)


def test_a_row_with_one_answer_is_asked_about_and_is_not_lost() -> None:
    asked = Compared.about([row(n, f"only {n}") for n in range(3)], cross_prompt=3)
    (first, *_), counted = asked.items, Counter(n for pair in asked.across.values() for n in pair)
    assert set(counted.values()) == {2}
    made, lost = asked.preferences({first: {"ann": "first"}})
    assert len(made) == 1 and [reason for _, reason in lost] == ["unanswered"]


def test_a_model_s_hint_compares_the_scores_of_both_rows() -> None:
    asked = Compared.about([row(0, "short"), row(1, "long")], cross_prompt=1)
    asked.suggest([[0.2], [0.9]])
    ((key, word),) = asked.suggested.items()
    assert asked.items[key].chat({"first": 0, "second": 1}[str(word)])[-1].content == "long"


def test_records_over_two_prompts_are_never_held_out_and_know_both() -> None:
    asked = Compared.about([row(n, "a", "b") for n in range(6)], cross_prompt=8)
    pool = Pool.of(asked.items)
    assert sorted(len(record.prompts) for record in pool.records.values()) == [1] * 6 + [2] * 8
    held = pool.held_out(3, 1)
    assert all(len(pool.records[key].prompts) == 1 for key in held)
    assert len(pool.chats) == 12, "an answer that is compared twice is one chat"


@pytest.mark.parametrize("turns", [("same", "same"), ("one", "two")])
def test_a_file_whose_chats_share_their_prompt_is_read_as_ever(turns: tuple[str, str]) -> None:
    record = {
        key: [{"role": "user", "content": text}, {"role": "assistant", "content": key}]
        for key, text in zip(("chosen", "rejected"), turns, strict=True)
    }
    found = PreferencePair().rows(record, "preferences")
    assert found == "no_prompt" if turns[0] != turns[1] else not found[0].across
