"""A data set entry is tied to content: files by what is in them, the Hub by commit."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from curation.artifact import Surroundings, bind, hash_file, identity
from curation.errors import UserError
from curation.formats.oasst import OASST
from curation.sources.dataset import Dataset

_spec = importlib.util.spec_from_file_location("hub_server", Path(__file__).with_name("hub_server.py"))
assert _spec and _spec.loader
hub_server = importlib.util.module_from_spec(_spec)
sys.modules["hub_server"] = hub_server
_spec.loader.exec_module(hub_server)

ROW = b'{"messages": [{"role": "user", "content": "%s"}]}\n'


def bound(here: Path, online: bool = True, **entry: Any) -> Dataset:
    return bind(Dataset.model_validate(entry), Surroundings(here, hash_file, online=online))


def put(path: Path, content: bytes = ROW % b"Hi") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_is_known_by_its_content_and_not_by_its_place_or_name(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl")
    put(tmp_path / "other" / "b.jsonl")
    one = bound(tmp_path, path="a.jsonl", revision="main", split="test")
    other = bound(tmp_path / "other", path=str(tmp_path / "other" / "b.jsonl"))
    assert one.path.digest == hashlib.sha256(ROW % b"Hi").hexdigest()
    assert identity(one) == identity(other)
    assert [f.name for f in one.path.files + other.path.files] == ["a.jsonl", "b.jsonl"]
    put(tmp_path / "a.jsonl", ROW % b"Ho")
    assert identity(bound(tmp_path, path="a.jsonl")) != identity(one)


def test_what_changes_the_rows_changes_the_identity(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl")
    plain = identity(bound(tmp_path, path="a.jsonl"))
    for change in ({"license": "mit"}, {"format": "messages"}, {"weight": 2}, {"columns": ["messages"]}):
        assert identity(bound(tmp_path, path="a.jsonl", **change)) != plain


def test_a_folder_is_the_files_of_its_split(tmp_path: Path) -> None:
    for name in ("train.jsonl", "test.jsonl", "notes.txt"):
        put(tmp_path / "set" / name, ROW % name.encode())
    entry = bound(tmp_path, path="set")
    assert [f.name for f in entry.path.files] == ["train.jsonl"]
    assert bound(tmp_path, path="set", split="test").path.digest == hash_file(tmp_path / "set" / "test.jsonl")
    put(tmp_path / "set" / "notes.txt", b"other notes")
    assert identity(bound(tmp_path, path="set")) == identity(entry)
    both = bound(tmp_path, path="set", data_files="t*.jsonl")
    assert len(both.path.files) == 2
    (tmp_path / "set" / "test.jsonl").rename(tmp_path / "set" / "tz.jsonl")
    assert identity(bound(tmp_path, path="set", data_files="t*.jsonl")) == identity(both)


def test_a_card_in_a_folder_says_what_its_configurations_are(tmp_path: Path) -> None:
    put(tmp_path / "set" / "one.jsonl")
    put(tmp_path / "set" / "two.jsonl", ROW % b"Ho")
    card = "---\nlicense: mit\nconfigs:\n- config_name: b\n  data_files: two.jsonl\n---\n# Words\n"
    put(tmp_path / "set" / "README.md", card.encode())
    assert [f.name for f in bound(tmp_path, path="set").path.files] == ["two.jsonl"]
    assert [f.name for f in bound(tmp_path, path="set", name="b").path.files] == ["two.jsonl"]
    put(tmp_path / "set" / "README.md", b"---\na: [\n---\n")
    with pytest.raises(UserError, match="is no YAML"):
        bound(tmp_path, path="set")


def test_files_as_load_dataset_takes_them(tmp_path: Path) -> None:
    put(tmp_path / "x" / "a.json")
    put(tmp_path / "x" / "b.json", ROW % b"Ho")
    entry = bound(tmp_path, path="json", data_files={"train": "x/*.json"})
    assert [f.name for f in entry.path.files] == ["a.json", "b.json"]
    entry = bound(tmp_path, path="json", data_files=str(tmp_path / "x" / "b.json"))
    assert entry.path.digest == hash_file(tmp_path / "x" / "b.json")
    with pytest.raises(UserError, match=r"there is no file y\.json"):
        bound(tmp_path, path="json", data_files="y.json")


def test_a_file_inside_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "lib" / "chats_pkg" / "__init__.py", b"raise RuntimeError('imported')")
    put(tmp_path / "lib" / "chats_pkg" / "data" / "a.jsonl")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    entry = bound(tmp_path, path="package:chats_pkg/data/a.jsonl")
    assert entry.path.digest == hashlib.sha256(ROW % b"Hi").hexdigest()
    for wrong, message in (
        ("package:chats_pkg/b.jsonl", "holds no"),
        ("package:no_such/a.jsonl", "pip install no-such"),
    ):
        with pytest.raises(UserError, match=message):
            bound(tmp_path, path=wrong)


@pytest.mark.parametrize("wrong", ["a.jsonl", "./acme/chats", "/acme/chats", "acme/chats.json.gz", "so many words"])
def test_a_file_that_is_not_there_is_not_looked_for_on_the_hub(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no"):
        bound(tmp_path, path=wrong)


def test_settings_of_a_format_stand_under_its_name_and_are_checked() -> None:
    entry = Dataset.model_validate({"path": "a/b", "format": {"oasst": {"top_k": 1}}})
    assert entry.format == OASST(top_k=1)
    assert identity(entry.format)["revision"] == OASST.revision
    for wrong in ("oast", {"oasst": {"topk": 1}}, {"oasst": {"top_k": 0}}):
        with pytest.raises(ValidationError):
            Dataset.model_validate({"path": "a/b", "format": wrong})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    from huggingface_hub import constants

    with hub_server.running(hub_server.Hub()) as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        template = found.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        yield found


def test_a_branch_of_the_hub_is_pinned_to_its_commit_and_a_commit_needs_no_request(hub: Any, tmp_path: Path) -> None:
    first = hub.push("main", {"train.jsonl": ROW % b"Hi"})
    entry = bound(tmp_path, path="acme/chats")
    assert entry.path.commit == first
    assert not entry.pinned()
    asked = len(hub.requests)
    assert identity(bound(tmp_path, path="acme/chats", revision=first)) == identity(entry)
    assert identity(bound(tmp_path, path="acme/chats", revision=first, split="test")) != identity(entry)
    assert bound(tmp_path, path="acme/chats", revision=first).pinned()
    assert len(hub.requests) == asked
    second = hub.push("main", {"train.jsonl": ROW % b"Ho"})
    assert bound(tmp_path, path="acme/chats").path.commit == second != first
    assert bound(tmp_path, path="acme/chats", revision="main").path.digest != entry.path.digest


def test_files_of_the_hub_are_those_of_the_commit_and_travel_to_another_process(hub: Any, tmp_path: Path) -> None:
    files = {
        "README.md": b"# Hi",
        "data/train-00000-of-00001.jsonl": ROW % b"Hi",
        "data/test-00000-of-00001.jsonl": b"",
    }
    sha = hub.push("main", files)
    entry = bound(tmp_path, path="acme/chats")
    hub.push("main", {"train.jsonl": ROW % b"Ho"})
    travelled = pickle.loads(pickle.dumps(entry))
    (file,) = travelled.files()
    assert file.name == "data/train-00000-of-00001.jsonl"
    assert file.digest == hashlib.sha256(ROW % b"Hi").hexdigest() == hash_file(file.path)
    assert not any(path.endswith("README.md") for path in hub.requests)
    # What was read once is read again without a network.
    hub.status = 503
    assert bound(tmp_path, path="acme/chats", revision=sha).files() == [file]


def test_the_card_on_the_hub_says_what_its_configurations_are(hub: Any, tmp_path: Path) -> None:
    hub.push("main", {"en.jsonl": ROW % b"Hi", "vi.jsonl": ROW % b"Ch\xc3\xa0o"})
    hub.card = {"configs": [{"config_name": c, "data_files": f"{c}.jsonl"} for c in ("en", "vi")]}
    (file,) = bound(tmp_path, path="acme/chats", name="vi").files()
    assert json.loads(file.path.read_bytes())["messages"][0]["content"] == "Chào"
    with pytest.raises(UserError, match="acme/chats: the data set has several configurations"):
        bound(tmp_path, path="acme/chats").files()


def test_what_the_hub_refuses_is_explained(hub: Any, tmp_path: Path) -> None:
    hub.push("main", {"train.jsonl": b""})
    with pytest.raises(UserError, match="has no revision 'v2'"):
        bound(tmp_path, path="acme/chats", revision="v2")
    with pytest.raises(UserError, match="no data set 'acme/cats' on the Hub, and no such file here"):
        bound(tmp_path, path="acme/cats")
    hub.status = 500
    with pytest.raises(UserError, match="acme/chats"):
        bound(tmp_path, path="acme/chats")


def test_checking_asks_no_network(hub: Any, tmp_path: Path) -> None:
    bound(tmp_path, online=False, path="acme/chats")
    assert hub.requests == []
