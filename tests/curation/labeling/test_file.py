"""Forms: whatever a spreadsheet or a person does to them, no answer is lost and none is misread."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.conversation import Message
from curation.labeling import file, pair
from curation.labeling.pair import Pair
from curation.labeling.question import Shown

NASTY = [
    'He said "yes", then\r\nleft;\tand',
    "=HYPERLINK(1)",
    "+49 30",
    "- a list\n- of things",
    "@home",
    "ü ß 中文 العربية 😀",
    "",
    "   ",
    "1e5",
    "x" * 40_000,
]


def records(n: int = 10, guidelines: str = "") -> list[Shown]:
    made = []
    for i in range(n):
        prompt = (Message("user", f"Question {i}? {NASTY[i % len(NASTY)]}"),)
        a = Message("assistant", f"{NASTY[(i + 3) % len(NASTY)]} one {i}")
        b = Message("assistant", f"{NASTY[(i + 6) % len(NASTY)]} two {i}")
        made.append(Pair.item(prompt, a, b).shown(1, guidelines))
    return made


def known(shown: list[Shown]) -> dict[str, Shown]:
    return {s.code: s for s in shown}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as f:
        return list(csv.DictReader(f))


def save(path: Path, rows: list[dict[str, Any]], **how: Any) -> None:
    """As a spreadsheet would: its own separator, quoting, line ends and encoding."""
    encoding = how.pop("encoding", "utf-8")
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), **how)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding, "replace"))


def answers(reading: file.Reading) -> dict[str, str]:
    return {g.shown.code: g.verdict for g in reading.given}


@pytest.fixture
def form(tmp_path: Path) -> tuple[Path, list[Shown]]:
    shown = records()
    return file.write(tmp_path, 1, shown), shown


def test_a_csv_form_shows_every_text_whole_and_no_model(form: tuple[Path, list[Shown]]) -> None:
    path, shown = form
    assert path.name == "annotator1.csv"
    rows = table(path)
    assert list(rows[0]) == list(file.columns(Pair()))
    for row, record in zip(rows, shown, strict=True):
        a, b = record.answers
        for cell, text in ((row["answer_a"], a.content), (row["answer_b"], b.content)):
            assert cell.removeprefix("'") == text.removeprefix("'")
        assert row["verdict"] == "" and row["annotator"] == "annotator1"


def test_no_cell_is_a_formula(form: tuple[Path, list[Shown]]) -> None:
    cells = [cell for row in table(form[0]) for cell in row.values()]
    assert not [c for c in cells if c[:1] in ("=", "+", "-", "@")]
    assert any(c.startswith("'=HYPERLINK(1)") for c in cells)


def test_excel_is_told_that_it_is_utf8(form: tuple[Path, list[Shown]]) -> None:
    assert form[0].read_bytes().startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"delimiter": ";", "lineterminator": "\r\n"},
        {"delimiter": "\t", "encoding": "utf-16"},
        {"encoding": "cp1252"},
        {"quoting": csv.QUOTE_ALL, "lineterminator": "\n"},
    ],
)
def test_whatever_saved_it_the_verdicts_come_back(form: tuple[Path, list[Shown]], how: dict[str, Any]) -> None:
    path, shown = form
    rows = table(path)
    for i, row in enumerate(rows):
        row["verdict"] = ["a", "B", " tie ", "skip", "1", "2", "A", "b", "Tie", ""][i]
    save(path, rows, **how)
    reading = file.read(path.parent, known(shown))
    assert reading.problems == []
    sides = ["a", "b", "tie", "skip", "a", "b", "a", "b", "tie"]
    assert answers(reading) == {s.code: Pair.verdict(s, side) for s, side in zip(shown, sides, strict=False)}
    assert reading.where == {s.code: [path] for s in shown}


def test_columns_may_move_or_go_and_rows_may_be_sorted_or_deleted(form: tuple[Path, list[Shown]]) -> None:
    path, shown = form
    rows = [{**r, "verdict": "a"} for r in table(path)]
    save(path, [{"my own": "x", "verdict": r["verdict"], "record": r["record"]} for r in rows[7:2:-1]])
    reading = file.read(path.parent, known(shown))
    assert answers(reading) == {s.code: Pair.verdict(s, "a") for s in shown[3:8]} and reading.problems == []
    assert {g.annotator for g in reading.given} == {"annotator1"}  # the form's own name


@pytest.mark.parametrize("lost", ["record", "verdict"])
def test_a_column_that_is_needed_is_missed(form: tuple[Path, list[Shown]], lost: str) -> None:
    path, shown = form
    save(path, [{k: v for k, v in r.items() if k != lost} for r in table(path)])
    reading = file.read(path.parent, known(shown))
    assert len(reading.problems) == 1 and reading.given == []
    assert f"annotator1.csv: there is no column `{lost}`" in reading.problems[0] and "answer_a" in reading.problems[0]


def test_an_unknown_verdict_is_reported_with_its_row_and_the_others_are_taken(form: tuple[Path, list[Shown]]) -> None:
    path, shown = form
    rows = table(path)
    rows[0]["verdict"], rows[4]["verdict"], rows[9]["verdict"] = "a", "the first", "b"
    save(path, rows)
    reading = file.read(path.parent, known(shown))
    assert answers(reading) == {shown[0].code: Pair.verdict(shown[0], "a"), shown[9].code: Pair.verdict(shown[9], "b")}
    # Row 1 is the header, so the fifth record stands in row 6, as a spreadsheet numbers rows.
    assert reading.problems == ["annotator1.csv, row 6: 'the first' is no verdict; " + pair.HOW]


def test_a_code_that_was_damaged_is_reported(form: tuple[Path, list[Shown]]) -> None:
    path, shown = form
    rows = table(path)
    rows[2]["record"], rows[2]["verdict"] = "1.23E+15", "a"
    save(path, rows)
    reading = file.read(path.parent, known(shown))
    assert len(reading.problems) == 1 and "row 4: no record is called '1.23e+15'" in reading.problems[0]


def test_a_column_that_was_sorted_on_its_own_is_noticed(form: tuple[Path, list[Shown]]) -> None:
    path, shown = form
    rows = table(path)
    codes = sorted(r["record"] for r in rows)
    save(path, [{**r, "record": c, "verdict": "a"} for r, c in zip(rows, codes, strict=True)])
    reading = file.read(path.parent, known(shown))
    assert reading.given == [] and "sorted on its own" in reading.problems[0]


def test_one_cell_that_a_spreadsheet_turned_into_a_number_or_cut_is_no_such_thing(
    form: tuple[Path, list[Shown]],
) -> None:
    path, shown = form
    rows = [{k: v[:32_767] for k, v in r.items()} for r in table(path)]
    rows[1]["answer_a"] = "100000"
    save(path, [{**r, "verdict": "b"} for r in rows])
    reading = file.read(path.parent, known(shown))
    assert reading.problems == [] and len(reading.given) == 10


def test_one_person_who_says_two_things_about_a_record_is_asked_which(form: tuple[Path, list[Shown]]) -> None:
    path, shown = form
    rows = table(path)
    save(path, [{**rows[0], "verdict": "a"}, {**rows[0], "verdict": "b"}, {**rows[1], "verdict": "tie"}])
    reading = file.read(path.parent, known(shown))
    assert answers(reading) == {shown[1].code: "tie"}
    assert "two different verdicts" in reading.problems[0]


def test_a_copy_for_a_second_person_counts_under_their_name(form: tuple[Path, list[Shown]]) -> None:
    path, shown = form
    rows = table(path)
    save(path, [{**rows[0], "verdict": "a"}])
    save(path.with_name("kim.csv"), [{**rows[0], "verdict": "b", "annotator": ""}])
    reading = file.read(path.parent, known(shown))
    assert {g.annotator: g.verdict for g in reading.given} == {
        "annotator1": Pair.verdict(shown[0], "a"),
        "kim": Pair.verdict(shown[0], "b"),
    }


def test_a_form_is_never_written_over(form: tuple[Path, list[Shown]]) -> None:
    path, shown = form
    path.write_text("somebody's work")
    second = file.write(path.parent, 1, shown)
    assert second.name == "annotator1-2.csv" and path.read_text() == "somebody's work"
    assert not list(path.parent.glob(".*"))


def test_what_is_no_form_is_reported_and_left_alone(form: tuple[Path, list[Shown]]) -> None:
    path, shown = form
    for name, content in (("b.csv", b"\x00\x01\x02"), ("empty.csv", b""), ("c.XLSX", b"PK"), ("n.csv", b"a,b\n1,2\n")):
        (path.parent / name).write_bytes(content)
    (path.parent / "~$annotator1.xlsx").write_bytes(b"lock of a spreadsheet")
    (path.parent / "guidelines.md").write_text("read me")
    reading = file.read(path.parent, known(shown))
    assert sorted(p.split()[0].rstrip(":") for p in reading.problems) == ["b.csv", "c.XLSX", "empty.csv", "n.csv"]


def test_json_lines(tmp_path: Path) -> None:
    shown = records()
    path = file.write(tmp_path, 2, shown, "jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    for row, record in zip(rows, shown, strict=True):
        assert (row["answer_a"], row["answer_b"]) == tuple(m.content for m in record.answers)
    rows[0]["verdict"], rows[1]["verdict"], rows[2]["verdict"] = "a", None, 2
    text = "\n".join([json.dumps(rows[2]), "", json.dumps(rows[0]), '{"record": "p', json.dumps(rows[1]), "[1]"])
    path.write_text(text)
    reading = file.read(tmp_path, known(shown))
    assert answers(reading) == {shown[0].code: Pair.verdict(shown[0], "a"), shown[2].code: Pair.verdict(shown[2], "b")}
    assert [p.partition(": ")[0] for p in reading.problems] == [
        "annotator2.jsonl, line 4",
        "annotator2.jsonl, line 6",
    ]


def test_a_prompt_of_several_turns_shows_who_said_what() -> None:
    turns = [Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "?")]
    assert file.transcript(turns[1:2]) == "Hi"
    assert file.transcript(turns) == "[system]\nBe brief.\n\n[user]\nHi\n\n[assistant]\nHello\n\n[user]\n?"


TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=40)
SAID = st.sampled_from(["a", "b", "tie", "skip", ""])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(TEXT, TEXT, TEXT, st.sampled_from(["a", "b", "tie", "skip", ""])), min_size=1, max_size=5)
)
def test_any_text_goes_round(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str, str]]) -> None:
    folder = tmp_path_factory.mktemp("forms")
    shown: dict[str, tuple[Shown, str]] = {}
    for prompt, a, b, said in rows:
        item = Pair.item((Message("user", prompt),), Message("assistant", a), Message("assistant", b))
        shown.setdefault(item.id, (item.shown(1, ""), said))
    for form in ("csv", "jsonl"):
        path = file.write(folder, 1, [s for s, _ in shown.values()], form)  # type: ignore[arg-type]
        said_of = {s.code: said for s, said in shown.values()}
        if form == "csv":
            save(path, [{**r, "verdict": said_of[r["record"]]} for r in table(path)])
        else:
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
            path.write_text("".join(json.dumps({**r, "verdict": said_of[r["record"]]}) + "\n" for r in lines))
        reading = file.read(folder, {s.code: s for s, _ in shown.values()})
        assert reading.problems == []
        assert answers(reading) == {s.code: Pair.verdict(s, said) for s, said in shown.values() if said}  # type: ignore[arg-type]
        path.unlink()
