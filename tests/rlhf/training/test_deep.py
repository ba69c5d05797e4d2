"""`rlhf check --deep`: every training step's rows are looked over before anything is trained."""

from __future__ import annotations

import json
import shutil
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
    assert any(
        "held-out rows say nearly what a row that is trained on says" in text for text in steps["sft"]["warnings"]
    )
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


FORKED = """\
# Hardware: any. Hours: 0. Cost: 0. What to expect: a test.
recipe: forked
base: {{model_name_or_path: {model}}}
steps:
  ranked:
    step: ingest
    makes: preferences
    datasets: [{{path: ranked.jsonl, format: preference, license: apache-2.0}}]
  split: {{step: curate, data: ranked, operators: [{{split: {{test: 0.5, by: prompt}}}}]}}
  chats: {{step: ingest, makes: conversations, datasets: [{{path: chats.jsonl, license: apache-2.0}}]}}
  headless: {{step: base, model_name_or_path: {headless}}}
  endless: {{step: base, model_name_or_path: {model}, chat_template_path: endless.jinja}}
  forgetful: {{step: base, model_name_or_path: {model}, chat_template_path: forgetful.jinja}}
  marking: {{step: base, model_name_or_path: {model}, chat_template_path: marking.jinja}}
  prompted: {{step: sft, data: chats, peft_type: adaption_prompt, adapter_layers: 2, max_steps: 1}}
  stuck: {{step: dpo, data: ranked, policy: prompted}}
  beheaded: {{step: reward, data: ranked, policy: headless}}
  full: {{step: dpo, data: ranked, adapter: continue}}
  leaky: {{step: dpo, data: [split, ranked]}}
  clean: {{step: dpo, data: split}}
  never_ends: {{step: sft, data: chats, policy: endless}}
  asks_otherwise: {{step: sft, data: chats, policy: forgetful}}
  is_marked: {{step: sft, data: chats, policy: marking}}
"""
BEGIN, ASK = "<|im_start|>{{ m.role }}\n", "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
MARKED = (
    BEGIN
    + "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}\n"
    + "{% else %}{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
)
TEMPLATES = {
    "endless": BEGIN + "{{ m.content }}\n{% endfor %}" + ASK,
    "forgetful": MARKED + ASK.replace("assistant", "assistant\n"),
    "marking": MARKED + ASK,
}


@pytest.fixture
def forked(micro: Path, tmp_path: Path) -> Path:
    """A recipe of which each training step has another thing wrong with it."""
    from transformers import GraniteConfig, GraniteForCausalLM

    with (tmp_path / "ranked.jsonl").open("w") as file:
        for i in range(40):
            pair = {"prompt": f"How do I open door {i}?", "chosen": f"You open it, {i}.", "rejected": f"No, {i}."}
            file.write(json.dumps(pair) + "\n")
    said = [{"role": "user", "content": "Open it?"}, {"role": "assistant", "content": "You open it."}]
    (tmp_path / "chats.jsonl").write_text(json.dumps({"messages": said}) + "\n")
    for name, template in TEMPLATES.items():
        (tmp_path / f"{name}.jinja").write_text("{% for m in messages %}" + template)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = GraniteForCausalLM(GraniteConfig(vocab_size=512, num_key_value_heads=2, **sizes))
    model.save_pretrained(tmp_path / "granite")  # a family for which transformers has no sequence classifier
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(micro / name, tmp_path / "granite" / name)
    path = tmp_path / "forked.yaml"
    path.write_text(FORKED.format(model=micro, headless=tmp_path / "granite"))
    return path


def test_what_is_wrong_is_said_before_a_weight_is_read(
    forked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ["--store", str(tmp_path / "store")]
    assert main(["run", str(forked), *store]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "no sum and cannot be merged" in shown, shown  # the run stops at `stuck`
    assert main(["check", str(forked), "--deep", "--json", *store]) == 1
    steps = json.loads(capsys.readouterr().out)["steps"]
    errors = {name: step["errors"][0]["what"] for name, step in steps.items() if not step["ok"]}
    assert {*errors} == {"stuck", "beheaded", "full", "leaky", "never_ends"}
    assert "no sum and cannot be merged" in errors["stuck"]
    assert "'granite' can have no reward head" in errors["beheaded"]
    assert "needs a policy that is an adapter" in errors["full"]
    assert "held-out rows come from the same rows" in errors["leaky"]
    assert "would never stop" in errors["never_ends"]
    assert steps["never_ends"]["counts"]["no_end"] == 1

    asked = steps["asks_otherwise"]
    assert asked["counts"]["prompt_differs"] == 1
    assert any("another context than it will see" in text for text in asked["warnings"])
    marked = steps["is_marked"]
    assert [piece for piece, yes in marked["examples"][0]["rendered"] if yes] == ["You open it.<|im_end|>"]
    assert marked["counts"]["prompt_differs"] == 0
    assert [steps[name]["template"]["marks_answers"] for name in ("never_ends", "is_marked")] == [False, True]
    assert {step["template"]["padding_side"] for step in steps.values()} == {"left"}
    assert marked["template"]["pad_token"]
