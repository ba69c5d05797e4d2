"""`python -m curation.labeling.smoke`: what works on a server is said, and so is what does not."""

from __future__ import annotations

from typing import Any

import pytest

from curation.labeling.smoke import main

pytestmark = pytest.mark.heavy


def test_a_server_that_does_all_that_labeling_needs(
    server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARGILLA_API_KEY", server.owner.api_key)
    before = server.made("GET", "me/datasets")["items"]
    assert main([server.url]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "all that labeling needs works"
    assert [line.split(":")[0] for line in said[1:-1]] == [
        "a data set",
        "a record",
        "an answer",
        "the answer",
        "the record",
        "the data set",
    ]
    assert server.made("GET", "me/datasets")["items"] == before, "nothing is left behind"


def test_what_a_server_lacks(server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ARGILLA_API_KEY", server.owner.api_key)
    assert main([server.url, "--workspace", "elsewhere"]) == 1
    assert "no workspace 'elsewhere'" in capsys.readouterr().err
    monkeypatch.setenv("ARGILLA_API_KEY", server.person("smoke-annotator"))
    assert main([server.url]) == 1
    assert "may not POST datasets" in capsys.readouterr().err
