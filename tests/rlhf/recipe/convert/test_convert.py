"""Configs of other tools as recipes: where each key goes, and that none is lost."""

from __future__ import annotations

import ast
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curation.errors import RecipeError
from curation.registry import STEPS, lookup
from rlhf.recipe.check import check
from rlhf.recipe.convert import METHODS, TOOLS, Converted, convert
from rlhf.recipe.convert.draft import EMPTY, UNKNOWN, To
from rlhf.recipe.document import read
from rlhf.recipe.fields import names
from rlhf.recipe.load import load

AXOLOTL = """
base_model: org/base
model_type: AutoModelForCausalLM
load_in_8bit: false
load_in_4bit: true
adapter: qlora
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
lora_target_linear: true
datasets:
  - path: org/chats
    type: chat_template
    field_messages: turns
    message_property_mappings: {role: from, content: value}
    roles: {assistant: [bot]}
  - path: rows.jsonl
    type: alpaca:chat
    ds_type: json
    split: train[:20%]
val_set_size: 0.05
output_dir: ./out
sequence_len: 4096
sample_packing: true
train_on_inputs: false
gradient_accumulation_steps: 4
micro_batch_size: 2
num_epochs: 3
optimizer: adamw_8bit
lr_scheduler: cosine
learning_rate: 2e-4
warmup_ratio: 0.1
bf16: auto
tf32: false
gradient_checkpointing: true
wandb_project:
special_tokens: {pad_token: <pad>, bos_token: <s>}
seed: 7
deepspeed: zero3.json
liger_rope: true
some_new_key: 1
"""
FACTORY = """
model_name_or_path: org/base
stage: dpo
do_train: true
finetuning_type: lora
lora_rank: 16
lora_target: q_proj, v_proj
pref_beta: 0.2
pref_loss: sigmoid
dataset: mine
dataset_dir: sets
template: llama3
cutoff_len: 512
max_samples: 100
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 5.0e-6
num_train_epochs: 2.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
val_size: 0.1
ddp_timeout: 180000000
plot_loss: true
quantization_bit: 4
"""
TRL = """
model_name_or_path: org/base
model_revision: v2
dataset_name: org/pairs
dataset_config: en
dataset_train_split: train_prefs
use_peft: true
lora_r: 8
lora_target_modules: [q_proj, v_proj]
per_device_train_batch_size: 4
gradient_accumulation_steps: 2
learning_rate: 5.0e-6
loss_type: [sigmoid, sft]
loss_weights: [1.0, 0.2]
beta: 0.05
max_length: 256
num_train_epochs: 1
lora_dropout: 0
bf16: false
train_sampling_strategy: group_by_length
logging_steps: 25
eval_strategy: steps
"""


def made(folder: Path, text: str, tool: str, **more: Any) -> Converted:
    file = folder / "theirs.yaml"
    file.write_text(text, encoding="utf-8")
    found = convert(file, tool, folder=folder, **more)
    accounted(file, found)
    return found


def paths(value: Any, above: str = "") -> Iterator[str]:
    """The place of each single value of a config."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in inside:
        yield from paths(child, f"{above}{name}.")
    if not isinstance(value, dict | list) or not value:
        yield above.rstrip(".")


def accounted(file: Path, found: Converted) -> None:
    """Each value of the config stands under a key that is carried or listed, and none under both."""
    noted = {*found.carried, *found.not_carried}
    lost = [p for p in paths(read(file)[0].plain()) if not any(p == k or p.startswith(f"{k}.") for k in noted)]
    assert lost == [] and not {*found.carried} & {*found.not_carried}
    assert all(why.strip() for why in found.not_carried.values())


def loads(folder: Path, found: Converted) -> None:
    (folder / "ours.yaml").write_text(found.text(), encoding="utf-8")
    assert load(folder / "ours.yaml").settings == found.recipe


def test_axolotl(tmp_path: Path) -> None:
    found = made(tmp_path, AXOLOTL, "axolotl", num_processes=4)
    loads(tmp_path, found)
    assert found.to_fill_in == ()
    assert found.recipe["base"] == {"model_name_or_path": "org/base", "pad_token": "<pad>"}
    assert found.recipe["seed"] == 7
    steps = found.recipe["steps"]
    assert steps["data"]["datasets"] == [
        {"path": "org/chats", "columns": {"messages": "turns"}, "format": "messages"},
        {"path": "rows.jsonl", "split": "train", "format": "alpaca"},
    ]
    assert steps["curated"] == {"step": "curate", "data": "data", "operators": [{"split": {"test": 0.05}}]}
    assert steps["sft"] == {
        "step": "sft", "data": "curated", "tune": "lora", "load_in_4bit": True, "load_in_8bit": False,
        "lora_r": 32, "lora_alpha": 16, "lora_dropout": 0.05, "lora_target_modules": "all-linear",
        "global_batch_size": 2 * 4 * 4, "num_train_epochs": 3, "max_length": 4096, "packing": True,
        "assistant_only_loss": True, "optim": "adamw_bnb_8bit", "lr_scheduler_type": "cosine", "learning_rate": 2e-4,
        "warmup_steps": 0.1, "dtype": "bfloat16", "train_sampling_strategy": "random",
    }  # fmt: skip
    assert found.not_carried["wandb_project"] == EMPTY and found.not_carried["some_new_key"] == UNKNOWN
    assert {"datasets.0.roles", "datasets.1.ds_type", "special_tokens.bos_token", "deepspeed"} <= {*found.not_carried}
    assert "several data sets" in found.not_carried["datasets.1.split (train[:20%])"]
    assert found.defaults == {"steps.sft.train_sampling_strategy": "random"}


def test_llama_factory_and_its_list_of_data_sets(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "pairs.json").write_text("[]")
    (tmp_path / "sets" / "dataset_info.json").write_text(
        '{"mine": {"file_name": "pairs.json", "ranking": true, "formatting": "sharegpt", '
        '"columns": {"messages": "turns", "chosen": "good", "rejected": "bad"}}}'
    )
    found = made(tmp_path, FACTORY, "llamafactory")
    loads(tmp_path, found)
    assert check(tmp_path / "ours.yaml").problems == ()  # the file is where the recipe says
    steps = found.recipe["steps"]
    assert steps["data"] == {
        "step": "ingest",
        "makes": "preferences",
        "datasets": [
            {
                "path": "sets/pairs.json",
                "format": "preference",
                "columns": {"prompt": "turns", "chosen": "good", "rejected": "bad"},
            }
        ],
    }
    assert steps["curated"]["operators"] == [{"random": {"n": 100}}, {"split": {"test": 0.1}}]
    assert steps["dpo"] == {
        "step": "dpo", "data": "curated", "tune": "lora", "lora_r": 16, "lora_alpha": 32,
        "lora_target_modules": ["q_proj", "v_proj"], "load_in_4bit": True, "beta": 0.2, "loss_type": "sigmoid",
        "global_batch_size": 8, "max_length": 512, "learning_rate": 5e-6, "num_train_epochs": 2.0,
        "lr_scheduler_type": "cosine", "warmup_steps": 0.1, "dtype": "bfloat16", "train_sampling_strategy": "random",
    }  # fmt: skip
    assert {*found.not_carried} == {"do_train", "dataset_dir", "template", "ddp_timeout", "plot_loss"}


def test_a_data_set_that_only_its_name_is_known_of_is_to_be_filled_in(tmp_path: Path) -> None:
    found = made(tmp_path, FACTORY, "llamafactory")
    (problem,) = found.to_fill_in
    assert problem.path == "steps.data.datasets.0" and "'path' is missing" in problem.what
    assert "steps.data.datasets.0.path" in found.not_carried["dataset (mine)"]
    assert "# To fill in before it loads:\n# - steps.data.datasets.0: 'path' is missing" in found.text()


def test_trl(tmp_path: Path) -> None:
    found = made(tmp_path, TRL, "trl", method="dpo")
    loads(tmp_path, found)
    assert found.to_fill_in == () and found.defaults == {}
    assert found.recipe == {
        "recipe": "theirs",
        "base": {"model_name_or_path": "org/base", "model_revision": "v2"},
        "steps": {
            "data": {
                "step": "ingest", "makes": "preferences",
                "datasets": [{"path": "org/pairs", "name": "en", "split": "train_prefs"}],
            },
            "dpo": {
                "step": "dpo", "data": "data", "global_batch_size": 8, "lora_r": 8,
                "lora_target_modules": ["q_proj", "v_proj"], "learning_rate": 5e-6, "loss_type": ["sigmoid", "sft"],
                "loss_weights": [1.0, 0.2], "beta": 0.05, "max_length": 256, "num_train_epochs": 1, "lora_dropout": 0,
                "dtype": "float32", "train_sampling_strategy": "group_by_length",
            },
        },
    }  # fmt: skip
    assert {*found.not_carried} == {"logging_steps", "eval_strategy"}


def test_trl_trains_all_weights_and_three_epochs_where_nothing_is_said(tmp_path: Path) -> None:
    """`SFTConfig`'s own defaults: 3 epochs, batch 8, 2e-5, bf16; `ModelConfig`: no PEFT."""
    found = made(tmp_path, "model_name_or_path: org/base\ndataset_name: org/x\nlora_r: 4\n", "trl", method="sft")
    loads(tmp_path, found)
    assert found.recipe["steps"]["sft"] == {
        "step": "sft", "data": "data", "tune": "full", "global_batch_size": 8, "num_train_epochs": 3.0,
        "learning_rate": 2e-5, "dtype": "bfloat16", "train_sampling_strategy": "random",
    }  # fmt: skip
    assert "`use_peft` is off" in found.not_carried["lora_r"]
    assert "lora_dropout" not in str(found.defaults)


@pytest.mark.parametrize(
    ("text", "tool", "step"),
    [
        ("base_model: b\nrl: ipo", "axolotl", {"step": "dpo", "loss_type": "ipo"}),
        ("base_model: b\nrl: simpo\nsimpo_gamma: 1.5", "axolotl", {"step": "cpo", "loss_type": "simpo"}),
        ("base_model: b\nrl: kto\nkto_desirable_weight: 0.2", "axolotl", {"step": "kto", "desirable_weight": 0.2}),
        ("base_model: b\nrl: grpo\ntrl: {num_generations: 4}", "axolotl", {"step": "grpo", "num_generations": 4}),
        ("base_model: b\nreward_model: true", "axolotl", {"step": "reward", "tune": "full"}),
        ("model_name_or_path: b\nstage: rm", "llamafactory", {"step": "reward", "lora_r": 8, "lora_alpha": 16}),
        ("stage: kto\nkto_chosen_weight: 2", "llamafactory", {"step": "kto", "desirable_weight": 2}),
        ("stage: dpo\npref_loss: orpo\npref_beta: 0.3", "llamafactory", {"step": "orpo", "beta": 0.3}),
        ("stage: dpo\npref_loss: simpo", "llamafactory", {"step": "cpo", "loss_type": "simpo", "cpo_alpha": 0.0}),
        ("stage: sft\nfinetuning_type: full\nlora_rank: 4", "llamafactory", {"step": "sft", "tune": "full"}),
    ],
)
def test_methods(text: str, tool: str, step: dict[str, Any], tmp_path: Path) -> None:
    got = made(tmp_path, text, tool).recipe["steps"][step["step"]]
    assert {key: got.get(key) for key in step} == step


@pytest.mark.parametrize(
    ("text", "tool", "said"),
    [
        ("base_model: b\nrl: ebft", "axolotl", "`rl: ebft` is no method of ours"),
        ("rl: dpo", "axolotl", "no `base_model`"),
        ("base_model: b\nprocess_reward_model: true", "axolotl", "`process_reward_model`"),
        ("stage: pt\ndataset: x", "llamafactory", "`stage: pt` is no method of ours"),
        ("model: b\ntrain_dataset: x", "llamafactory", "add --method"),
        ("export_dir: x", "llamafactory", "no config of a training run"),
        ("learning_rate: 1", "trl", "add --method: sft, dpo"),
        ("- 1", "trl", "no keys"),
        ("a: 1\na: 2", "trl", "occurs twice"),
        ("a: !!python/object/apply:os.system [ls]", "trl", "tag"),
    ],
)
def test_what_is_no_training_run_is_refused(text: str, tool: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said):
        made(tmp_path, text, tool)


def test_what_our_settings_refuse_is_listed_with_their_reason(tmp_path: Path) -> None:
    text = "base_model: b\ndatasets: [{path: org/x}]\nadapter: lora\noptimizer: muon\nlora_r: 0\n"
    text += "lora_target_modules: '.*q'\n"
    found = made(tmp_path, text, "axolotl")
    loads(tmp_path, found)
    assert "adamw_torch_fused" in found.not_carried["optimizer"]
    assert "1" in found.not_carried["lora_r"]
    assert "pattern" in found.not_carried["lora_target_modules"]


MADE_UP: dict[str, Any] = {"bool": True, "int": 2, "float": 0.25, "text": "odd", "empty": None, "map": {"odd": 1}}
"""Kind of a value in the list of keys -> one of that kind."""
SMALLEST: dict[str, dict[str, Any]] = {
    "axolotl": {"base_model": "b", "micro_batch_size": 2, "datasets": [{"path": "x"}]},
    "llamafactory": {"model_name_or_path": "b", "stage": "sft", "dataset": "x", "finetuning_type": "lora"},
    "llamafactory_v1": {"model": "b", "train_dataset": "x"},
}
REFUSED = {"axolotl": {"rl", "diffusion", "process_reward_model"}, "llamafactory": {"stage"}, "llamafactory_v1": set()}
"""Keys that make a config one of a method that is not ours: the refusal must speak of them."""


def shipped(list_of: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(place of a key, kind of its value, a config of that key alone), for each key and kind in their examples."""
    listed = read(Path(__file__).with_name("example_keys.yaml"))[0].plain()[list_of]["keys"]
    for place, kinds in listed.items():
        for kind in kinds.split(", "):
            value = kind[1:] if kind.startswith("=") else MADE_UP[kind]
            top, *inside = place.split(".")
            for part in reversed([top, *inside]):
                for _ in range(part.count("[]")):
                    value = [value]
                value = {part.removesuffix("[]"): value}
            yield place, kind, value


@pytest.mark.parametrize("list_of", list(SMALLEST))
def test_every_key_of_the_examples_that_they_ship(list_of: str, tmp_path: Path) -> None:
    """Each key alone in the smallest config: carried or listed, none unknown."""
    tool, new = list_of.removesuffix("_v1"), list_of.endswith("_v1")
    refused, done = set(), 0
    for place, kind, config in shipped(list_of):
        file = tmp_path / "theirs.yaml"
        file.write_text(json.dumps({**SMALLEST[list_of], **config}))
        key = next(iter(config))
        try:
            found = convert(file, tool, method="sft" if new else None)
        except RecipeError as error:
            refused.add(key if f"`{key}" in error.what else f"{key}: {error.what}")
            continue
        accounted(file, found)
        assert [key for key, why in found.not_carried.items() if why == UNKNOWN] == [], (place, kind)
        assert all("missing" in problem.what for problem in found.to_fill_in), (place, kind)
        done += 1
    assert refused == REFUSED[list_of]
    assert done > {"axolotl": 380, "llamafactory": 130, "llamafactory_v1": 40}[list_of]


def test_a_batch_that_is_left_to_a_launcher_is_listed(tmp_path: Path) -> None:
    text = "stage: sft\nper_device_train_batch_size: auto\ngradient_accumulation_steps: 2\n"
    found = made(tmp_path, text, "llamafactory")
    assert found.recipe["steps"]["sft"]["global_batch_size"] == 8 * 2  # transformers' default
    assert "goes by the default" in found.not_carried["per_device_train_batch_size"]


def test_the_tables_name_keys_that_there_are() -> None:
    """A place that no step has would lose a key in silence."""
    steps = {key for method in METHODS for key in names(lookup(STEPS, method))}
    base = set(names(lookup(STEPS, "base")))
    for tool in TOOLS.values():
        for rule in tool.table.values():
            if isinstance(rule, To):
                room, _, key = rule.place.rpartition(".")
                assert key in {"train": steps, "base": base, "": {"seed"}}[room], rule.place


HANDLED = "use_peft: true\ndataset_name: org/x\ndataset_config: en\ndataset_train_split: train\n"


@pytest.mark.parametrize("method", ["sft", "dpo", "kto", "reward", "grpo", "rloo"])
def test_every_setting_of_trl_is_known(method: str, tmp_path: Path) -> None:
    """Read off the source of the TRL that is installed, whose import would take longer than all else here."""
    spec = importlib.util.find_spec("trl")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent
    sources = ["trainer/base_config.py", "trainer/model_config.py", f"trainer/{method}_config.py"]
    classes = [n for s in sources for n in ast.parse((folder / s).read_text()).body if isinstance(n, ast.ClassDef)]
    fields = {f.target.id for c in classes for f in c.body if isinstance(f, ast.AnnAssign)}  # type: ignore[union-attr]
    assert len(fields) > 30
    lines = [f"{name}: [odd]\n" for name in sorted(fields - {"use_peft"})]
    found = made(tmp_path, HANDLED + "".join(lines), "trl", method=method)
    assert [key for key, why in found.not_carried.items() if why == UNKNOWN] == []
