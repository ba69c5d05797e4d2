"""A recipe in which models write, from the seeds to the pairs, run as a user runs it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from chat_server import chat_server
from synthesis_room import last
from test_self_instruct import SEEDS, writes_two

from rlhf.cli import main

RECIPE = """
recipe: synthetic
budget: {usd: 1}
steps:
  tasks:
    {step: self_instruct, seeds: seeds.jsonl, num_instructions: 4, demonstrations: 2, endpoint_model: gpt}
  harder: {step: evol_instruct, prompts: tasks, rounds: 2, endpoint_model: gpt}
  clean: {step: curate, data: harder, operators: [exact_dedup, {split: {test: 0.3}}]}
  best: {step: best_of_n, prompts: tasks, num_generations: 2, scorer: {words: {of: last}}, endpoint_model: gpt}
  chats: {step: magpie, num_conversations: 2, pre_query: "<user>", endpoint_model: gpt}
  pairs: {step: ai_feedback, prompts: clean.train, endpoint_models: [gpt, other], judge: judge}
"""


def answers(body: dict[str, Any], number: int) -> str:
    asked = last(body)
    if "###" in asked:
        return writes_two(body, number)
    if "<new_prompt>" in asked:
        return "<new_prompt>" + re.findall(r"<prompt>\n(.*)\n</prompt>", asked, re.DOTALL)[0] + " and why</new_prompt>"
    if "[[same]]" in asked:
        return "[[other]]"
    if "<answer>" in asked:
        points = 4 if "said by gpt" in asked else 2
        return "".join(f"[[{name}: {points}]]" for name in ("instruction", "truth", "honesty", "help"))
    return f"{asked} {number}" if "prompt" in body else f"No. {number}, said by {body['model']}"


def rlhf(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_from_seeds_to_pairs_and_nothing_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seeds.jsonl").write_text("\n".join(map(json.dumps, SEEDS)))
    (tmp_path / "synthetic.yaml").write_text(RECIPE)
    with chat_server(answers) as server:
        names = ("gpt", "other", "judge")
        endpoints = {n: {"base_url": server.url, "usd_per_mtok": [1, 1], "concurrency": 2} for n in names}
        (tmp_path / "profile.yaml").write_text(json.dumps({"endpoints": endpoints}))
        run = ["run", "synthetic.yaml", "--profile", "profile.yaml", "--store", "store"]
        code, done = rlhf(capsys, *run)
        assert code == 0, done
        heard = len(server.heard)
        code, _ = rlhf(capsys, *run, "--redo", "pairs", "--redo", "tasks", "--redo", "chats")
        assert code == 0 and len(server.heard) == heard
    _, shown = rlhf(capsys, "show", "synthetic.yaml", "--profile", "profile.yaml", "--store", "store")
    rows = {name: step["counts"]["rows"] for name, step in shown["steps"].items()}
    assert rows["tasks"] == 4 and rows["harder"] == 8 and rows["best"] == 4 and rows["chats"] == 2
    assert shown["steps"]["pairs"]["metrics"]["chosen_from"] == {"gpt": rows["pairs"]}
