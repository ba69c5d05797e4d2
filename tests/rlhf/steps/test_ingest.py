"""Ingest inside the engine: a recipe's data sets become an artifact with a ledger, whatever the data are like."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from curation import table
from curation.errors import UserError
from curation.ledger import Ledger
from rlhf.recipe import Recipe
from rlhf.recipe.check import check
from rlhf.recipe.door import Artifact
from rlhf.recipe.problem import RecipeProblems


def chat(number: int) -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": f"Say {number}"}, {"role": "assistant", "content": f"Here: {number}"}]
    }


def put(path: Path, records: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def recipe(folder: Path, datasets: Any, makes: str = "conversations") -> Path:
    path = folder / "recipe.yaml"
    step = {"step": "ingest", "makes": makes, "datasets": datasets}
    path.write_text(json.dumps({"recipe": "test", "steps": {"rows": step}}))
    return path


def run(folder: Path, datasets: Any, makes: str = "conversations", store: str = "store") -> Artifact:
    return Recipe.load(recipe(folder, datasets, makes), store=folder / store).run()["rows"]


def ledger(artifact: Artifact) -> Ledger:
    assert artifact.manifest.ledger
    return artifact.manifest.ledger


def test_an_artifact_a_ledger_and_the_malformed_records_beside_it(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", [chat(1), {"messages": 3}, chat(2)])
    made = run(tmp_path, [{"path": "a.jsonl", "format": "messages", "license": "mit"}])
    assert len(made.dataset()) == 2 == made.manifest.output.rows
    (reading,) = ledger(made).readings
    assert (reading.records, reading.used, reading.malformed) == (3, 2, {"no_messages": 1})
    malformed = table.read(tmp_path / "store" / "artifacts" / made.manifest.side["malformed"].digest)
    assert malformed.rows() == [("a.jsonl", 1, "no_messages", '{"messages": 3}')]
    (shown,) = made.manifest.examples
    assert shown == {"dropped by": "malformed", "reason": "no_messages", "text": 'a.jsonl, record 1: {"messages": 3}'}


def test_the_artifact_depends_on_content_alone(tmp_path: Path) -> None:
    put(tmp_path / "one" / "a.jsonl", [chat(1), chat(2)])
    put(tmp_path / "two" / "deep" / "b.jsonl", [chat(1), chat(2)])
    one = run(tmp_path / "one", [{"path": "a.jsonl", "format": "messages"}])
    two = run(tmp_path / "two", [{"path": str(tmp_path / "two" / "deep" / "b.jsonl"), "format": "messages"}])
    assert one.manifest.key == two.manifest.key
    assert one.manifest.output.digest == two.manifest.output.digest
    again = Recipe.load(tmp_path / "one" / "recipe.yaml", store=tmp_path / "one" / "store").run()
    assert again.result.outcomes["rows"].state == "cached"
    put(tmp_path / "one" / "a.jsonl", [chat(1), chat(3)])
    assert run(tmp_path / "one", [{"path": "a.jsonl", "format": "messages"}]).manifest.key != one.manifest.key


def test_pairs_know_who_decided_and_several_sets_are_read_into_one(tmp_path: Path) -> None:
    put(tmp_path / "p.jsonl", [{"prompt": f"p{i}", "chosen": "a", "rejected": "b"} for i in range(3)])
    start = "\n\nHuman: Hi\n\nAssistant: "
    put(tmp_path / "h.jsonl", [{"chosen": start + "a", "rejected": start + "b"}])
    made = run(tmp_path, [{"path": "p.jsonl", "weight": 0.5}, {"path": "h.jsonl", "format": "hh"}], "preferences")
    assert made.manifest.output.kind == "preferences"
    assert made.manifest.decided_by == "data set, people"
    frame = made.dataset()
    assert sorted(zip(frame["decided_by"], frame["weight"], strict=True)) == [("data set", 0.5)] * 3 + [("people", 1.0)]


def test_rated_answers_as_candidates_and_as_pairs_with_a_margin(tmp_path: Path) -> None:
    rated = [{"prompt": f"p{i}", "responses": ["a", "b", "c"], "ratings": [i, 3, 3]} for i in range(6)]
    put(tmp_path / "r.jsonl", rated)
    candidates = run(tmp_path, [{"path": "r.jsonl"}], "candidates")
    assert (candidates.manifest.output.kind, len(candidates.dataset())) == ("candidates", 6)
    entry = {"path": "r.jsonl", "format": {"ratings": {"min_gap": 0.5}}}
    path = tmp_path / "pairs.yaml"
    steps = {
        "rows": {"step": "ingest", "makes": "preferences", "datasets": [entry]},
        "clear": {"step": "curate", "data": "rows", "operators": ["tied", {"margin": {"min": 2}}]},
    }
    path.write_text(json.dumps({"recipe": "pairs", "steps": steps}))
    assert not check(path).problems
    made = Recipe.load(path, store=tmp_path / "store").run()
    assert made["rows"].manifest.decided_by == "data set"
    # Best against worst: 3-0, 3-1, 3-2, 3-3 (a tie), 4-3, 5-3.
    dropped = ledger(made["clear"]).dropped()
    assert dropped == {"tied: tied": 1, "margin(rating): low_margin": 2}
    assert sorted(made["clear"].dataset()["scores.rating_chosen"]) == [3.0, 3.0, 5.0]


def test_what_auto_found_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rlhf.recipe.headline import headline

    put(tmp_path / "a.jsonl", [chat(1)])
    made = run(tmp_path, [{"path": "a.jsonl"}])
    assert "read as messages" in headline(made.manifest)
    assert ledger(made).readings[0].evidence == {"messages": "`messages` holds turns (role, content)"}
    named = run(tmp_path, [{"path": "a.jsonl", "format": "messages"}])
    assert "read as" not in headline(named.manifest)


def test_fractions_give_the_mixture_and_the_ledger_says_what_stayed_outside(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", [chat(i) for i in range(300)])
    put(tmp_path / "b.jsonl", [chat(i) for i in range(1000, 1100)])
    made = run(tmp_path, [{"path": "a.jsonl", "fraction": 0.5}, {"path": "b.jsonl", "fraction": 0.5}])
    counts = made.dataset()["source"].struct.field("file").value_counts().rows()
    assert sorted(counts) == [("a.jsonl", 100), ("b.jsonl", 100)]
    (entry,) = ledger(made).entries
    assert (entry.operator, entry.made, entry.kept, entry.dropped) == ("fraction", 400, 200, {"outside_fraction": 200})
    alone = run(tmp_path, [{"path": "a.jsonl", "fraction": 0.1}])
    assert len(alone.dataset()) == 30


def test_a_single_map_is_a_list_of_one(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", [chat(1)])
    assert len(run(tmp_path, {"path": "a.jsonl"}).dataset()) == 1


@pytest.mark.parametrize(
    ("datasets", "makes", "message"),
    [
        ([{"path": "a.jsonl", "format": "alpaca"}], "preferences", "alpaca makes conversations, not preferences"),
        ([{"path": "a.jsonl", "fraction": 0.5}, {"path": "b.jsonl"}], "conversations", "give it to all of them"),
        ([{"path": "a.jsonl", "licence": "mit"}], "conversations", "did you mean 'license'"),
        ([{"path": "a.jsonl", "format": "sharegtp"}], "conversations", "did you mean 'sharegpt'"),
        ([{"path": "a.jsonl", "format": {"oasst": {"max_spam": 2}}}], "conversations", "max_spam"),
        ([], "conversations", "at least 1"),
        ([{"path": "a.jsonl"}], "chats", "conversations"),
    ],
)
def test_what_the_settings_alone_show_is_said_before_anything_runs(
    datasets: Any, makes: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeProblems, match=message):
        Recipe.load(recipe(tmp_path, datasets, makes), store=tmp_path / "store")


def test_check_finds_missing_files_and_asks_no_hub(tmp_path: Path) -> None:
    path = recipe(
        tmp_path, [{"path": "no.jsonl", "license": "mit"}, {"path": "acme/chats"}, {"path": "package:acme_x/a.json"}]
    )
    checked = check(path)
    assert [p.what for p in checked.problems] == [
        "there is no no.jsonl",
        "package 'acme_x' of package:acme_x/a.json is not installed",
    ]
    assert "the licence of acme/chats is not stated" in [w.what for w in checked.warnings]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", r"a\.jsonl: the file is empty"),
        ("a.jsonl", bytes(range(256)) * 100, r"a\.jsonl: it is a binary file"),
        ("a.parquet", b"PAR1" + bytes(50), r"a\.parquet: it cannot be read as Parquet"),
        ("a.jsonl", b'{"question": "x"}\n', r"a\.jsonl: no known format fits .*\n.*keys found: question"),
        (
            "a.jsonl",
            gzip.compress(b'{"messages": []}\n'),
            r"a\.jsonl: none of the 1 records gives a row: no_messages 1",
        ),
    ],
    ids=["empty", "binary", "cut parquet", "unknown", "no rows"],
)
def test_what_cannot_be_read_fails_with_place_and_reason(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        run(tmp_path, [{"path": name}])


def test_the_real_openassistant_trees(tmp_path: Path, real_data: Path) -> None:
    file = {"path": str(real_data / "oasst1_en_validation" / "en-validation.jsonl"), "format": "oasst"}
    threads, pairs = run(tmp_path, [file]), run(tmp_path, [file], "preferences")
    for made in (threads, pairs):
        (reading,) = ledger(made).readings
        assert reading.records == 2022 == reading.used + sum(reading.malformed.values())
        assert reading.malformed["deleted"] == 40
    assert len(threads.dataset()) == 950
    assert len(pairs.dataset()) == 1022
    assert pairs.manifest.decided_by == "people"
    trees = threads.dataset()["meta"].str.json_path_match("$.tree")
    assert trees.n_unique() == 188 and trees.null_count() == 0  # of 191, three have lost their prompt
    everything = {**file, "format": {"oasst": {"deleted": True, "unreviewed": True, "max_spam": None}}}
    assert len(run(tmp_path, [everything], "preferences").dataset()) == 1026
