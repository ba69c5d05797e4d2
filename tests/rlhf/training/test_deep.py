"""`rlhf check --deep`: every training step's rows are looked over before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlhf.cli import main

RECIPE = """\
# Hardware: any. Hours: 0. Cost: 0. What to expect: a test.
recipe: deep
base: {{model_name_or_path: {model}}}
steps:
  chats:
    step: ingest
    makes: conversations
    datasets: [{{path: chats.jsonl, format: messages, license: apache-2.0}}]
  curated: {{step: curate, data: chats, operators: [{{split: {{test: 0.5, by: conversation}}}}]}}
  sft: {{step: sft, data: curated, lora_r: 4, max_length: 40}}
  kto: {{step: kto, data: curated, policy: sft, lora_r: 4, load_in_4bit: true}}
  ppo: {{step: ppo, prompts: curated, policy: sft, rewards: [brevity], max_prompt_length: 3, max_completion_length: 8}}
  later: {{step: sample, prompts: curated, policy: sft}}
  edited: {{step: curate, data: later, operators: [first_sentence]}}
  pairs: {{step: compare, data: edited, decided_by: brevity}}
  dpo: {{step: dpo, data: pairs, policy: sft}}
"""


@pytest.fixture
def recipe(micro: Path, tmp_path: Path) -> Path:
    """The steps before training have run; `kto` has no labels, and `dpo`'s pairs are not there yet."""
    with (tmp_path / "chats.jsonl").open("w") as file:
        for i in range(24):
            said = [
                {"role": "user", "content": f"How do I {'open' if i % 2 else 'close'} the door?"},
                {"role": "assistant", "content": f"You do it with care, {'again and ' * (i % 5)}by hand, {i}."},
            ]
            file.write(json.dumps({"messages": said}) + "\n")
    path = tmp_path / "deep.yaml"
    path.write_text(RECIPE.format(model=micro))
    assert main(["run", str(path), "--until", "curated", "--store", str(tmp_path / "store")]) == 0
    assert main(["run", str(path), "--until", "base", "--store", str(tmp_path / "store")]) == 0
    return path


def test_it_says_of_each_step_whether_it_would_start(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ["--store", str(tmp_path / "store")]
    capsys.readouterr()
    assert main(["check", str(recipe), "--deep", "--json", *store]) == 1
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    steps = found["steps"]
    assert steps["sft"]["ok"]
    counts = steps["sft"]["counts"]
    assert counts["truncated"] > 0
    assert counts["used"] == counts["rows"] > 0
    assert any("held-out rows ask what a row that is trained on asks" in text for text in steps["sft"]["warnings"])
    assert any("optimizer steps are very few" in text for text in steps["sft"]["warnings"])
    learned = [piece for piece, yes in steps["sft"]["examples"][0]["rendered"] if yes]
    assert learned[0].startswith("You do it with care")
    assert not steps["kto"]["ok"]
    assert "none of the" in steps["kto"]["errors"][0]["what"]
    assert "unlabelled" in steps["kto"]["errors"][0]["what"]
    assert "prompt_too_long" in steps["ppo"]["errors"][0]["what"]
    assert "the longest has 0 tokens" not in steps["ppo"]["errors"][0]["what"]
    assert "max_prompt_length" in steps["ppo"]["errors"][0]["hint"]
    assert steps["dpo"] == {"ok": None, "waits_for": "pairs"}

    assert main(["check", str(recipe), "--deep", *store]) == 1
    shown = capsys.readouterr().out
    assert "‹You do it with care" in shown
    assert "dpo: not looked at, pairs has not run yet" in shown


def test_without_it_nothing_is_read(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["check", str(recipe)]) == 0
    assert "nothing wrong" in capsys.readouterr().out
