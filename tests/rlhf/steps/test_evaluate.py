"""Evaluations of micro policies: figures that can be counted again from the answers, and honesty about who judged."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from chat_server import chat_server
from made_models import adapter, ref

from curation import table
from curation.artifact import Ref
from curation.conversation import Candidates, Conversation, Message, Preference
from curation.errors import UserError
from rlhf.recipe.caches import Answers, Scores
from rlhf.recipe.gates import check
from rlhf.recipe.identity import artifact_digest, step_key
from rlhf.recipe.manifest import Made, Manifest
from rlhf.recipe.profile import Endpoint, Profile, Training
from rlhf.recipe.step import Done, Room
from rlhf.steps.evaluate import Evaluate

ONE_THREAD = Training(threads=1, device="cpu")
SHORT: dict[str, Any] = {"max_completion_length": 12, "seed": 3}


@pytest.fixture(scope="module")
def tuned(micro: Path) -> Path:
    return adapter(micro, 1)


@pytest.fixture(scope="module")
def liked(micro: Path) -> Path:
    """A reward model."""
    return adapter(micro, 2, reward=True)


def question(text: str, split: str | None = "test") -> Conversation:
    return Conversation(messages=(Message("user", text), Message("assistant", "You do it by hand.")), split=split)


def words(text: str) -> int:
    return len(re.findall(r"\w+(?:['’.]\w+)*", text))


VERBS = ["open", "close", "clean", "fix", "paint", "move", "lift", "fold", "wash", "pack"]
ASKED = [question(f"How do I {v} the box?") for v in VERBS]


def rows(tmp_path: Path, name: str, made: list[Any], kind: type = Conversation) -> Ref[Any]:
    folder = tmp_path / "sets" / name
    table.write_rows(folder, made, kind)
    return Ref(name, folder, table.digest(folder))


def room(tmp_path: Path, number: int = 0, **how: Any) -> Room:
    here = tmp_path / f"room{number}"
    (here / "work").mkdir(parents=True, exist_ok=True)
    (here / "out").mkdir()
    return Room(
        work=here / "work",
        out=here / "out",
        profile=Profile(training=ONE_THREAD, endpoints=how.pop("endpoints", {})),
        scores=Scores(tmp_path / "scores"),
        answers=Answers(tmp_path / "answers"),
        **how,
    )


def answers_of(here: Room) -> list[Candidates]:
    found = json.loads((here.out / "evaluation.json").read_text())["prompts"]
    by_id = {row.parent: row for row in table.rows(here.out)}
    return [by_id[i] for i in found]


def evaluate(here: Room, **settings: Any) -> Done:
    done = Evaluate(**{**SHORT, **settings}).run(here)
    assert isinstance(done, Done)
    return done


def test_every_figure_can_be_counted_again_from_the_answers(tmp_path: Path, micro: Path, tuned: Path) -> None:
    here = room(tmp_path)
    done = evaluate(
        here,
        policies=[ref("dpo", tuned)],
        baseline=ref("sft", micro),
        prompts=rows(tmp_path, "asked", ASKED),
        judges=[{"words": {"as": "wordy"}}],
        num_generations=2,
    )
    said = answers_of(here)
    assert len(said) == 10 and all(len(row.answers) == 4 for row in said)
    assert {a.policy for row in said for a in row.answers[:2]} == {micro.name[:12]}
    outcomes = []
    for row in said:
        n = [words(a.content) for a in row.answers]
        outcomes.append([1.0 if x > y else 0.5 if x == y else 0.0 for x, y in zip(n[2:], n[:2], strict=True)])
    flat = [o for pair in outcomes for o in pair]
    found = done.metrics["dpo"]["wordy"]
    assert (found["wins"], found["ties"], found["losses"]) == (flat.count(1.0), flat.count(0.5), flat.count(0.0))
    assert found["win_rate"]["mean"] == pytest.approx(sum(flat) / 20) and found["n"] == 10
    assert found["win_rate"]["low"] <= found["win_rate"]["mean"] <= found["win_rate"]["high"]
    assert done.metrics["dpo"]["win_rate"] == found["win_rate"]
    for name, place in (("sft", slice(0, 2)), ("dpo", slice(2, 4))):
        own = [a for row in said for a in row.answers[place]]
        assert done.metrics[name]["finished"] == sum(a.finished for a in own) / 20
        assert done.metrics[name]["words"] == pytest.approx(sum(words(a.content) for a in own) / 20)
    assert "wordy" not in done.metrics["sft"] and done.metrics["judged_by"] == ["wordy"]
    assert done.metrics["prompts"] == 10
    assert done.ledger is not None and done.ledger.problems() == []


def test_a_policy_against_itself_ties_every_time(tmp_path: Path, micro: Path, tuned: Path) -> None:
    """The same seed for all: equal policies give equal answers."""
    done = evaluate(
        room(tmp_path),
        policies=[ref("same", micro), ref("dpo", tuned)],
        baseline=ref("sft", micro),
        prompts=rows(tmp_path, "asked", ASKED),
        judges=["brevity"],
    )
    assert done.metrics["same"]["brevity"]["ties"] == 10
    assert done.metrics["same"]["win_rate"] == {"mean": 0.5, "low": 0.5, "high": 0.5}
    assert done.metrics["dpo"]["brevity"]["ties"] < 10
    assert done.metrics["same"]["brevity"]["by"] == "a rule"


def test_perplexity_is_that_of_the_base(tmp_path: Path, micro: Path, tuned: Path) -> None:
    """Against transformers' own loss, on the answers that were kept."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    here = room(tmp_path)
    stacked = adapter(tuned, 5)
    done = evaluate(
        here,
        policies=[ref("dpo", stacked)],
        baseline=ref("sft", tuned),
        prompts=rows(tmp_path, "asked", ASKED[:4]),
        judges=["brevity"],
    )
    model, tokenizer = AutoModelForCausalLM.from_pretrained(micro), AutoTokenizer.from_pretrained(micro)
    logs = []
    for row in answers_of(here):
        asked = tokenizer.apply_chat_template([m.to_dict() for m in row.prompt], add_generation_prompt=True)[
            "input_ids"
        ]
        answer = tokenizer(row.answers[0].content)["input_ids"]
        answer += [tokenizer.eos_token_id] if row.answers[0].finished else []
        labels = torch.tensor([[-100] * len(asked) + answer])
        with torch.no_grad():
            logs.append(float(model(input_ids=torch.tensor([asked + answer]), labels=labels).loss))
    assert done.metrics["sft"]["perplexity"] == pytest.approx(math.exp(sum(logs) / len(logs)), rel=1e-3)


def test_held_out_loss_is_the_mean_over_all_that_the_assistant_says(tmp_path: Path, micro: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    chats = [
        question("How do I open the door?"),
        question("Hi").with_(
            messages=(*question("Hi").messages, Message("user", "Thanks"), Message("assistant", "Please."))
        ),
    ]
    done = evaluate(room(tmp_path), policies=[ref("sft", micro)], held_out=rows(tmp_path, "held", chats))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(micro), AutoTokenizer.from_pretrained(micro)
    total, count = 0.0, 0
    for chat in chats:
        turns = [m.to_dict() for m in chat.messages]
        for i, turn in enumerate(turns):
            if turn["role"] != "assistant":
                continue
            asked = tokenizer.apply_chat_template(turns[:i], add_generation_prompt=True)["input_ids"]
            answer = [*tokenizer(turn["content"])["input_ids"], tokenizer.eos_token_id]
            labels = torch.tensor([[-100] * len(asked) + answer])
            with torch.no_grad():
                total += len(answer) * float(model(input_ids=torch.tensor([asked + answer]), labels=labels).loss)
            count += len(answer)
    loss = done.metrics["sft"]["loss"]
    assert loss["tokens"] == count and loss["chats"] == 2
    assert loss["mean"] == pytest.approx(total / count, rel=1e-4)


def test_a_reward_model_judges_and_is_itself_measured_beside_length(
    tmp_path: Path, micro: Path, tuned: Path, liked: Path
) -> None:
    pairs = [
        Preference(
            prompt=(Message("user", f"How do I {v} the {n}?"),),
            chosen=(Message("assistant", f"You {v} the {n}." + " By hand." * (i % 2)),),
            rejected=(Message("assistant", f"Please {v} it now." + " Then rest." * ((i + 1) % 2)),),
            verdict="tie" if i == 3 else "chosen",
        )
        for i, (v, n) in enumerate((v, n) for v in VERBS[:5] for n in ("door", "box"))
    ]
    here = room(tmp_path)
    done = evaluate(
        here,
        policies=[ref("dpo", tuned)],
        baseline=ref("sft", micro),
        prompts=rows(tmp_path, "asked", ASKED),
        judges=[{"reward_model": {"reward": ref("liked", liked)}}],
        pairs=rows(tmp_path, "pairs", pairs, Preference),
        rewards=[ref("liked", liked)],
    )
    judged = done.metrics["dpo"]["reward_model"]
    assert judged["by"] == "a reward model" and judged["wins"] + judged["ties"] + judged["losses"] == 10
    measured = done.metrics["rewards"]["liked"]
    decided = [p for p in pairs if p.verdict != "tie"]
    longer = sum(len(p.chosen[0].content) > len(p.rejected[0].content) for p in decided)
    assert measured["length_accuracy"]["mean"] == pytest.approx(longer / 9)
    assert measured["n"] == 9 and measured["ties_left_out"] == 1
    assert measured["over_length"]["mean"] == pytest.approx(
        measured["accuracy"]["mean"] - measured["length_accuracy"]["mean"]
    )


@pytest.mark.parametrize("always", ["[[A]]", "[[B]]"])
def test_a_judge_that_goes_by_the_place_gives_one_half_and_flips_always(
    tmp_path: Path, micro: Path, tuned: Path, always: str
) -> None:
    with chat_server(lambda b, n: always) as server:
        done = evaluate(
            room(tmp_path, endpoints={"gpt": Endpoint(base_url=server.url, usd_per_mtok=(1.0, 2.0))}),
            policies=[ref("dpo", tuned)],
            baseline=ref("sft", micro),
            prompts=rows(tmp_path, "asked", ASKED),
            judges=[{"llm_judge": {"endpoint_model": "gpt"}}],
        )
    found = done.metrics["dpo"]["llm_judge"]
    assert found["win_rate"] == {"mean": 0.5, "low": 0.5, "high": 0.5}
    assert found["flip_rate"] == 1.0 and found["by"] == "a language model" and found["unreadable"] == 0
    assert len(server.heard) == 20 and done.tokens["prompt"] == 200 and done.usd == pytest.approx(20 * 20e-6)


def test_prompts_that_a_policy_was_trained_on_are_left_out(tmp_path: Path, micro: Path, tuned: Path) -> None:
    asked = rows(tmp_path, "asked", ASKED)
    store = micro.parent
    curated = [question(f"How do I {v} the box?", "train") for v in VERBS[:4]] + [
        question(f"How do I {v} the box?", "test") for v in VERBS[4:6]
    ]
    table.write_rows(store / "c0ffee", curated, Conversation)
    try:
        inputs = {
            "curated": manifest("curate", "conversations", "c0ffee"),
            "dpo": manifest("sft", "policy", tuned.name, {"data.0": "c0ffee"}),
        }
        settings: dict[str, Any] = {"policies": [ref("dpo", tuned)], "baseline": ref("sft", micro), "prompts": asked}
        here = room(tmp_path, inputs=inputs)
        done = evaluate(here, **settings, judges=["brevity"])
        assert done.ledger is not None and done.ledger.dropped() == {"prompts: trained_on": 4}
        assert done.metrics["prompts"] == 6
        inputs["dpo"] = manifest("sft", "policy", tuned.name, {"data.0": "c0ffee.train"})
        only = rows(tmp_path, "leaked", ASKED[:4])
        with pytest.raises(UserError, match="nothing is left of `prompts` to evaluate on: 4 trained_on") as error:
            evaluate(room(tmp_path, 1, inputs=inputs), **{**settings, "prompts": only}, judges=["brevity"])
        assert "split" in error.value.hint
    finally:
        for path in (store / "c0ffee").iterdir():
            path.unlink()
        (store / "c0ffee").rmdir()


def manifest(step: str, kind: str, digest: str, inputs: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    output = Made(kind=kind, digest=digest)
    settings = more.pop("settings", {})
    return Manifest(
        key="0", step=step, name=step, settings=settings, inputs=inputs or {}, output=output, **more
    ).model_dump(mode="json")


def test_a_judge_that_decided_the_training_pairs_is_no_proof(
    tmp_path: Path, micro: Path, tuned: Path, liked: Path
) -> None:
    asked = rows(tmp_path, "asked", ASKED)
    table.write_rows(micro.parent / "0pairs", [], Preference)
    try:
        inputs = {
            "pairs": manifest("compare", "preferences", "0pairs", decided_by="brevity"),
            "dpo": manifest("dpo", "policy", tuned.name, {"data.0": "0pairs"}),
            "judge": manifest("reward", "reward model", liked.name, {"data.0": "0pairs"}),
        }
        settings: dict[str, Any] = {"policies": [ref("dpo", tuned)], "baseline": ref("sft", micro), "prompts": asked}
        by_model = {"reward_model": {"reward": ref("judge", liked)}}
        said = {}
        for number, judges in enumerate((["brevity"], ["brevity", by_model], ["brevity", "words"])):
            judges = [{"words": {"as": "n"}} if j == "words" else j for j in judges]
            here = room(tmp_path, number, inputs=inputs)
            evaluate(here, **settings, judges=judges)
            said[number] = [w for w in here.warnings if "every judge goes by" in w]
        assert "goes by brevity, which also decided the training pairs" in said[0][0]
        assert said[1] and not said[2]
    finally:
        (micro.parent / "0pairs" / "rows-00000.parquet").unlink()
        (micro.parent / "0pairs").rmdir()


def test_a_killed_run_goes_on_and_comes_out_the_same(
    tmp_path: Path, micro: Path, tuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = rows(tmp_path, "asked", ASKED)
    settings: dict[str, Any] = {
        "policies": [ref("dpo", tuned)],
        "baseline": ref("sft", micro),
        "prompts": asked,
        "judges": ["brevity"],
    }
    whole = room(tmp_path, 0)
    evaluate(whole, **settings)

    from curation.models import generation

    write = generation._Writer.write
    calls = 0

    def dies(self: Any, batch: Any, bar: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return write(self, batch, bar)

    monkeypatch.setattr(generation._Writer, "write", dies)
    profile = Profile(training=ONE_THREAD, generation={"per_device_eval_batch_size": 4})  # three batches a policy
    broken = room(tmp_path, 1)
    broken.profile = profile
    with pytest.raises(KeyboardInterrupt):
        evaluate(broken, **settings)
    assert calls == 4
    evaluate(broken, **settings)
    assert calls == 4 + 3  # the first policy was done: only the second one's batches are written
    again = room(tmp_path, 2)
    again.profile = profile
    evaluate(again, **settings)
    kind = Evaluate(**SHORT, **settings).makes()
    assert artifact_digest(kind, broken.out) == artifact_digest(kind, again.out)


def test_a_gate_is_tested_on_the_metrics_and_is_in_no_key(tmp_path: Path, micro: Path, tuned: Path) -> None:
    settings: dict[str, Any] = {
        "policies": [ref("same", micro)],
        "baseline": ref("sft", micro),
        "prompts": rows(tmp_path, "asked", ASKED),
        "judges": ["brevity"],
    }
    easy = Evaluate(**SHORT, **settings, require="same.win_rate.mean >= 0.5 and same.brevity.ties == 10")
    hard = Evaluate(**SHORT, **settings, require="same.win_rate.low > 0.5")
    assert step_key(easy) == step_key(hard) == step_key(Evaluate(**SHORT, **settings))
    done = easy.run(room(tmp_path))
    assert isinstance(done, Done)
    noted = Manifest(key="0", step="evaluate", name="e", settings={}, output=Made(kind="evaluation", digest="0"))
    noted.metrics = json.loads(json.dumps(done.metrics))
    assert check(easy, noted) is None
    assert check(hard, noted) == "same.win_rate.low > 0.5 does not hold: same.win_rate.low = 0.5"


def flat(metrics: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, value in metrics.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, int | float):
            found.add(prefix + name)
    return found


def test_a_gate_can_be_written_before_the_first_run(tmp_path: Path, micro: Path, tuned: Path, liked: Path) -> None:
    """The numbers that a condition may name are exactly those that the metrics then hold."""
    pair = Preference(
        prompt=(Message("user", "Why?"),), chosen=(Message("assistant", "So."),), rejected=(Message("assistant", "No"),)
    )
    with chat_server(lambda b, n: "[[A]]") as server:
        here = room(tmp_path, endpoints={"gpt": Endpoint(base_url=server.url)})
        step = Evaluate(
            **SHORT,
            policies=[ref("dpo", tuned), ref("same", micro)],
            baseline=ref("sft", micro),
            prompts=rows(tmp_path, "asked", ASKED[:2]),
            judges=["brevity", {"llm_judge": {"endpoint_model": "gpt"}}],
            held_out=rows(tmp_path, "held", ASKED[:2]),
            pairs=rows(tmp_path, "pairs", [pair], Preference),
            rewards=[ref("liked", liked)],
        )
        done = step.run(here)
    assert isinstance(done, Done)
    assert flat(done.metrics) == set(step.numbers())


def test_examples_show_every_policy_side_by_side(tmp_path: Path, micro: Path, tuned: Path) -> None:
    here = room(tmp_path)
    done = evaluate(
        here,
        policies=[ref("dpo", tuned)],
        baseline=ref("sft", micro),
        prompts=rows(tmp_path, "asked", ASKED),
        judges=["brevity"],
        max_prompts=3,
    )
    said = answers_of(here)
    assert len(done.examples) == 3
    for example, row in zip(done.examples, said, strict=True):
        assert example["prompt"] == row.prompt[0].content
        assert example["answers"] == {"sft": row.answers[0].content, "dpo": row.answers[1].content}
        assert example["verdict"].startswith("brevity: dpo ")
    assert done.ledger is not None and done.ledger.dropped() == {"prompts: beyond_max_prompts": 7}
    assert any("3 prompts are few" in w for w in here.warnings)


def test_a_step_that_was_renamed_is_evaluated_anew(micro: Path, tuned: Path, tmp_path: Path) -> None:
    """Metrics call policies by name, so a cached evaluation would answer under the old one."""
    prompts = rows(tmp_path, "asked", ASKED)
    keys = [
        step_key(Evaluate(policies=[ref(n, tuned)], baseline=ref("sft", micro), prompts=prompts, judges=["brevity"]))
        for n in ("dpo", "tuned", "dpo")
    ]
    assert keys[0] == keys[2] != keys[1]
    named = Evaluate(
        policies=[ref("dpo", tuned)],
        baseline=ref("sft", micro),
        prompts=prompts,
        judges=["brevity"],
        names={"dpo": "x"},
    )
    assert named.names == {"dpo": "x", "sft": "sft"}


WHOLE: dict[str, Any] = {"policies": ["dpo"], "baseline": "sft", "prompts": "p", "judges": ["brevity"]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"baseline": None}, "`judges` compare"),
        ({"prompts": None}, "`judges` compare"),
        ({"rewards": ["r"]}, "belong together"),
        ({"judges": [], "prompts": None}, "nothing to evaluate"),
        ({"judges": ["brevity", {"brevity": {}}]}, "two judges are called `brevity`"),
        ({"judges": ["words"]}, "`words` is a figure of its own"),
        ({"judges": [{"brevity": {"on": "prompt"}}]}, "remove its `on`"),
        ({"judges": ["exact_dedup"]}, "no scorer"),
        ({"policies": ["dpo", "sft"]}, "a name of its own"),
        ({"policies": ["rewards"]}, "metrics use that word"),
        ({"names": {"dop": "x"}}, "did you mean 'dpo'"),
        ({"require": "dpo.win_rate.low >"}, "is wrong at character"),
        ({"require": "dpo.win_rate > 0.5"}, "no number called 'dpo.win_rate'; did you mean 'dpo.win_rate.low'"),
        ({"require": "dop.win_rate.low > 0.5"}, "did you mean 'dpo.win_rate.low'"),
        ({"require": "dpo.loss.mean < 2"}, "no number called 'dpo.loss.mean'"),
        ({"require": "sft.win_rate.low > 0.5"}, "no number called 'sft.win_rate.low'"),
    ],
)
def test_settings_that_do_not_belong_together_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Evaluate.model_validate({**WHOLE, **change})


def test_one_judge_or_policy_needs_no_list() -> None:
    step = Evaluate.model_validate({**WHOLE, "policies": "dpo", "judges": {"words": {"as": "n"}}})
    assert [str(p) for p in step.policies] == ["dpo"] and step.judges[0].column == "n"
