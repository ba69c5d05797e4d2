"""`compare` in batches on the real server: a batch goes up, is answered, and the next one comes beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from label_site import Site

from rlhf.recipe.profile import Labeling, Profile
from rlhf.recipe.step import Done, Room, Waiting

pytestmark = pytest.mark.heavy


class Online(Site):
    """People who answer on a server."""

    server: Any
    key: str

    def room(self) -> Room:
        made = super().room()
        made.profile = Profile(labeling=Labeling(backend="argilla", api_url=self.server.url, workspace="rlhf"))
        made.name = "in-batches"
        return made

    def records(self, where: str) -> list[dict[str, Any]]:
        dataset = where.split("/dataset/")[1].split("/")[0]
        place = f"datasets/{dataset}/records?limit=1000&include=responses"
        found: list[dict[str, Any]] = self.server.made("GET", place)["items"]
        return found

    def say(self, where: str) -> None:
        """Answers all that is up."""
        for record in self.records(where):
            if not record.get("responses"):
                texts = {side: record["fields"][f"answer_{side}"][0]["content"] for side in "ab"}
                better = next(side for side, text in texts.items() if "check" in text)
                body = {"values": {"better": {"value": better}}, "status": "submitted"}
                self.server.made("POST", f"records/{record['id']}/responses", body, self.key)


def test_batches_go_up_one_after_the_other(
    tmp_path: Path, micro: Path, labeling_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGILLA_API_KEY", labeling_server.owner.api_key)
    site = Online(tmp_path, micro)
    site.server, site.key = labeling_server, labeling_server.person("in-batches")
    step, up = site.step("d_optimal", max_answers=13), []
    for _ in range(5):
        now = site.run(step)
        if isinstance(now, Done):
            break
        up.append(len(site.records(now.where)))
        assert isinstance(site.run(step), Waiting) and len(site.records(now.where)) == up[-1]  # nothing goes up twice
        site.say(now.where)
    assert isinstance(now, Done) and up == [6, 10, 13]
    assert [len(batch) for batch in site.batches()] == [6, 4, 3]
    assert done_figures(now) == (13, 13, [6, 10, 13])


def done_figures(done: Done) -> tuple[int, int, list[int]]:
    points = done.pictures["label_budget"]["points"]
    return done.metrics["answers"], done.metrics["pairs"], [p["answers"] for p in points]
