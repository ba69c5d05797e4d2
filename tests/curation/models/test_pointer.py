"""`model_name_or_path`: content for folders and files, commits for the Hub, and clear words for everything else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from curation.artifact import Surroundings, bind, hash_file, identity
from curation.errors import UserError
from curation.models import NamesModel, OutsideModel

SHA = "12fd25f77366fa6b3b4b768ec3050bf629380bac"


class Names(NamesModel):
    model_name_or_path: OutsideModel
    model_revision: str | None = None


def bound(written: str, here: Path, revision: str | None = None) -> Names:
    return bind(Names(model_name_or_path=written, model_revision=revision), Surroundings(here, hash_file))


def test_a_folder_is_known_by_content_and_not_by_place(micro: Path, tmp_path: Path) -> None:
    first = shutil.copytree(micro, tmp_path / "a" / "model")
    second = shutil.copytree(micro, tmp_path / "b" / "other")
    (second / "README.md").write_text("what people read changes nothing")
    one, two = bound("model", tmp_path / "a"), bound(str(second), tmp_path)
    assert identity(one) == identity(two)
    assert one.model_name_or_path.local() == first
    config = json.loads((second / "config.json").read_text())
    (second / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.1}))
    assert identity(bound(str(second), tmp_path)) != identity(one)


def test_a_full_sha_is_the_digest_without_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the network"))
    pointer = bound("someone/model", tmp_path, SHA).model_name_or_path
    assert pointer.identity() == SHA
    assert pointer.path is None


def test_the_revision_is_part_of_the_commit_not_of_the_key(micro: Path, tmp_path: Path) -> None:
    """A recipe that pins the Hub's model runs on a local copy of any name, whatever revision it names."""
    shutil.copytree(micro, tmp_path / "model")
    assert identity(bound("model", tmp_path)) == identity(bound("model", tmp_path, SHA))


@pytest.mark.parametrize(
    ("break_it", "what", "hint"),
    [
        (lambda d: (d / "config.json").unlink(), "no config.json", "save_pretrained"),
        (lambda d: (d / "tokenizer.json").unlink(), "has no tokenizer", "copy the tokenizer's files"),
        (lambda d: (d / "model.safetensors").unlink(), "holds no weights", "copied whole"),
        (lambda d: (d / "model.safetensors").rename(d / "pytorch_model.bin"), "as a pickle", "only safetensors"),
        (lambda d: (d / "config.json").rename(d / "adapter_config.json"), "an adapter without its base", "merge it"),
        (lambda d: (d / "config.json").rename(d / "x.gguf"), "holds GGUF files", "name one of them: model/x.gguf"),
    ],
)
def test_what_is_missing_is_said_with_the_next_step(
    micro: Path, tmp_path: Path, break_it: object, what: str, hint: str
) -> None:
    break_it(shutil.copytree(micro, tmp_path / "model"))
    with pytest.raises(UserError, match=what) as error:
        bound("model", tmp_path)
    assert hint in error.value.hint


def test_files_that_are_no_model(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"\0")
    (tmp_path / "pointer.gguf").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(UserError, match=r"weights\.bin is no model"):
        bound("weights.bin", tmp_path)
    with pytest.raises(UserError, match=r"pointer\.gguf is no GGUF file"):
        bound("pointer.gguf", tmp_path)
    for missing in ("./nowhere", "nowhere.gguf", "package:curation/nothing.gguf", "package:no_such_package/x.gguf"):
        with pytest.raises(UserError):
            bound(missing, tmp_path)


class Hub(BaseHTTPRequestHandler):
    """One model, `someone/model`: says which commit a branch is, lists its files, and hands them out."""

    files: ClassVar[dict[str, bytes]] = {}
    handed_out: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/api/models/someone/model/revision/main":
            self.answer(200, json.dumps({"id": "someone/model", "sha": SHA, "siblings": []}))
        elif path == f"/api/models/someone/model/tree/{SHA}":
            listed = [
                {"type": "file", "path": name, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}
                for name, body in self.files.items()
            ]
            self.answer(200, json.dumps(listed))
        elif path.startswith(start := f"/someone/model/resolve/{SHA}/"):
            name = path.removeprefix(start)
            if self.command == "GET":
                self.handed_out.append(name)
            etag = hashlib.sha1(self.files[name]).hexdigest()
            self.answer(200, self.files[name], ETag=f'"{etag}"', X_Repo_Commit=SHA)
        elif path.startswith("/api/models/someone/model/"):
            self.answer(404, X_Error_Code="RevisionNotFound")
        elif path.startswith("/api/models/someone/gated"):
            self.answer(403, X_Error_Code="GatedRepo")
        else:
            self.answer(404, X_Error_Code="RepoNotFound")

    do_HEAD = do_GET

    def answer(self, status: int, body: str | bytes = b"", **headers: str) -> None:
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


ASK = """
import sys
from curation.errors import UserError
from curation.models.pointer import OutsideModel, commit
for name, revision, *less in [a.split("@") for a in sys.argv[1:]]:
    try:
        sha = commit(name, revision or None)
        print(sha if revision != sha else OutsideModel(name, None, sha).local(weights=not less))
    except UserError as error:
        print(error.what, "|", error.hint)
"""


def ask(endpoint: str, *models: str, **environment: str) -> list[str]:
    """What the real client makes of it, in a process of its own: it reads the address when it is imported."""
    keep = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    env = {**keep, "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "PYTHONPATH": os.getcwd(), **environment}
    done = subprocess.run([sys.executable, "-c", ASK, *models], env=env, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_hub_says_which_commit_a_branch_is(hub: str) -> None:
    found = ask(hub, "someone/model@", "someone/model@nope", "someone/gated@", "no/such@")
    assert found[0] == SHA
    assert found[1].startswith("someone/model has no revision 'nope'")
    assert "is gated" in found[2]
    assert "there is no model no/such on the Hub, and no such folder" in found[3]


def test_without_a_network_a_branch_is_an_error_with_a_way_out(hub: str) -> None:
    (found,) = ask(hub, "someone/model@main", HF_HUB_OFFLINE="1")
    assert "the Hub cannot be reached for someone/model" in found
    assert "full commit sha" in found


def test_a_model_is_downloaded_once_without_its_pickles(hub: str, micro: Path, tmp_path: Path) -> None:
    Hub.files = {p.name: p.read_bytes() for p in micro.iterdir()}
    Hub.files |= {"pytorch_model.bin": b"pickle", "onnx/model.onnx": b"x", "modeling_own.py": b"run me"}
    Hub.handed_out.clear()
    (place,) = ask(hub, f"someone/model@{SHA}", HF_HOME=str(tmp_path))
    came = {p.name for p in Path(place).iterdir()}
    assert came == {p.name for p in micro.iterdir()}
    assert (Path(place) / "model.safetensors").read_bytes() == (micro / "model.safetensors").read_bytes()
    assert sorted(Hub.handed_out) == sorted(came)
    again = ask(hub, f"someone/model@{SHA}", HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert again == [place]
    (refused,) = ask(hub, f"someone/model@{SHA}", HF_HOME=str(tmp_path / "empty"), HF_HUB_OFFLINE="1")
    assert "cannot be reached" in refused


def test_a_tokenizer_comes_without_the_weights(hub: str, micro: Path, tmp_path: Path) -> None:
    Hub.files = {p.name: p.read_bytes() for p in micro.iterdir()}
    Hub.handed_out.clear()
    (place,) = ask(hub, f"someone/model@{SHA}@tokenizer", HF_HOME=str(tmp_path))
    assert {p.name for p in Path(place).iterdir()} == {p.name for p in micro.iterdir()} - {"model.safetensors"}
    assert "model.safetensors" not in Hub.handed_out


def test_a_repository_of_pickles_is_refused_when_it_came(hub: str, micro: Path, tmp_path: Path) -> None:
    Hub.files = {p.name: p.read_bytes() for p in micro.iterdir() if p.suffix != ".safetensors"}
    Hub.files["pytorch_model.bin"] = b"pickle"
    (refused,) = ask(hub, f"someone/model@{SHA}", HF_HOME=str(tmp_path))
    assert "someone/model holds no weights (*.safetensors)" in refused
