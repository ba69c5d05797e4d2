"""From a store to the page, as the command line does it."""

from __future__ import annotations

import json

import made_up_run as made_up

from rlhf.cli.page import write
from rlhf.recipe.manifest import Manifest
from rlhf.recipe.store import Store


def test_the_page_lies_beside_the_record_and_holds_what_the_run_made(tmp_path):
    store = Store(tmp_path)
    record, manifests = made_up.record(pairs="failed"), made_up.manifests()
    for name, plain in manifests.items():
        key = f"{name:x<64}"
        record["steps"][name]["key"] = key
        manifest = Manifest.model_validate({**plain, "key": key})
        store.artifact(manifest.output.digest).mkdir(parents=True, exist_ok=True)
        store.finish(manifest)
    place = store.record_run("quickstart", "20240301-140500-000", record)
    page = write(store, place)
    assert page == place.with_suffix(".html")
    text = page.read_text(encoding="utf-8")
    assert "win rate 0.77 [0.70, 0.83]" in text
    assert "118 rows" not in text  # of an earlier run: in this one, the step failed
    assert store.last_run("quickstart") == (place, json.loads(place.read_text(encoding="utf-8")))
