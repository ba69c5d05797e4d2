"""The list that a model is shown and goes on with: read, written, and taken apart to the byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curation.errors import UserError
from curation.synthesis.tasks import Piece, Task, ask, parse, read_seeds

LIST = """ Name three rivers of Asia.
4. Input:
<noinput>
4. Output:
The Ganges, the Mekong and the Yangtze.
###
5. Instruction: Put the words in order of length.
5. Input:
sea, mountain, hill
5. Output:
sea, hill, mountain
"""


def test_a_list_is_taken_apart_to_the_byte() -> None:
    wanted = [
        Task("Name three rivers of Asia.", "", "The Ganges, the Mekong and the Yangtze."),
        Task("Put the words in order of length.", "sea, mountain, hill", "sea, hill, mountain"),
    ]
    for exact in (False, True):
        assert parse(LIST, 4, exact=exact) == wanted
        assert parse(f"4. Instruction:{LIST}", 4, exact=exact) == wanted  # a chat model repeats the beginning
        assert parse(f"###\n4. Instruction:{LIST}###\n", 4, exact=exact) == wanted


def test_inner_line_breaks_and_other_languages_stay_as_they_are() -> None:
    text = " Viết một bài thơ.\n4. Input:\n<NOINPUT>\n4. Output:\nDòng một\n\nDòng hai\n"
    assert parse(text, 4) == [Task("Viết một bài thơ.", "", "Dòng một\n\nDòng hai")]


def test_what_a_cut_answer_ends_with_does_not_count() -> None:
    first, second = parse(LIST, 4, finished=False)
    assert isinstance(first, Task) and isinstance(second, Piece) and second.reason == "cut_off"
    assert second.text.endswith("sea, hill, mountain\n")


@pytest.mark.parametrize(
    "text",
    [
        " No output follows.\n4. Input:\nx\n",
        " Fields twice.\n4. Input:\nx\n4. Output:\ny\n4. Output:\nz\n",
        " Numbers that differ.\n4. Input:\nx\n5. Output:\ny\n",
        "I am sorry, but I cannot go on with that list.",
    ],
)
def test_what_is_no_task_says_so(text: str) -> None:
    for exact in (False, True):
        (found,) = parse(text, 4, exact=exact)
        assert isinstance(found, Piece) and found.reason == "not_a_task"
        assert found.text == f"4. Instruction:{text}"


def test_a_heading_inside_an_output_parts_tasks_only_as_alpaca_read_it() -> None:
    text = " Write a short report.\n4. Input:\n<noinput>\n4. Output:\n### Rain\nIt rained.\n"
    assert parse(text, 4) == [Task("Write a short report.", "", "### Rain\nIt rained.")]
    assert parse(text, 4, exact=True) == [
        Task("Write a short report.", "", ""),
        Piece("not_a_task", " Rain\nIt rained.\n"),
    ]


def test_numbers_that_do_not_count_up_end_nothing_unless_alpaca_read_them() -> None:
    text = LIST.replace("5.", "9.")
    assert len([t for t in parse(text, 4) if isinstance(t, Task)]) == 2
    assert [type(t) for t in parse(text, 4, exact=True)] == [Task, Piece]


def test_the_question_is_a_list_that_waits_to_be_gone_on_with() -> None:
    shown = [Task("Add  the\nnumbers:", "2 and 3", "5"), Task("Say hello.", "", "Hello!")]
    text = ask(shown, 20, language="Vietnamese")
    assert text.endswith(
        "###\n1. Instruction: Add the numbers\n1. Input:\n2 and 3\n1. Output:\n5\n"
        "###\n2. Instruction: Say hello.\n2. Input:\n<noinput>\n2. Output:\nHello!\n"
        "###\n3. Instruction:"
    )
    head = text[: text.index("###")]
    assert "20" in head and "number 3" in head and "Vietnamese" in head
    assert "Vietnamese" not in ask(shown, 20)


def test_what_was_asked_can_be_read_back() -> None:
    shown = [Task("Add the numbers.", "2 and 3", "5"), Task("Say hello.", "", "Hello!")]
    text = ask(shown, 9)
    assert parse(text[text.index("###") :], 1)[:2] == shown


def test_seeds_of_both_forms(tmp_path: Path) -> None:
    plain = {"instruction": "Sort.", "input": "b a", "output": "a b"}
    theirs = {"id": "seed_1", "instruction": "Greet.", "instances": [{"input": "", "output": "Hi"}, {"output": "no"}]}
    wanted = [Task("Sort.", "b a", "a b"), Task("Greet.", "", "Hi")]
    lines, array = tmp_path / "seeds.jsonl", tmp_path / "seeds.json"
    lines.write_text("\n".join(map(json.dumps, [plain, theirs])) + "\n\n", encoding="utf-8-sig")
    array.write_text(json.dumps([plain, theirs], indent=1))
    assert read_seeds(lines) == read_seeds(array) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"instruction": "a", "output": "b"}\n{"instruction": "a"}', "line 2 of the seed tasks has no `output`"),
        ('{"instruction": " ", "output": "b"}', "has no `instruction`"),
        ('{"instruction": "a", "output": "b", "input": 3}', "has no `input`"),
        ('{"instruction": "a", "instances": ["x"]}', "has no `output`"),
        ('["a"]', "record 1 of the seed tasks is no object"),
        ('{"instruction": ', "line 1 of the seed tasks is no JSON"),
        ("[1, ", "no JSON"),
        ("\n\n", "no seed task"),
    ],
)
def test_a_seed_file_that_is_wrong_says_where(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "seeds.jsonl").write_text(text)
    with pytest.raises(UserError, match=said) as error:
        read_seeds(tmp_path / "seeds.jsonl")
    assert error.value.where == "seeds.jsonl"


def test_a_seed_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "seeds.jsonl").write_bytes('{"instruction": "größer"}'.encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        read_seeds(tmp_path / "seeds.jsonl")
