"""`rlhf chat` as people and scripts use it: lines in, answers out."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from curation.conversation import Conversation, Message
from curation.models import Sampling, ask, generate, load_policy
from rlhf.cli import main

GREEDY = ["--temperature", "0", "--max-completion-length", "16"]


def say(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(line + "\n" for line in lines)))


def wanted(folder: Path, *messages: Message) -> str:
    loaded = load_policy(folder)
    requests, _ = ask(loaded, [Conversation(messages=messages)])
    return generate(loaded, requests, Sampling(temperature=0, max_completion_length=16))[0].text


def test_lines_are_answered_in_one_chat_until_a_new_one(
    micro: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, "How do I open the door?", "", "What?", "/new", "What?")
    assert main(["chat", str(micro), *GREEDY, "--json"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    first = Message("user", "How do I open the door?")
    assert said[0]["answer"] == wanted(micro, first)
    second = wanted(micro, first, Message("assistant", said[0]["answer"]), Message("user", "What?"))
    assert said[1]["answer"] == second
    assert said[2]["answer"] == wanted(micro, Message("user", "What?"))
    assert [s["prompt"] for s in said] == [first.content, "What?", "What?"]


def test_an_answer_that_was_cut_says_so(
    micro: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, "How do I open the door?")
    assert main(["chat", str(micro), "--temperature", "0", "--max-completion-length", "3"]) == 0
    assert capsys.readouterr().out.endswith(" [...]\n")


def test_a_system_prompt_is_told_first(
    micro: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, "What?")
    assert main(["chat", str(micro), *GREEDY, "--system", "Fold the map."]) == 0
    said = capsys.readouterr().out.removesuffix("\n").removesuffix(" [...]")
    assert said == wanted(micro, Message("system", "Fold the map."), Message("user", "What?"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["chat", "{tmp}"], 1, "no config.json"),
        (["chat", "nowhere.gguf"], 1, "there is no nowhere.gguf"),
        (["chat", "no_such_recipe"], 2, "no_such_recipe"),
        (["chat", "{micro}", "--top-p", "2"], 2, "--top-p: Input should be less than or equal to 1"),
        (["chat", "smoke", "chats", "--store", "{tmp}"], 2, "'chats' of smoke makes no policy"),
        (["chat", "smoke", "sft", "--store", "{tmp}"], 1, "rlhf run smoke --until sft"),
    ],
)
def test_what_cannot_be_talked_to(
    words: list[str], code: int, said: str, micro: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(tmp=tmp_path, micro=micro) for word in words]) == code
    assert said in capsys.readouterr().err


RECIPE = """\
# Hardware: none. Hours: 0. Cost: 0.
# What to expect: two adapters.
recipe: two
base: {model_name_or_path: %s}
steps:
  chats: {step: ingest, makes: conversations, datasets: [{path: %s, format: messages, license: apache-2.0}]}
  first: {step: sft, data: chats, max_steps: 6, learning_rate: 3e-2, held_out_rows: 0}
  second: {step: sft, data: chats, policy: first, max_steps: 6, learning_rate: 3e-2, seed: 1, held_out_rows: 0}
"""


@pytest.fixture(scope="module")
def two(micro: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The words that name a recipe whose two policies stand one on the other, after its run."""
    folder = tmp_path_factory.mktemp("two")
    chats = Path(__file__).parents[2] / "recipes" / "data" / "smoke_chats.jsonl"
    (folder / "two.yaml").write_text(RECIPE % (micro, chats))
    words = [str(folder / "two.yaml"), "--store", str(folder / "store")]
    assert main(["run", *words]) == 0
    return words


def test_a_chat_goes_from_one_adapter_to_another(
    two: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The chat so far goes along, and what each says is what it says alone."""
    from rlhf.recipe.door import Recipe

    say(monkeypatch, "What?", "/adapter first", "Why?", "/base", "/new", "What?", "/adapter second", "/new", "What?")
    assert main(["chat", *two, *GREEDY, "--json"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["policy"] for line in said] == ["second", "first", "base", "second"]
    made = Recipe.load(two[0], store=two[2]).run()
    first, second, base = (Path(made[name].path) for name in ("first", "second", "base"))
    what = Message("user", "What?")
    assert said[0]["answer"] == said[3]["answer"] == wanted(second, what)
    assert said[1]["answer"] == wanted(first, what, Message("assistant", said[0]["answer"]), Message("user", "Why?"))
    assert said[2]["answer"] == wanted(base, what)
    assert said[0]["answer"] != said[2]["answer"]


def test_people_see_who_speaks_and_who_else_could(
    two: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, "/adapter frist", "/adapter first", "/adaptor", "/help", "/adapter")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert main(["chat", *two, *GREEDY]) == 0
    said = capsys.readouterr().err
    assert "base + first + second" in said
    assert "second > error: there is no policy 'frist' here" in said and "did you mean 'first'?" in said
    assert "first > error: there is no command /adaptor" in said
    assert "begin a new chat" in said
    assert [line.split()[1] for line in said.splitlines() if line.startswith("*")] == ["second", "first"]


def test_a_model_alone_has_nothing_to_switch_to(
    micro: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, "/adapter sft")
    assert main(["chat", str(micro), *GREEDY]) == 1
    assert "alone in memory" in capsys.readouterr().err
