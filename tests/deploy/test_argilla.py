"""`deploy/`: every image is pinned, every secret is somebody's own, and nothing listens to other machines."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

DEPLOY = Path(__file__).parents[2] / "deploy"
TEXT = (DEPLOY / "argilla" / "compose.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compose() -> Any:
    return YAML(typ="safe", pure=True).load(TEXT)


def test_every_image_is_pinned_and_argilla_s_is_the_version_that_is_tested(compose: Any) -> None:
    images = {name: service["image"] for name, service in compose["services"].items()}
    assert set(images) == {"argilla", "worker", "postgres", "elasticsearch", "redis"}
    assert images["argilla"] == images["worker"] == "argilla/argilla-server:v2.8.0"
    assert images["elasticsearch"].split(":")[1].startswith("8.17.")
    assert all(re.fullmatch(r"[\w./-]+:v?\d+\.\d+(\.\d+)?", image) for image in images.values())
    assert (DEPLOY / "space" / "Dockerfile").read_text(encoding="utf-8").split() == [
        "FROM",
        "argilla/argilla-hf-spaces:v2.8.0",
    ]


def test_no_password_stands_in_the_file_and_none_may_be_left_out(compose: Any) -> None:
    secret = re.compile(r"PASSWORD|KEY|AUTH|_URL")
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if secret.search(name):
                assert re.search(r"\$\{\w+:\?", value), (name, value)
    assert not re.search(r"12345678|argilla\.apikey|owner\.apikey|postgres:postgres", TEXT)


def test_only_the_web_server_can_be_reached_and_from_its_own_machine_only(compose: Any) -> None:
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert ports == {"argilla": ["127.0.0.1:6900:6900"]}
    assert compose["networks"]["inside"]["internal"] is True
    assert [name for name, s in compose["services"].items() if s["networks"] != ["inside"]] == ["argilla"]
    kept = {volume.split(":")[0] for s in compose["services"].values() for volume in s.get("volumes", [])}
    assert kept == set(compose["volumes"])


def test_new_env_gives_all_that_is_asked_for_once_and_to_its_user_alone(tmp_path: Path) -> None:
    def made(name: str) -> dict[str, str]:
        folder = tmp_path / name
        folder.mkdir()
        script = shutil.copy(DEPLOY / "argilla" / "new-env.sh", folder)
        subprocess.run(["sh", script], check=True, capture_output=True)
        env = folder / ".env"
        assert stat.S_IMODE(env.stat().st_mode) == 0o600
        again = subprocess.run(["sh", script], capture_output=True, text=True, check=False)
        assert (again.returncode, "Nothing was changed" in again.stderr) == (1, True)
        return dict(line.split("=", 1) for line in env.read_text(encoding="utf-8").splitlines())

    one, other = made("one"), made("other")
    assert set(re.findall(r"\$\{(\w+):\?", TEXT)) <= one.keys()
    secrets = {name: value for name, value in one.items() if re.search(r"PASSWORD|KEY", name)}
    assert all(len(value) >= 24 and value != other[name] for name, value in secrets.items())
    assert len(set(secrets.values())) == len(secrets)
