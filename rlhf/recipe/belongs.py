"""Keys that are right in another place or under another name, and the advice that goes with each."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from curation.errors import RecipeError, did_you_mean
from curation.registry import STEPS, known_names, lookup
from rlhf.recipe.fields import names, of_field
from rlhf.recipe.profile import Profile

SYNONYMS = {
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "num_epochs": "num_train_epochs",
    "batch_size": "global_batch_size",
    "train_batch_size": "global_batch_size",
    "total_batch_size": "global_batch_size",
    "max_seq_length": "max_length",
    "max_seq_len": "max_length",
    "cutoff_len": "max_length",
    "max_new_tokens": "max_completion_length",
    "num_return_sequences": "num_generations",
    "torch_dtype": "dtype",
    "bf16": "dtype",
    "fp16": "dtype",
    "use_peft": "tune",
    "finetuning_type": "tune",
    "lora_rank": "lora_r",
    "lora_target": "lora_target_modules",
    "target_modules": "lora_target_modules",
    "kl_beta": "beta",
    "response_length": "max_completion_length",
    "init_kl_coef": "kl_coef",
    "adap_kl_ctrl": "target_kl",
    "ppo_epochs": "num_ppo_epochs",
    "pref_loss": "loss_type",
    "type": "step",
}
"""What other tools (and older versions of TRL) call a key -> its name here."""

BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps")


def profile_keys() -> dict[str, str]:
    """Key of a profile -> its full place: `threads` -> `training.threads`."""
    found: dict[str, str] = {}
    for section, field in names(Profile).items():
        found[section] = section
        for model in of_field(field):
            if isinstance(model, type) and section != "endpoints":
                found.update({key: f"{section}.{key}" for key in names(model)})
    return found


def in_recipe(key: str, value: Any, known: dict[str, Any]) -> str:
    """What to do about an unknown key of a step."""
    if SYNONYMS.get(key) in known:
        return f"here it is called {SYNONYMS[key]!r}" + _dtype(key)
    if key in ("model_name_or_path", "model_revision", "model"):
        return "the model belongs in `base:` at the top; `policy:` names the step that makes another one"
    if (place := profile_keys().get(key)) and key not in ("kind", "format", "folder", "model"):
        return (
            f"it says where and how fast, so it belongs in a profile: {_nested(place, value)}, given by --profile FILE"
        )
    return did_you_mean(key, known)


def _dtype(key: str) -> str:
    return {"bf16": ": write `dtype: bfloat16`", "fp16": ": write `dtype: bfloat16`, there is no float16"}.get(key, "")


def _nested(place: str, value: Any) -> str:
    section, _, key = place.partition(".")
    return f"`{section}: {{{key}: {value}}}`" if key else f"`{section}:`"


def in_profile(key: str, model: type[BaseModel]) -> str:
    """What to do about an unknown key of a profile."""
    known = names(model)
    if key in ("recipe", "steps", "base", "seed", "budget", "extends"):
        return f"{key!r} belongs in a recipe; a profile says only where and how fast"
    if key == "gradient_accumulation_steps":
        return "accumulation is derived: global_batch_size (recipe) / per_device_train_batch_size / num_processes"
    if key == "global_batch_size":
        return "it changes the result, so it belongs in the recipe, in the step that trains"
    hint = did_you_mean(key, known)
    if hint.startswith("did you mean"):
        return hint
    place = profile_keys().get(key)
    if place and place != key:
        return f"it stands one level down: {place}"
    owners = [name for name in known_names(STEPS) if key in _keys_of(name)]
    if owners:
        return f"it changes the result, so it belongs in the recipe, in the step ({', '.join(owners)})"
    return hint


def _keys_of(step: str) -> set[str]:
    try:
        return set(names(lookup(STEPS, step)))
    except RecipeError:
        return set()


def batch(settings: dict[str, Any]) -> tuple[str, str] | None:
    """(what, hint) when a step says how its batch is cut up; the hint holds the line to write instead."""
    written = [key for key in BATCH if key in settings]
    if not written:
        return None
    cut = " and ".join(f"`{key}: {settings[key]}`" for key in written)
    what = f"{cut} {'say' if len(written) > 1 else 'says'} how to cut a batch, a recipe says how large it is"
    rows, times = settings.get(BATCH[0], 8), settings.get(BATCH[1], 1)  # 8 and 1 are the defaults of transformers
    if not (_count(rows) and _count(times)):
        return what, "write `global_batch_size: N`, the rows of one optimizer step"
    product = f"{rows} x {times}" + (
        "" if len(written) > 1 else f"; {8 if BATCH[0] not in settings else 1} is the default"
    )
    line = (
        f"write `global_batch_size: {rows * times}` ({product}; times the number of processes, if there were several)"
    )
    if "global_batch_size" in settings:
        line = "remove it: global_batch_size is set"
    return what, f"{line}; what fits into memory goes into a profile: `training: {{{BATCH[0]}: {rows}}}`"


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
