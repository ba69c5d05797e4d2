"""What the search bar finds, in scripts with and without spaces, with marks and without."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from curation.labeling.server.inside.texts import Query, Texts, catch_up

SAID = {
    "zh": "东京塔很高，晚上很漂亮。",
    "vi": "Mẹ tôi nấu phở rất ngon; con ma trong truyện.",
    "vi2": "Má tôi ở Huế, hoà thuận với hàng xóm.",
    "en": "The QUICK brown fox, a/b testing: 50% off!",
    "de": "Die Straße ist naß und groß.",
    "ar": "القطة تجلس على السجادة",
    "hi": "बिल्ली चटाई पर बैठी है",
    "th": "แมวนั่งอยู่บนเสื่อ",
    "ko": "고양이가 매트 위에 앉아 있다",
    "emoji": "fine 👍🏽 thanks",
    "decomposed": "cafe\u0301 au lait",
}


@pytest.fixture
def texts(tmp_path: Path) -> Texts:
    found = Texts(tmp_path / "search.db")
    found.create()
    found.put(
        "d",
        [
            (name, {"prompt": text, "chat": [{"role": "user", "content": f"turn of {name}"}]})
            for name, text in SAID.items()
        ],
    )
    found.put("other", [("elsewhere", {"prompt": SAID["zh"]})])
    return found


@pytest.mark.parametrize(
    ("asked", "right"),
    [
        ("京塔", {"zh"}),
        ("东京塔", {"zh"}),
        ("塔", {"zh"}),
        ("塔高", set()),
        ("。", {"zh"}),
        ("ô", {"vi", "vi2"}),
        ("ß", {"de"}),
        ("ss", {"de"}),
        ("%", {"en"}),
        ("👍", {"emoji"}),
        ("🏽", {"emoji"}),
        ("القطة", {"ar"}),
        ("طة", {"ar"}),
        ("แมว", {"th"}),
        ("แ", {"th"}),
        ("매", {"ko"}),
        ("塔 -东", set()),
        ("ma | 塔", {"vi", "zh"}),
        ("ma", {"vi"}),
        ("má", {"vi2"}),
        ("phở", {"vi"}),
        ("quick", {"en"}),
        ("FOX", {"en"}),
        ("a/b", {"en"}),
        ("50%", {"en"}),
        ("strasse", {"de"}),
        ("السجادة", {"ar"}),
        ("चटाई", {"hi"}),
        ("เสื่อ", {"th"}),
        ("매트", {"ko"}),
        ("👍🏽", {"emoji"}),
        ("café", {"decomposed"}),
        ('"brown fox"', {"en"}),
        ('"fox brown"', set()),
        ("fox quick", {"en"}),
        ("fox phở", set()),
        ("fox | phở", {"en", "vi"}),
        ("tôi -phở", {"vi2"}),
        ("quic*", {"en"}),
        ('say "unfinished', set()),
        ("fox OR) NEAR(", set()),
    ],
)
def test_a_search_finds_what_is_there_and_nothing_else(texts: Texts, asked: str, right: set[str]) -> None:
    found = texts.find("d", None, asked)
    assert found is not None
    assert set(found) == right
    assert len(found) == len(set(found))


def test_a_field_can_be_asked_alone_and_nothing_asked_is_no_answer(texts: Texts) -> None:
    assert texts.find("d", "prompt", "turn of zh") == []
    assert texts.find("d", "chat", "turn of zh") == ["zh"]
    assert texts.find("d", "prompt", "  ") is None
    assert not Query.parse('"" | *')


def test_a_record_is_known_once_and_can_be_forgotten(texts: Texts) -> None:
    texts.put("d", [("en", {"prompt": "slow grey wolf"})])
    assert texts.find("d", None, "fox") == []
    assert texts.find("d", None, "wolf") == ["en"]
    texts.forget(records=["en"])
    assert texts.find("d", None, "wolf") == []
    texts.forget(dataset="d")
    assert texts.known() == {"elsewhere"}


def test_what_a_crash_left_out_is_taken_in_at_the_next_start(tmp_path: Path) -> None:
    database = tmp_path / "argilla.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE records(id TEXT, dataset_id TEXT, fields TEXT)")
        rows = [(f"r{n}", "d", json.dumps({"prompt": f"number {n:04d}"})) for n in range(1200)]
        connection.executemany("INSERT INTO records VALUES (?, ?, ?)", rows)
    texts = Texts(tmp_path / "search.db")
    texts.create()
    texts.put("d", [("r7", {"prompt": "number 0007"}), ("gone", {"prompt": "number 9999"})])
    assert catch_up(texts, database) == 1200
    assert texts.known() == {f"r{n}" for n in range(1200)}
    assert texts.find("d", None, "0042") == ["r42"]
    assert texts.find("d", None, "9999") == []
    assert catch_up(texts, database) == 0


def test_an_index_of_another_layout_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "search.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE doc(id INTEGER PRIMARY KEY, something TEXT)")
    texts = Texts(path)
    texts.create()
    assert texts.known() == set()
    texts.put("d", [("r", {"prompt": SAID["zh"]})])
    texts.create()
    assert texts.find("d", None, "京塔") == ["r"]


def test_data_sets_of_many_fields(tmp_path: Path) -> None:
    texts = Texts(tmp_path / "search.db")
    texts.create()
    texts.put("d", [("r", {f"field{n}": f"word{n:02d} ô{n:02d}" for n in range(40)})])
    for n in range(40):
        assert texts.find("d", None, f"word{n:02d}") == ["r"]
        assert texts.find("d", f"field{n}", f"word{n:02d}") == ["r"]
    assert texts.find("d", "field3", "word04") == []
    assert texts.find("d", "field3", "04") == []
    assert texts.find("d", "field3", "03") == ["r"]
    texts.forget(records=["r"])
    assert texts.find("d", None, "03") == []


def test_several_may_write_at_once(tmp_path: Path) -> None:
    texts = Texts(tmp_path / "search.db")
    texts.create()
    with ThreadPoolExecutor(4) as pool:
        calls = [
            pool.submit(texts.put, "d", [(f"r{n}-{m}", {f"field{m % 5}": f"word{n:02d}{m:02d}"}) for m in range(20)])
            for n in range(8)
        ]
        for call in calls:
            call.result()
    assert len(texts.known()) == 160
    assert texts.find("d", "field3", "word0713") == ["r7-13"]
