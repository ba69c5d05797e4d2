"""The step `curate`: rows of any kind in, the same kind out, and everything that was dropped beside it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parents[2]))

from chat_server import chat_server

from curation import table
from curation.artifact import Candidates as CandidatesKind
from curation.artifact import Conversations, Policy, Preferences, Ref, Rows, bind, identity
from curation.conversation import Conversation, Message, Preference, Source
from curation.errors import RecipeError, UserError
from curation.frame import to_frame
from rlhf.recipe.caches import Scores
from rlhf.recipe.check import check
from rlhf.recipe.identity import step_key
from rlhf.recipe.load import load
from rlhf.recipe.manifest import Manifest
from rlhf.recipe.profile import Endpoint, Engine, Profile
from rlhf.recipe.step import Done, Room
from rlhf.steps.curate import Curate


def chat(text: str, index: int = 0, **shared: Any) -> Conversation:
    return Conversation(
        messages=(Message("user", f"q{index}"), Message("assistant", text)),
        source=Source(digest="d", index=index),
        **shared,
    )


def pair(chosen: str, rejected: str, question: str = "q") -> Preference:
    return Preference(
        prompt=(Message("user", question),),
        chosen=(Message("assistant", chosen),),
        rejected=(Message("assistant", rejected),),
    )


def stored(folder: Path, rows: list[Any], kind: type = Conversation) -> Ref[Rows]:
    table.write(folder, to_frame(rows, kind))
    return Ref(folder.name, folder, table.digest(folder))


def room(tmp_path: Path, **settings: Any) -> Room:
    for name in ("work", "out"):
        (tmp_path / name).mkdir(exist_ok=True)
    return Room(work=tmp_path / "work", out=tmp_path / "out", profile=Profile(**settings))


def test_a_judge_behind_an_endpoint_gives_points_once(tmp_path: Path) -> None:
    points = {"one": "[[3]]", "one two": "Good. [[8]]"}
    data = stored(tmp_path / "data", [chat("one", 1), chat("one two", 2)])
    judge = {"llm_judge": {"endpoint_model": "gpt", "as": "points"}}
    with chat_server(lambda body, n: points["one two" if "one two" in str(body) else "one"]) as server:
        endpoints = {"gpt": Endpoint(base_url=server.url, usd_per_mtok=(1.0, 1.0))}
        for keep, left in (("points >= 5", 1), ("points >= 2", 2)):
            for name in ("work", "out"):  # other settings, another key: a work folder of its own
                shutil.rmtree(tmp_path / name, ignore_errors=True)
            here = room(tmp_path, endpoints=endpoints)
            here.scores = Scores(tmp_path / "scores")
            done = Curate.model_validate({"data": data, "operators": [judge, {"keep": keep}]}).run(here)
            assert isinstance(done, Done)
            assert table.count(tmp_path / "out") == left
            assert done.usd == pytest.approx(30e-6 if left == 1 else 0.0)
            assert done.metrics.get("judged") == ({"points_by_number": 2} if left == 1 else None)
    assert len(server.heard) == 2


def test_rows_that_stay_are_the_artifact_and_rows_that_go_lie_beside_it(tmp_path: Path) -> None:
    data = stored(tmp_path / "data", [chat("one", 1), chat("one two", 2), chat("one two three", 3)])
    step = Curate.model_validate({"data": data, "operators": ["words", {"keep": "words >= 2"}]})
    done = step.run(room(tmp_path))
    assert isinstance(done, Done)
    assert {r.reply for r in table.rows(tmp_path / "out")} == {"one two", "one two three"}
    dropped = table.read(done.side["dropped"])
    assert dropped.select("dropped_by", "reason").row(0) == ("keep(words >= 2)", "low_words")
    assert done.metrics["rows"] == 3 and done.metrics["kept"] == 2 and done.metrics["dropped"] == {"low_words": 1}
    assert done.metrics["scores"]["words"] == {"low": 2.0, "median": 2.5, "mean": 2.5, "high": 3.0}
    assert done.examples == [
        {"dropped by": "keep(words >= 2)", "reason": "low_words", "text": "user: q1\nassistant: one"}
    ]
    assert done.ledger and done.ledger.problems() == []
    Manifest.model_validate_json(_manifest(done))  # it fits into one


def _manifest(done: Done) -> str:
    from rlhf.recipe.manifest import Made

    output = Made(kind="conversations", digest="x")
    whole = Manifest(key="k", step="curate", name="c", settings={}, output=output, ledger=done.ledger)
    return whole.model_copy(update={"metrics": done.metrics, "examples": done.examples}).model_dump_json()


def test_several_data_sets_become_one_in_any_order(tmp_path: Path) -> None:
    a = stored(tmp_path / "a", [chat("x", 1, split="train"), chat("y", 2, split="test")])
    b = stored(tmp_path / "b", [chat("x", 1), chat("z", 3)])
    part: Ref[Rows] = Ref("a.train", a.folder, a.digest)
    digests = []
    for name, data in (("ab", [part, b]), ("ba", [b, part])):
        (tmp_path / name).mkdir()
        Curate(data=data, operators=[]).run(room(tmp_path / name))
        digests.append(table.digest(tmp_path / name / "out"))
    assert digests[0] == digests[1]
    assert sorted(r.reply for r in table.rows(tmp_path / "ab" / "out")) == ["x", "x", "z"]


def test_pairs_are_split_like_the_chats_that_they_came_from(tmp_path: Path) -> None:
    chats = stored(tmp_path / "chats", [chat(f"a{i}", i) for i in range(40)])
    (tmp_path / "c").mkdir()
    Curate.model_validate({"data": chats, "operators": [{"split": {"test": 0.5}}]}).run(room(tmp_path / "c"))
    of_prompt = {r.messages[0].content: r.split for r in table.rows(tmp_path / "c" / "out")}
    assert set(of_prompt.values()) == {"train", "test"}
    data = stored(tmp_path / "pairs", [pair("a", "b", f"q{i}") for i in range(0, 50, 2)], Preference)
    step = Curate.model_validate({"data": data, "operators": ["identical_pair", {"split": {"same_as": "curated"}}]})
    from curation.artifact import Surroundings, hash_file

    where = tmp_path / "c" / "out"
    places = {"pairs": (data.folder, data.digest), "curated": (where, table.digest(where))}
    bound = bind(step, Surroundings(tmp_path, hash_file, places))
    done = bound.run(room(tmp_path))
    assert isinstance(done, Done)
    rows = table.rows(tmp_path / "out")
    assert {r.prompt[0].content: r.split for r in rows} == {f"q{i}": of_prompt[f"q{i}"] for i in range(0, 40, 2)}
    assert done.metrics["dropped"] == {"unassigned": 5}


def test_an_empty_result_is_refused_with_the_way_of_the_rows(tmp_path: Path) -> None:
    data = stored(tmp_path / "data", [chat("one", i) for i in range(4)])
    step = Curate.model_validate({"data": data, "operators": ["normalize", "turns", {"length": {"min_words": 9}}]})
    with pytest.raises(UserError, match="no row is left") as caught:
        step.run(room(tmp_path))
    assert caught.value.hint.split("\n  ") == [
        "4 rows",
        "4 after normalize",
        "4 after turns",
        "0 after length: dropped 4 too_few_words",
    ]


def test_the_engine_comes_from_the_profile_and_is_no_part_of_the_key(tmp_path: Path) -> None:
    data = stored(tmp_path / "data", [chat(f"answer {i % 5}", i) for i in range(20)])
    step = Curate.model_validate({"data": data, "operators": ["exact_dedup", "words"]})
    for name, batch_rows in (("big", 1000), ("small", 3)):
        (tmp_path / name).mkdir()
        step.run(room(tmp_path / name, engine=Engine(batch_rows=batch_rows)))
    assert table.digest(tmp_path / "big" / "out") == table.digest(tmp_path / "small" / "out")


def test_a_key_holds_the_operators_and_their_settings(tmp_path: Path) -> None:
    data = stored(tmp_path / "data", [chat("x")])

    def key(*operators: Any) -> str:
        return step_key(Curate.model_validate({"data": data, "operators": list(operators)}))

    assert key("turns") == key({"turns": None}) == key({"turns": {"min": 2}})
    assert (
        len({key("turns"), key({"turns": {"min": 3}}), key("words"), key("turns", "words"), key("words", "turns")}) == 5
    )
    assert key({"split": {"test": 0.1}}) != key({"split": {"test": 0.2}})
    assert str(tmp_path) not in str(identity(Curate.model_validate({"data": data, "operators": ["turns"]})))


def test_the_store_s_score_cache_serves_it(tmp_path: Path) -> None:
    from curation.operator import Scorer

    calls: list[Conversation] = []

    class Counted(Scorer):
        op: str = "counted"
        chunked = True

        def score(self, conversations: list[Conversation]) -> list[float]:
            calls.extend(conversations)
            return [float(len(c.reply)) for c in conversations]

    data = stored(tmp_path / "data", [chat("x" * i, i) for i in range(10)])
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        where = room(tmp_path / name)
        where.scores = Scores(tmp_path / "scores")
        Curate(data=[data], operators=[Counted()]).run(where)
    assert table.digest(tmp_path / "first" / "out") == table.digest(tmp_path / "second" / "out")
    assert len(calls) == 10


def test_a_budget_changed_after_model_scorers_costs_no_forward_pass(
    tmp_path: Path, micro: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does another threshold, another rule of choice, or another name of the score."""
    from transformers import LlamaModel

    rows: list[int] = []
    forward = LlamaModel.forward

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        rows.append(len(kwargs["input_ids"]))
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(LlamaModel, "forward", counted)
    texts = ["open the door", "wash the car", "fold the map at home", "plan the cake", "read the book by hand"]
    data = stored(tmp_path / "data", [chat(f"You {text}.", i) for i, text in enumerate(texts)])
    policy = Ref("base", accepts=(Policy,)).bound(micro, micro.name)
    models = [{"ifd": {"policy": policy}}, {"complexity": {"policy": policy}}, {"quality": {"policy": policy}}]

    def run(name: str, *operators: Any) -> set[str]:
        (tmp_path / name).mkdir()
        here = room(tmp_path / name)
        here.scores = Scores(tmp_path / "scores")
        Curate.model_validate({"data": data, "operators": list(operators)}).run(here)
        return {r.reply for r in table.rows(tmp_path / name / "out")}

    first = run("one", *models, {"select": {"budget": 2, "by": "ifd", "max_similarity": 1}})
    asked = len(rows)
    assert asked > 0 and len(first) == 2
    more = run("two", *models, {"select": {"budget": 4, "by": "ifd", "max_similarity": 1}})
    assert len(more) == 4 and first < more
    run("three", *models, {"keep": "ifd < 9"}, {"select": {"budget": 3, "by": "complexity * quality"}})
    run("four", {"ifd": {"policy": policy, "as": "hard"}}, {"top": {"by": "-hard", "n": 1}})
    assert len(rows) == asked
    run("five", {"ifd": {"policy": policy, "of": "loss"}})
    assert len(rows) > asked


def test_models_score_on_the_device_of_the_profile(
    tmp_path: Path, micro: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    data = stored(tmp_path / "data", [chat("You open the door.", 1)])
    policy = Ref("base", accepts=(Policy,)).bound(micro, micro.name)
    for name, device, operator in (
        ("here", "cpu", {"perplexity": {"policy": policy}}),
        ("nowhere", "cuda", {"perplexity": {"policy": policy}}),
        ("none", "cuda", "words"),
    ):
        (tmp_path / name).mkdir()
        step = Curate.model_validate({"data": data, "operators": [operator]})
        where = room(tmp_path / name, training={"device": device, "threads": 1})
        if name == "nowhere":
            with pytest.raises(UserError, match="the profile asks for CUDA"):
                step.run(where)
            continue
        done = step.run(where)
        assert isinstance(done, Done)
        found = {k: done.numerics.get(k) for k in ("device", "threads", "dtype")}
        assert found == (
            {"device": "cpu", "threads": 1, "dtype": "float32"} if name == "here" else dict.fromkeys(found)
        )


# What `check` says

RECIPE = """
recipe: t
steps:
  chats: {{step: ingest, makes: conversations, datasets: [{{path: a.jsonl, format: messages, license: mit}}]}}
  pairs: {{step: ingest, makes: preferences, datasets: [{{path: a.jsonl, format: preference, license: mit}}]}}
  scored: {{step: curate, data: chats, operators: [words]}}
  it: {{step: curate, data: {data}, operators: {operators}}}
"""


def recipe(tmp_path: Path, data: str, operators: str) -> Path:
    (tmp_path / "a.jsonl").write_text("{}\n")
    path = tmp_path / "t.yaml"
    path.write_text(RECIPE.format(data=data, operators=operators))
    return path


@pytest.mark.parametrize(
    ("data", "operators", "said"),
    [
        ("pairs", "[boilerplate]", "steps.it.operators.0: boilerplate works on chats"),
        (
            "chats",
            "[normalize, identical_pair]",
            "steps.it.operators.1: identical_pair works on candidates and preferences",
        ),
        ("chats", "[words, {keep: 'wrds > 1'}]", "needs the score 'wrds', which nothing makes"),
        ("[scored, chats]", "[words, {keep: 'ifd > 1'}]", "needs the score 'ifd', which nothing makes"),
        ("chats", "[{keep: 'words >'}]", "the condition 'words >' is wrong at character 8"),
        ("chats", "[{split: {tset: lots}}]", "unknown key 'tset'"),
        ("[chats, pairs]", "[normalize]", "all must be of one kind"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_with_the_place(
    tmp_path: Path, data: str, operators: str, said: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        load(recipe(tmp_path, data, operators))
    assert said in str(caught.value)
    assert "t.yaml:7" in str(caught.value)


def test_word_counts_of_chinese_are_warned_of_at_their_step(tmp_path: Path) -> None:
    path = recipe(tmp_path, "chats", "[{language: {keep: [zh]}}, {length: {min_words: 9}}]")
    found = [w for w in check(path).warnings if w.path == "steps.it"]
    assert [w.place.line for w in found] == [7]
    assert "length counts words" in found[0].what


def test_scores_and_kinds_are_followed_through_the_recipe(tmp_path: Path) -> None:
    loaded = load(recipe(tmp_path, "scored", "[{keep: 'words > 1'}]"))
    assert loaded.kinds["it"] is Conversations
    assert load(recipe(tmp_path, "pairs", "[identical_pair]")).kinds["it"] is Preferences
    assert CandidatesKind not in loaded.kinds.values()
    with pytest.raises(ValidationError):
        Curate.model_validate({"data": [], "operators": []})
