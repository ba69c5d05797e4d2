"""The store: what is written is whole, the same content lies there once, one writer a key, newer stores are refused."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curation.artifact import Evaluation, Policy
from curation.errors import UserError
from rlhf.recipe.identity import FileHashes, artifact_digest
from rlhf.recipe.manifest import Made, Manifest
from rlhf.recipe.store import Store


def manifest(store: Store, key: str, digest: str = "d") -> Manifest:
    store.artifact(digest).mkdir(parents=True, exist_ok=True)
    return Manifest(key=key, step="s", name="n", settings={}, output=Made(kind="policy", digest=digest))


def test_a_step_is_done_when_its_manifest_is_there_and_its_artifact_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.manifest("k") is None
    store.finish(manifest(store, "k"))
    found = store.manifest("k")
    assert found is not None and found.output.digest == "d"
    store.artifact("d").rmdir()
    assert store.manifest("k") is None


def test_the_work_folder_goes_when_the_step_is_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (store.work("k") / "room").mkdir(parents=True)
    store.finish(manifest(store, "k"))
    assert not store.work("k").exists()


def test_the_same_content_is_kept_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digests = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "evaluation.json").write_text("{}")
        digests.append(store.publish(Evaluation, folder).digest)
        assert not folder.exists()
    assert digests[0] == digests[1]
    assert len(list((store.root / "artifacts").iterdir())) == 1


def test_a_models_digest_sees_weights_and_not_where_or_by_what_it_was_written(tmp_path: Path) -> None:
    def model(name: str, weights: bytes, config: dict[str, object]) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "training.log").write_text(name)
        return artifact_digest(Policy, folder)

    first = model("a", b"w", {"hidden_size": 8, "_name_or_path": "/here", "transformers_version": "5.0"})
    assert first == model("b", b"w", {"transformers_version": "5.24", "hidden_size": 8})
    assert first != model("c", b"x", {"hidden_size": 8})
    assert first != model("d", b"w", {"hidden_size": 9})


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text('{"format": 99}')
    with pytest.raises(UserError, match="newer version"):
        Store(tmp_path)


@pytest.mark.parametrize("place", ["s3://bucket/x", "gs://b"])
def test_object_stores_are_refused_clearly(place: str) -> None:
    with pytest.raises(UserError, match="not a local folder"):
        Store(place)


def test_a_place_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be used"):
        Store(tmp_path / "file")


_HOLD = """
import sys, time
from rlhf.recipe.store import Store
with Store(sys.argv[1]).lease("k"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lease_names_its_holder_and_goes_with_its_process(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=f"process {holder.pid}"), store.lease("k", wait=False):
            pass
        with store.lease("another", wait=False):
            pass
        holder.kill()
    with store.lease("k", wait=False):
        pass


def test_a_second_run_waits_for_the_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    heard: list[str] = []

    def release(seconds: float) -> None:
        time.sleep(seconds)

    context = multiprocessing.get_context("fork")
    ready = context.Event()

    def hold() -> None:
        with Store(tmp_path).lease("k"):
            ready.set()
            release(0.3)

    other = context.Process(target=hold)
    other.start()
    assert ready.wait(10)
    with store.lease("k", on_wait=heard.append):
        assert len(heard) == 1
    other.join()


def test_a_file_is_hashed_once_and_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("abc")
    hashes = FileHashes(tmp_path / "memo.sqlite")
    # sha256("abc"), FIPS 180-4 appendix example
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hashes(file) == known
    stat = file.stat()
    file.write_text("abd")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert hashes(file) != known
    file.write_text("abc")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert hashes(file) == known
