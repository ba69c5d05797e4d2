"""A released data set is what `datasets` opens and TRL trains on, and loses nothing that the store knew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curation import table
from curation.artifact import Conversations, Ref, Release, Rows
from curation.conversation import Answer, Candidates, Conversation, Message, Preference, Source, canonical_json
from curation.frame import DROPPED, to_frame
from curation.ledger import Entry, Ledger, Reading
from rlhf.export import dataset
from rlhf.recipe.identity import artifact_digest
from rlhf.recipe.manifest import Made, Manifest
from rlhf.recipe.profile import Profile
from rlhf.recipe.step import Done, Room
from rlhf.steps.export import Export

CALL = [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": {"what": "box", "n": 2}}}]
TOOLS = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}]


def chat(*texts: str, **shared: Any) -> Conversation:
    turns = tuple(Message(("user", "assistant")[i % 2], text) for i, text in enumerate(texts))
    return Conversation(messages=turns, source=Source("chats", "a.jsonl", "d", 1, "mit"), **shared)


def pair(n: int, verdict: str = "chosen", split: str | None = None) -> Preference:
    answers = [(Message("assistant", text),) for text in (f"Please open door {n}.", "No.")]
    return Preference(
        prompt=(Message("user", f"How do I open door {n}?"),),
        chosen=answers[0],
        rejected=answers[1],
        verdict=verdict,
        decided_by="people",
        split=split,
    )


def stored(tmp_path: Path, rows: list[Any], extra: dict[str, Any] | None = None) -> Path:
    folder = tmp_path / "new"
    frame = to_frame(rows, type(rows[0]))
    if extra:
        import polars as pl

        frame = frame.with_columns(pl.lit(extra.get(c), dtype=t).alias(c) for c, t in DROPPED.items())
    table.write(folder, frame)
    return folder.rename(tmp_path / "artifacts" / table.digest(folder))


def released(tmp_path: Path, rows: list[Any], part: str | None = None, **manifest: Any) -> tuple[Path, dict[str, Any]]:
    (tmp_path / "artifacts").mkdir(exist_ok=True)
    folder = stored(tmp_path, rows)
    made = Made(kind="conversations", digest=folder.name, rows=len(rows))
    whole = Manifest(key="k", step="curate", name="c", settings={}, output=made, **manifest).model_dump(mode="json")
    out = tmp_path / "out"
    out.mkdir()
    return out, dataset.write(out, folder, part, {"curated": whole}, folder.parent, "mine")


def opened(folder: Path, tmp_path: Path, config: str | None = None) -> Any:
    from datasets import load_dataset

    return load_dataset(str(folder), config, cache_dir=str(tmp_path / "cache"))


def test_chats_come_back_with_role_and_content_alone(tmp_path: Path) -> None:
    rows = [chat("q1", "a1", split="train", scores={"words": 1.0}), chat("q2", "a2", split="test")]
    out, facts = released(tmp_path, rows)
    found = opened(out, tmp_path)
    assert {name: len(part) for name, part in found.items()} == facts["splits"] == {"test": 1, "train": 1}
    (row,) = found["train"]
    assert row["messages"] == [{"role": "user", "content": "q1"}, {"role": "assistant", "content": "a1"}]
    assert (row["id"], row["dataset"], row["license"]) == (rows[0].id, "chats", "mit")
    assert row["scores"] == {"words": 1.0}
    assert facts["digest"] == table.digest(tmp_path / "artifacts" / facts["digest"])


def test_a_set_that_is_not_split_is_train(tmp_path: Path) -> None:
    out, facts = released(tmp_path, [chat("q", f"a{i}") for i in range(3)])
    assert facts["splits"] == {"train": 3}
    assert len(opened(out, tmp_path)["train"]) == 3


def test_one_part_can_be_released_and_rows_outside_all_parts_are_kept(tmp_path: Path) -> None:
    rows = [chat("q", f"a{i}", split=s) for i, s in enumerate(["train", "test", "test", None])]
    (tmp_path / "whole").mkdir()
    assert released(tmp_path / "whole", rows)[1]["splits"] == {"test": 2, "train": 1, "rest": 1}
    (tmp_path / "part").mkdir()
    assert released(tmp_path / "part", rows, "test")[1]["splits"] == {"test": 2}


def test_tool_calls_of_any_shape_come_back_as_they_were(tmp_path: Path) -> None:
    extras = [None, {"tool_calls": CALL}, {"tool_call_id": "c1", "name": "find"}, None]
    roles = ["user", "assistant", "tool", "assistant"]
    turns = tuple(
        Message(r, f"t{i}", canonical_json(e) if e else None)
        for i, (r, e) in enumerate(zip(roles, extras, strict=True))
    )
    other = [{"id": "c2", "type": "function", "function": {"name": "add", "arguments": {"a": [1, {"b": None}]}}}]
    second = (Message("user", "x"), Message("assistant", "", canonical_json({"tool_calls": other})))
    rows = [
        Conversation(messages=turns, tools=canonical_json(TOOLS)),
        Conversation(messages=second, tools=canonical_json(TOOLS)),
        chat("plain", "row"),
    ]
    out, _ = released(tmp_path, rows)
    found = {row["id"]: row for row in opened(out, tmp_path)["train"]}
    first = found[rows[0].id]
    assert first["tools"] == TOOLS and first["messages"][1]["tool_calls"] == CALL
    assert first["messages"][2]["tool_call_id"] == "c1" and first["messages"][2]["name"] == "find"
    assert found[rows[1].id]["messages"][1]["tool_calls"] == other
    assert found[rows[2].id]["tools"] is None and found[rows[2].id]["messages"][0]["tool_calls"] is None


def test_prompts_labels_and_candidates_take_the_columns_of_their_trainers(tmp_path: Path) -> None:
    turn = {"role": "user", "content": "q"}
    cases: list[tuple[Any, dict[str, Any]]] = [
        (chat("q"), {"prompt": [turn]}),
        (chat("q", "a", label=True), {"prompt": [turn], "completion": [{"role": "assistant", "content": "a"}]}),
        (
            Candidates(prompt=(Message("user", "q"),), answers=(Answer("a"), Answer("b"))),
            {"prompt": [turn], "completions": [{"role": "assistant", "content": c} for c in "ab"]},
        ),
    ]
    for number, (row, wanted) in enumerate(cases):
        here = tmp_path / str(number)
        here.mkdir()
        out, _ = released(here, [row])
        (found,) = opened(out, here)["train"]
        assert {k: found[k] for k in wanted} == wanted and "messages" not in found
        assert found.get("label") == getattr(row, "label", None)


def test_ties_are_kept_apart_from_pairs_that_a_trainer_learns_from(tmp_path: Path) -> None:
    out, facts = released(tmp_path, [pair(1), pair(2, "tie"), pair(3)])
    assert facts["splits"] == {"train": 2} and facts["ties"] == 1
    (tie,) = opened(out, tmp_path, "ties")["ties"]
    assert tie["id"] == pair(2, "tie").id
    assert set(opened(out, tmp_path)["train"]["id"]) == {pair(1).id, pair(3).id}


def test_what_was_lost_lies_beside_it_and_the_card_adds_up(tmp_path: Path) -> None:
    import polars as pl

    (tmp_path / "artifacts").mkdir()
    gone = stored(tmp_path, [chat("q", "gone")], {"dropped_by": "keep(words >= 2)", "reason": "low_words"})
    broken = tmp_path / "artifacts" / "broken"
    table.write(broken, pl.DataFrame({"file": ["a.jsonl"], "index": [3], "reason": ["not_json"], "raw": ["{"]}))
    data = stored(tmp_path, [chat("q", "a")])
    readings = [Reading(source="/home/me/a.jsonl", records=3, used=2, malformed={"not_json": 1}, rows=2)]
    entries = [Entry(operator="keep(words >= 2)", made=2, kept=1, dropped={"low_words": 1}, seconds=0.5)]
    raw = Made(kind="conversations", digest="raw", rows=2)
    ingest = Manifest(
        key="i",
        step="ingest",
        name="rows",
        settings={"datasets": [{"license": "mit"}]},
        sources={"datasets.0.path": "/home/me/a.jsonl"},
        output=raw,
        side={"malformed": Made(kind="rows", digest="broken")},
        ledger=Ledger(readings=readings),
        warnings=["/home/me/a.jsonl breaks off"],
    )
    curate = Manifest(
        key="c",
        step="curate",
        name="curated",
        settings={"operators": [{"op": "keep", "condition": "words >= 2", "on": None, "revision": 1}]},
        inputs={"data.0": "raw"},
        output=Made(kind="conversations", digest=data.name, rows=1),
        side={"dropped": Made(kind="conversations", digest=gone.name)},
        ledger=Ledger(entries=entries),
    )
    manifests = {"rows": ingest.model_dump(mode="json"), "curated": curate.model_dump(mode="json")}
    out = tmp_path / "out"
    out.mkdir()
    facts = dataset.write(out, data, None, manifests, data.parent, "mine")
    assert (facts["splits"], facts["dropped"], facts["malformed"]) == ({"train": 1}, 1, 1)
    (lost,) = opened(out, tmp_path, "dropped")["dropped"]
    assert (lost["dropped_by"], lost["reason"], lost["messages"][1]["content"]) == (
        "keep(words >= 2)",
        "low_words",
        "gone",
    )
    (record,) = opened(out, tmp_path, "malformed")["malformed"]
    assert (record["index"], record["reason"], record["raw"]) == (3, "not_json", "{")
    assert len(opened(out, tmp_path)["train"]) == 1  # the rows come first, whatever else lies there
    text = (out / "README.md").read_text()
    assert "license: mit" in text and "| rows | a.jsonl | mit | 3 | 2 | not_json 1 |" in text
    assert "| keep(words >= 2) | 2 | 1 | 1 | low_words 1 |" in text
    assert '  - keep: {"condition": "words >= 2"}' in text
    assert "/home" not in text + (out / "curation.json").read_text()
    assert json.loads((out / "curation.json").read_text()) == facts


def room(tmp_path: Path, inputs: dict[str, Any]) -> Room:
    for name in ("work", "out"):
        (tmp_path / name).mkdir(parents=True)
    return Room(work=tmp_path / "work", out=tmp_path / "out", profile=Profile(), inputs=inputs)


def test_the_step_export_makes_such_a_folder_and_its_digest_knows_no_bytes_of_parquet(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    data = stored(tmp_path, [chat("q", "a", split="train")])
    made = Made(kind="conversations", digest=data.name, rows=1)
    manifest = Manifest(key="k", step="curate", name="curated", settings={}, output=made).model_dump(mode="json")
    step = Export(data=Ref("curated", data, data.name, (Rows,)))
    digests = []
    for name in ("one", "two"):
        here = room(tmp_path / name, {"curated": manifest})
        done = step.run(here)
        assert isinstance(done, Done) and done.metrics["rows"] == {"train": 1}
        if name == "two":
            import polars as pl

            path = here.out / "data" / "train-00000.parquet"
            pl.read_parquet(path).write_parquet(path, compression="uncompressed")
        digests.append(artifact_digest(Release, here.out))
    assert digests[0] == digests[1]
    assert step.makes() is Release and Conversations.name == "conversations"


def test_one_thing_is_released(tmp_path: Path) -> None:
    for wrong in ({}, {"policy": "sft", "data": "curated"}):
        with pytest.raises(ValueError, match=r"a model .* or a data set"):
            Export.model_validate(wrong)


def test_export_of_rows_needs_no_model_in_a_recipe_and_takes_no_base(tmp_path: Path) -> None:
    from rlhf.recipe.load import load

    (tmp_path / "a.jsonl").write_text("{}\n")
    text = """
recipe: t
{base}
steps:
  rows: {{step: ingest, makes: conversations, datasets: [{{path: a.jsonl, format: messages, license: mit}}]}}
  out: {{step: export, data: rows}}
"""
    for base in ("", "base: {model_name_or_path: a/b}"):
        (tmp_path / "t.yaml").write_text(text.format(base=base))
        loaded = load(tmp_path / "t.yaml")
        assert loaded.needs("out") == ("rows",) and loaded.kinds["out"] is Release


@pytest.mark.parametrize("trainer", ["SFT", "DPO", "Reward", "KTO"])
def test_trl_s_trainers_take_it_as_it_is(trainer: str, micro: Path, tmp_path: Path) -> None:
    import trl
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    def chats(**more: Any) -> list[Any]:
        return [
            chat("How do I open the door?", f"Please open door {i}.", scores={"words": 1.0 * i}, **more)
            for i in range(4)
        ]

    rows: list[Any] = {
        "SFT": chats(),
        "KTO": [*chats(label=True)[:2], *chats(label=False)[2:]],
    }.get(trainer, [pair(i) for i in range(4)])
    out, _ = released(tmp_path, rows)
    config, cls = getattr(trl, f"{trainer}Config"), getattr(trl, f"{trainer}Trainer")
    args = config(
        output_dir=str(tmp_path / "run"), per_device_train_batch_size=2, max_steps=1, report_to="none", use_cpu=True
    )
    tokenizer = AutoTokenizer.from_pretrained(micro)
    kind = AutoModelForSequenceClassification if trainer == "Reward" else AutoModelForCausalLM
    more = {"num_labels": 1, "pad_token_id": tokenizer.pad_token_id} if trainer == "Reward" else {}
    trainer_ = cls(
        model=kind.from_pretrained(micro, **more),
        args=args,
        train_dataset=opened(out, tmp_path)["train"],
        processing_class=tokenizer,
    )
    result = trainer_.train()
    assert result.global_step == 1 and result.training_loss > 0
