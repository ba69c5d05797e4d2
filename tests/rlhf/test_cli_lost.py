"""`rlhf show RECIPE STEP --dropped` and `--malformed`: the rows that left, by operator or reason, safe to look at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
RECIPE = """\
recipe: t
steps:
  rows: {step: ingest, makes: conversations, datasets: [{path: a.jsonl, format: messages, license: mit}]}
  few: {step: curate, data: rows, operators: [exact_dedup, words, {keep: "words >= 2"}, {length: {max_words: 50}}]}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the recipe has run."""
    folder = tmp_path_factory.mktemp("lost")

    def chat(text: str) -> str:
        turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": text}]
        return json.dumps({"messages": turns}, ensure_ascii=False) + "\n"

    texts = ["one two", "one two", "one", "eins", "một hai ba", "bad \x1b[31m thing\x07 and", "long " * 80, "x " * 3]
    broken = '{"messages": [\n' + '{"messages": 7}\n'
    (folder / "a.jsonl").write_text("".join(map(chat, texts)) + broken, encoding="utf-8")
    (folder / "t.yaml").write_text(RECIPE)
    return folder


@pytest.fixture
def rlhf(command: Run, made: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(made)
    if not (made / ".rlhf").exists():
        code, _, err = command("show", "t.yaml", "few", "--dropped")
        assert code == 1 and "has made nothing yet" in err
        code, _, err = command("run", "t.yaml", "--no-page")
        assert code == 0, err
    return command


def test_all_dropped_rows_are_shown_with_operator_reason_id_and_text(rlhf: Run) -> None:
    code, out, _ = rlhf("show", "t.yaml", "few", "--dropped")
    assert code == 0
    assert "few: 4 rows dropped" in out
    for line in ("1  exact_dedup: duplicate", "2  keep(words >= 2): low_words", "1  length: too_many_words"):
        assert line in out
    assert "a.jsonl, record 2" in out and "assistant: one" in out
    assert "[400 characters]" in out  # a long text is cut, and that is said


@pytest.mark.parametrize(
    ("word", "rows"),
    [("keep", 2), ("keep(words >= 2)", 2), ("low_words", 2), ("exact_dedup", 1), ("too_many_words", 1)],
)
def test_a_word_is_an_operator_or_a_reason(rlhf: Run, word: str, rows: int) -> None:
    code, out, _ = rlhf("show", "t.yaml", "few", "--dropped", word, "--json")
    said = json.loads(out)
    assert code == 0 and said["total"] == len(said["rows"]) == rows
    assert all(word in (r["dropped_by"], r["dropped_by"].partition("(")[0], r["reason"]) for r in said["rows"])
    assert all(len(r["id"]) == 32 and r["messages"][0] == {"role": "user", "content": "q"} for r in said["rows"])


def test_a_word_that_is_neither_gets_the_nearest(rlhf: Run) -> None:
    code, _, err = rlhf("show", "t.yaml", "few", "--dropped", "low_word")
    assert code == 2 and "did you mean 'low_words'?" in err
    code, _, err = rlhf("show", "t.yaml", "--dropped")
    assert code == 2 and "name the step: " in err and "few" in err


def test_a_limit_says_how_many_more_there_are(rlhf: Run) -> None:
    code, out, _ = rlhf("show", "t.yaml", "few", "--dropped", "--limit", "1")
    assert code == 0 and "1 of 4 are shown: --limit N shows more" in out
    assert len(json.loads(rlhf("show", "t.yaml", "few", "--dropped", "--limit", "0", "--json")[1])["rows"]) == 4


def test_records_that_could_not_be_read_are_shown_as_they_were(rlhf: Run) -> None:
    code, out, _ = rlhf("show", "t.yaml", "rows", "--malformed", "--json")
    said = json.loads(out)
    assert code == 0 and said["total"] == len(said["rows"]) == 2
    assert {r["index"] for r in said["rows"]} == {8, 9}
    assert {r["file"] for r in said["rows"]} == {"a.jsonl"}
    code, out, _ = rlhf("show", "t.yaml", "rows", "--malformed")
    assert "rows: 2 records malformed" in out and '{"messages": [' in out
    assert rlhf("show", "t.yaml", "rows", "--dropped")[1] == "rows: nothing was dropped\n"


def test_no_text_of_a_row_moves_the_terminal(rlhf: Run, made: Path) -> None:
    (made / "t2.yaml").write_text(RECIPE.replace("max_words: 50", "max_words: 3"))
    assert rlhf("run", "t2.yaml", "--no-page")[0] == 0
    _, out, _ = rlhf("show", "t2.yaml", "few", "--dropped", "length")
    assert "thing" in out and "\x1b[31m" not in out and "\x07" not in out
