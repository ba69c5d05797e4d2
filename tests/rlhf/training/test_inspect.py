"""`rlhf inspect`: any file as a model would be trained on it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from curation.errors import UserError
from rlhf.training.inspect import inspect


def look(file: Path, model: Path, **how: Any) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    code = inspect(str(file), str(model), json=True, console=Console(file=out), **how)
    return code, json.loads(out.getvalue())


def page(file: Path, model: Path, *, colour: bool = False, **how: Any) -> tuple[int, str]:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=colour, color_system="standard" if colour else None)
    return inspect(str(file), str(model), console=console, **how), out.getvalue()


def jsonl(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


SHAREGPT = [
    {"conversations": [{"from": "human", "value": "Open it?"}, {"from": "gpt", "value": f"You open door {i}."}]}
    for i in range(4)
]


def test_chats(micro: Path, tmp_path: Path) -> None:
    code, found = look(jsonl(tmp_path / "a.jsonl", *SHAREGPT, {"conversations": []}), micro)
    assert code == 0
    assert found["ok"]
    assert found["makes"] == "conversations"
    assert found["counts"]["used"] == 4
    assert sum(found["malformed"].values()) == 1
    assert len(found["examples"]) == 3
    learned = [text for text, mark in found["examples"][0]["rendered"] if mark]
    assert len(learned) == 1
    assert learned[0].startswith("You open door")
    assert found["template"]["end_tokens"] == ["<|im_end|>"]


def test_the_mask_is_seen_with_and_without_colour(micro: Path, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", *SHAREGPT)
    code, text = page(file, micro, rows=1)
    assert code == 0
    assert "‹You open door" in text
    assert text.count("‹") == 1
    assert "a run would start" in text
    _, coloured = page(file, micro, rows=1, colour=True)
    assert "\x1b[1;32mYou open door" in coloured
    assert "‹" not in coloured


def test_pairs(micro: Path, tmp_path: Path) -> None:
    record = {"prompt": "Open it?", "chosen": "Yes.", "rejected": "No."}
    code, found = look(jsonl(tmp_path / "p.jsonl", record), micro)
    assert code == 0
    assert found["makes"] == "preferences"
    assert [e["title"] for e in found["examples"][:2]] == ["chosen", "rejected"]


def test_what_would_stop_a_run_is_an_error_that_says_what_to_do(micro: Path, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", *SHAREGPT)
    code, found = look(file, micro, max_length=5)
    assert code == 1
    assert not found["ok"]
    assert "prompt_too_long" in found["errors"][0]["what"]
    assert "max_length" in found["errors"][0]["hint"]
    code, text = page(file, micro, max_length=5)
    assert code == 1
    assert "error: none of the 4 rows" in text


def test_another_template(micro: Path, tmp_path: Path) -> None:
    path = tmp_path / "chat.jinja"
    path.write_text("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}")
    code, found = look(jsonl(tmp_path / "a.jsonl", *SHAREGPT), micro, chat_template_path=str(path))
    assert code == 1
    assert "would never stop" in found["errors"][0]["what"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.jsonl", None, "there is no"),
        ("empty.jsonl", b"", "empty|no record|no row"),
        ("binary.jsonl", bytes(range(256)) * 8, "binary file"),
        ("odd.jsonl", b'{"a": 1}\n', "no known format"),
    ],
)
def test_files_that_cannot_be_read(name: str, content: bytes | None, said: str, micro: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said):
        look(path, micro)


def test_a_missing_file_is_told_before_anybody_asks_for_the_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.jsonl"):
        look(tmp_path / "missing.jsonl", Path("nobody/has-this-model"))


def test_models_that_cannot_be_read(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", *SHAREGPT)
    (tmp_path / "model").mkdir()
    with pytest.raises(UserError, match=r"no config\.json"):
        look(file, tmp_path / "model")


def test_a_model_without_a_template(micro_copy: Path, tmp_path: Path) -> None:
    (micro_copy / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="no chat template") as caught:
        look(jsonl(tmp_path / "a.jsonl", *SHAREGPT), micro_copy)
    assert "chat_template_path" in caught.value.hint


@pytest.mark.parametrize(
    ("file", "makes", "rows"),
    [
        ("fastchat/dummy_conversation.json", "conversations", 500),
        ("hh_rlhf/harmless_base_test_first1500.jsonl.gz", "preferences", 1500),
        ("llamafactory/kto_en_demo.json", "conversations", 300),
    ],
)
def test_real_files(micro: Path, real_data: Path, file: str, makes: str, rows: int) -> None:
    code, found = look(real_data / file, micro, max_length=None)
    assert code == 0
    assert found["makes"] == makes
    assert found["counts"]["rows"] == rows
    if "kto" in file:  # half of the answers are labelled bad, and not imitated
        assert found["counts"]["dropped"]["labelled_bad"] == 150
