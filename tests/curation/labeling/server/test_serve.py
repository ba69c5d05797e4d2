"""Starting a server: what was done before is not done again, and nothing is left lying about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation.labeling.server import serve
from curation.labeling.server.home import Home


def test_a_database_is_prepared_again_only_where_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, jobs = Home(tmp_path / "home"), []

    def admin(python: Path, home: Home, job: str, given: dict[str, Any]) -> dict[str, Any]:
        jobs.append((job, given["password"]))
        home.write(home.database, "")
        return {}

    monkeypatch.setattr(serve, "admin", admin)
    python = tmp_path / "python"
    owner, new = serve.prepared(python, home, None)
    assert new
    assert serve.prepared(python, home, None) == (owner, False)
    assert jobs == [("prepare", owner.password)]

    serve.prepared(python, home, "a password of one's own")
    serve.prepared(python, home, "a password of one's own")
    serve.prepared(python, home, None)
    assert jobs[1:] == [("prepare", "a password of one's own")]

    serve.prepared(tmp_path / "another", home, None)
    assert len(jobs) == 3, "another environment may bring another version of Argilla"
    home.database.unlink()
    serve.prepared(tmp_path / "another", home, None)
    assert len(jobs) == 4
    assert owner.password not in (home.folder / "prepared").read_text(encoding="utf-8")


@pytest.mark.heavy
def test_a_server_unpacks_its_ui_in_its_own_folder(server: Any) -> None:
    assert list(server.home.scratch.glob("*/statics/index.html")), "and not where every start leaves another copy"
