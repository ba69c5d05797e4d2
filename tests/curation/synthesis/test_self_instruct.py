"""Alpaca's loop: each rule drops a made row and spares its near miss; the same rows whatever goes on at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_writer import FakeWriter, last_words

from curation.conversation import Source
from curation.errors import UserError
from curation.synthesis.self_instruct import BLOCKED, Plan, Rules, SelfInstruct, conversation, holds
from curation.synthesis.tasks import Task
from curation.synthesis.writers import Question, Written

SEEDS = [
    Task("Give three ways to save water at home.", "", "Shorter showers, full machines, a barrel for the rain."),
    Task("Translate the sentence into French.", "I am tired.", "Je suis fatigué."),
    Task("Which of these numbers is prime?", "4, 6, 7", "7"),
    Task("Explain why the sky is blue.", "", "Air scatters blue light more than red."),
    Task("Kể tên ba loại quả có vị chua.", "", "Chanh, me, khế."),
]
SOURCE = Source("seeds", "seeds.jsonl", "d" * 32)


def listed(*tasks: Task, first: int = 4) -> str:
    """What a model says that writes these tasks."""
    parts = [
        f"{n}. Instruction: {t.instruction}\n{n}. Input:\n{t.given or '<noinput>'}\n{n}. Output:\n{t.output}\n"
        for n, t in enumerate(tasks, first)
    ]
    return "###\n".join(parts)


def run(writer: FakeWriter, want: int, rules: Rules | None = None, **plan: Any) -> SelfInstruct:
    loop = SelfInstruct(SEEDS, SOURCE, writer, Plan(want, **plan), rules or Rules())
    loop.run()
    return loop


def reasons(*tasks: Task, rules: Rules | None = None) -> dict[str, str | None]:
    """Instruction -> why it went, None for one that stayed, of tasks that one answer holds."""
    good = Task("Describe how bread is baked in a village.", "", "Flour, water, salt, time and heat.")

    loop = SelfInstruct(
        SEEDS, SOURCE, FakeWriter(lambda q: listed(*tasks, good)), Plan(99, max_questions=1), rules or Rules()
    )
    with pytest.raises(UserError):
        loop.run()
    found: dict[str, str | None] = {row.meta["instruction"]: None for row in loop.made.rows}
    assert found.pop(good.instruction) is None
    return found | {lost.row.meta["instruction"]: lost.reason for lost in loop.made.dropped}


def words(count: int, text: str = "tell me all that you know about") -> str:
    """An instruction of so many words."""
    return " ".join([*text.split(), *(f"thing{i}" for i in range(count))][:count])


@pytest.mark.parametrize(
    ("goes", "reason", "stays"),
    [
        (words(3), "too_few_words", words(4)),
        (words(151), "too_many_words", words(150)),
        ("Describe the images in a museum.", "blocked_word", "Describe the imagination of a child."),
        ("Please GO TO the nearest shop.", "blocked_word", "Please ago together we went home."),
        ("Write a program that sorts names.", "blocked_start", "Explain a program that sorts names."),
        ('"Good morning" means what in Thai?', "starts_with_punctuation", "Good morning means what in Thai?"),
        ("$100 is how much in yen?", "starts_with_punctuation", "100 dollars is how much in yen?"),
        ("「春」という字の意味を教えて", "starts_with_punctuation", "春という字の意味を教えて"),
        ("Name ways to save water at home.", "too_similar", "Name ways to lose weight in spring."),
        ("Kể tên ba loại quả có vị ngọt.", "too_similar", "Vì sao trời mưa vào mùa hạ?"),
    ],
)
def test_each_rule_drops_its_row_and_spares_the_near_miss(goes: str, reason: str, stays: str) -> None:
    found = reasons(Task(goes, "", "An answer."), Task(stays, "", "An answer."))
    assert found == {goes: reason, stays: None}


def test_a_task_without_an_answer_goes() -> None:
    found = reasons(
        Task("Say what you think of tea.", "", ""), Task("Say how coffee beans are roasted.", "", "Slowly.")
    )
    assert found == {"Say what you think of tea.": "no_output", "Say how coffee beans are roasted.": None}


@pytest.mark.parametrize(
    "start", ["¿Cuál es la capital de Perú?", "Đâu là thủ đô của nước Lào?", "ما هي عاصمة دولة المغرب؟"]
)
def test_alpacas_own_reading_drops_what_does_not_begin_in_ascii_and_nothing_else_does(start: str) -> None:
    task = Task(start, "", "Lima")
    assert reasons(task) == {start: None}
    assert reasons(task, rules=Rules(alpaca=True)) == {start: "not_ascii"}


def test_alpacas_own_reading_counts_what_spaces_part() -> None:
    japanese = Task("Tokyo は日本の首都ですか", "", "はい")  # 2 between spaces, 10 by Unicode: a letter each
    assert reasons(japanese) == {japanese.instruction: None}
    assert reasons(japanese, rules=Rules(alpaca=True)) == {japanese.instruction: "too_few_words"}


def test_alpacas_own_reading_finds_no_copies_in_other_scripts() -> None:
    twice = [Task("A: 请把下面这一句话翻译成法文 x y z", "", "1"), Task("B: 请把下面这一句话翻译成法文 q r s", "", "2")]
    assert list(reasons(*twice).values()).count("too_similar") == 1
    assert list(reasons(*twice, rules=Rules(alpaca=True)).values()) == [None, None]


def test_the_blocked_words_are_alpacas_eighteen() -> None:
    assert len(BLOCKED) == len(set(BLOCKED)) == 18


def test_a_blocked_word_of_a_script_without_spaces_is_found_inside_a_text() -> None:
    assert holds("请看这张图片并描述它", "图片") and not holds("请看这本书并描述它", "图片")
    assert holds("Vẽ một bức tranh", "tranh") and not holds("Một cuộc tranhluận", "tranh")


def test_a_row_names_its_seeds_its_question_and_its_writer() -> None:
    task = Task("Turn the sentence into a question.", "It rains.", "Does it rain?")
    loop = run(FakeWriter(lambda q: listed(task)), 1, license="cc0-1.0")
    (row,) = loop.made.rows
    assert [m.content for m in row.messages] == ["Turn the sentence into a question.\nIt rains.", "Does it rain?"]
    shown = [conversation(SEEDS[i], "plain").id for i in loop.shown(0)]
    assert row.meta["seeds"] == shown and len(set(shown)) == 3
    assert all(SEEDS[i].instruction in last_words(loop.question(0)) for i in loop.shown(0))
    assert (row.meta["question"], row.meta["policy"], row.source.license) == (0, "fake", "cc0-1.0")
    # "Translate the sentence into French." shares `the sentence into`: 2 * 3 / (6 + 5).
    assert row.scores["rouge_l"] == pytest.approx(6 / 11)


def test_the_wording_of_alpaca_to_the_byte() -> None:
    asked = conversation(Task("Add.", "2 and 3", "5"), "stanford").messages[0].content
    assert asked.endswith("### Instruction:\nAdd.\n\n### Input:\n2 and 3\n\n### Response:")


def test_a_dropped_row_says_what_it_is_too_like() -> None:
    kept = Task("List four animals that live in the sea.", "", "Whale, crab, seal, squid.")
    copy = Task("List five animals that live in the sea.", "", "Whale, crab, seal, squid, eel.")
    loop = SelfInstruct(SEEDS, SOURCE, FakeWriter(lambda q: listed(kept, copy)), Plan(9, max_questions=1), Rules())
    with pytest.raises(UserError):
        loop.run()
    (lost,) = loop.made.dropped
    assert lost.evidence == f"to {loop.made.rows[0].id}" and lost.row.scores["rouge_l"] == pytest.approx(7 / 8)


VERBS = (
    "Bake Count Dance Fold Guess Hum Iron Juggle Knit Lift Melt Nod Open Paint Quote Read Sing Teach Use Wash".split()
)


def numbered(question: Question) -> str:
    """Two tasks that no other question gets, and one that every question gets."""
    n = question.sample
    made = [Task(f"{VERBS[n % 20]} item{n} part{i} near place{n}{i} again", "", f"Done {n}.") for i in range(2)]
    return listed(*made, Task("Hold the same old thing every day.", "", "Yes."))


@pytest.mark.parametrize("at_once", [1, 3, 50])
def test_rows_do_not_depend_on_how_much_goes_on_at_once(at_once: int) -> None:
    alone = run(FakeWriter(numbered, 1), 15)
    together = run(FakeWriter(numbered, at_once), 15)
    assert [r.id for r in together.made.rows] == [r.id for r in alone.made.rows] and len(alone.made.rows) == 15
    assert [(d.row.id, d.reason) for d in together.made.dropped] == [(d.row.id, d.reason) for d in alone.made.dropped]
    assert together.questions == alone.questions == 7  # 3 of the first, 2 of each other


def test_no_more_is_asked_than_the_last_answers_make_likely() -> None:
    writer = FakeWriter(numbered, 50)
    run(writer, 15)
    assert len(writer.asked) <= 9


def test_every_piece_is_in_the_sums() -> None:
    def says(question: Question) -> str | Written:
        if question.sample == 0:
            return Written(numbered(question), finished=False)
        if question.sample == 1:
            return Written("", finished=False, refused="withheld")
        return numbered(question) + "###\nand then some talk\n"

    # Kept: 2 (the third is cut off), none, 3, 2 (the third is known by now), 1.
    loop = run(FakeWriter(says), 8)
    ledger = loop.made.ledger("self_instruct", "fake", loop.questions)
    assert ledger.problems() == []
    assert ledger.readings[0].malformed == {"cut_off": 1, "not_a_task": 2, "withheld": 1}
    assert ledger.dropped() == {"self_instruct: too_similar": 1}
    assert ledger.entries[0].kept == 8


def test_a_model_that_writes_nothing_new_is_given_up_and_told_so() -> None:
    same = Task("Hold the same old thing every day.", "", "Yes.")
    with pytest.raises(UserError, match="1 of 34 instructions are there, 33 are missing") as error:
        run(FakeWriter(lambda q: listed(same)), 34)
    # One that stays, and then twenty in a row of which nothing does.
    assert "asked 21 times (20 too_similar)" in error.value.what
    assert "num_instructions: 1" in error.value.hint and "max_requests" in error.value.hint


def test_who_makes_do_with_what_is_there_gets_it() -> None:
    """Each tenth question gives one task: the number that was reached is reached again, whatever was wanted first."""

    def says(question: Question) -> str:
        n = question.sample
        fresh = Task(f"{VERBS[n // 10 % 20]} item{n} part near place{n} again", "", "Done.")
        return listed(fresh if n % 10 == 9 else SEEDS[0])

    with pytest.raises(UserError, match="5 of 40 instructions are there") as error:
        run(FakeWriter(says), 40, max_questions=55)
    assert "`num_instructions: 5`" in error.value.hint
    assert len(run(FakeWriter(says), 5).made.rows) == 5


def test_a_question_goes_on_as_raw_text_for_a_model_that_was_not_tuned_to_chat() -> None:
    writer = FakeWriter(numbered)
    run(writer, 2, raw=True)
    assert not writer.asked[0].messages and (writer.asked[0].text or "").endswith("\n4. Instruction:")
    assert writer.asked[0].stop == ("\n21.",)


def test_too_few_seeds_are_refused() -> None:
    with pytest.raises(UserError, match="shows 6 seed tasks, and there are 5"):
        run(FakeWriter(numbered), 1, shown=6)
