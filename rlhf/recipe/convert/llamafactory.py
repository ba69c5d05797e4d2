"""LLaMA-Factory: one YAML file a run, the method by `stage:`, data sets by names that `dataset_info.json` explains.

Files of its version 1 (`model`, `train_dataset`, `micro_batch_size`) do not say the method; `--method` says it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curation.errors import RecipeError
from rlhf.recipe.convert import shared
from rlhf.recipe.convert.draft import Draft, To, Tool, inverse, yes

_STAGES = {"sft": "sft", "rm": "reward", "dpo": "dpo", "kto": "kto", "ppo": "ppo"}
_LOSSES = {"orpo": "orpo", "simpo": "cpo"}
_OPTIMIZER = "`optim` says which optimizers there are"
_KT = "the base is run by transformers"
_MEGATRON = "models are trained by transformers, spread by accelerate"
_SERVES = "`rlhf chat` talks to what was made, and a step `sample` writes its answers"
_EXPORT = "a step `export` writes a folder; a step `merge` or `adapter: merge_first` merges"
_FREEZE = "`tune: full` trains all weights, `lora` an adapter; `lora_target_modules` chooses layers"
_REWARD = "write `rewards: [{reward_model: {reward: STEP}}]` with a step that makes it"
_ANSWERS = "answers are sampled by a step `sample`"
_COLUMNS = {
    "alpaca": {"prompt": "instruction", "query": "input", "response": "output", "history": "history"},
    "sharegpt": {"messages": "conversations", "tools": "tools"},
    "preference": {
        "prompt": "prompt",
        "messages": "prompt",
        "query": "input",
        "chosen": "chosen",
        "rejected": "rejected",
    },
}
"""Format -> what the columns of `dataset_info.json` are called in it."""
_BESIDE = {"system": "system", "tools": "tools"}
_MOST = 10_000_000


def _target(value: Any) -> Any:
    if value in ("all", "all-linear"):
        return "all-linear"
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


def _pissa(value: Any) -> str:
    if not yes(value):
        raise ValueError("switched off, as is the default")
    return "pissa"


TABLE: dict[str, To | str] = {
    **shared.AROUND,
    **shared.NUMBERS,
    "model_name_or_path": To("base.model_name_or_path"),
    "model": To("base.model_name_or_path"),
    "model_revision": To("base.model_revision"),
    "trust_remote_code": To("base.trust_remote_code"),
    "cutoff_len": To("train.max_length"),
    "pure_bf16": To("train.dtype", shared.bf16),
    "packing": To("train.packing"),
    "neat_packing": To("train.packing"),
    "train_on_prompt": To("train.assistant_only_loss", inverse),
    "lora_rank": To("train.lora_r"),
    "lora_alpha": To("train.lora_alpha"),
    "lora_dropout": To("train.lora_dropout"),
    "lora_target": To("train.lora_target_modules", _target),
    "use_rslora": To("train.use_rslora"),
    "use_dora": To("train.use_dora"),
    "pissa_init": To("train.init_lora_weights", _pissa),
    "double_quantization": To("train.use_bnb_nested_quant"),
    "quantization_type": To("train.bnb_4bit_quant_type"),
    "pref_beta": To("train.beta"),
    "dpo_label_smoothing": To("train.label_smoothing"),
    "simpo_gamma": To("train.simpo_gamma"),
    "kto_chosen_weight": To("train.desirable_weight"),
    "kto_rejected_weight": To("train.undesirable_weight"),
    "ld_alpha": To("train.ld_alpha"),
    "ppo_epochs": To("train.num_ppo_epochs"),
    "ppo_target": To("train.target_kl"),
    "ppo_whiten_rewards": To("train.whiten_rewards"),
    "use_dft_loss": To("train.loss_type", lambda on: "dft" if yes(on) else "nll"),
    "peft_config.r": To("train.lora_r"),
    "peft_config.lora_alpha": To("train.lora_alpha"),
    "peft_config.lora_dropout": To("train.lora_dropout"),
    "peft_config.target_modules": To("train.lora_target_modules", _target),
    "peft_config.*": shared.OTHER_ADAPTER,
    "template": shared.TEMPLATE,
    "enable_thinking": shared.TEMPLATE,
    "default_system": "write the operator `system_prompt` into a step `curate`",
    "mask_history": "all that the assistant wrote in a chat is learned; the last turn alone is not a choice",
    "pissa_iter": "write `init_lora_weights: pissa_niter_16` for the quick way",
    "pissa_convert": "a PiSSA adapter is always saved as a plain one",
    "additional_target": shared.NO_EXTRAS,
    "loraplus_*": "all weights of an adapter learn at one rate",
    "oft_*": shared.OTHER_ADAPTER,
    "freeze_vision_tower": shared.VISION,
    "freeze_multi_modal_projector": shared.VISION,
    "freeze_language_model": shared.VISION,
    "freeze_*": _FREEZE,
    "image_*": shared.VISION,
    "video_*": shared.VISION,
    "media_dir": shared.VISION,
    "adapter_name_or_path": "an adapter of before: give its folder as `base`, or train on a step's policy",
    "create_new_adapter": "`adapter: new` is the default, `continue` trains the parent's on",
    "ref_model*": "the reference is the policy that training began with",
    "reward_model*": _REWARD,
    "ppo_*": "our PPO has no such key",
    "pref_ftx": "for a likelihood term beside it write `loss_type: [sigmoid, sft]` with `loss_weights`",
    "use_galore": _OPTIMIZER,
    "galore_*": _OPTIMIZER,
    "use_apollo": _OPTIMIZER,
    "apollo_*": _OPTIMIZER,
    "use_badam": _OPTIMIZER,
    "badam_*": _OPTIMIZER,
    "use_adam_mini": _OPTIMIZER,
    "use_muon": _OPTIMIZER,
    "optim_config": _OPTIMIZER,
    "use_llama_pro": _FREEZE,
    "mixture_of_depths": "models are trained as they are built",
    "use_asft_loss": "`loss_type` of the step says which losses there are",
    "asft_alpha": "`loss_type` of the step says which losses there are",
    "use_eaft_loss": "`loss_type` of the step says which losses there are",
    "eaft_alpha": "`loss_type` of the step says which losses there are",
    "flash_attn": shared.ATTENTION,
    "disable_gradient_checkpointing": shared.MEMORY,
    "use_reentrant_gc": shared.MEMORY,
    "use_unsloth*": shared.SPEED,
    "enable_liger_kernel": shared.SPEED,
    "kernel_config": shared.SPEED,
    "use_v1_kernels": shared.SPEED,
    "use_kt": _KT,
    "kt_*": _KT,
    "fp8*": "weights are quantized when they are loaded: `load_in_4bit` or `load_in_8bit`",
    "quant_config": "write `load_in_4bit: true` or `load_in_8bit: true`",
    "quantization_device_map": shared.LAUNCH,
    "dist_config": shared.LAUNCH,
    "cp_*": shared.LAUNCH,
    "init_config": shared.LAUNCH,
    "tensor_model_parallel_size": _MEGATRON,
    "pipeline_model_parallel_size": _MEGATRON,
    "expert_model_parallel_size": _MEGATRON,
    "context_parallel_size": _MEGATRON,
    "sequence_parallel*": _MEGATRON,
    "use_distributed_optimizer": _MEGATRON,
    "bias_activation_fusion": _MEGATRON,
    "apply_rope_fusion": _MEGATRON,
    "overlap_*": _MEGATRON,
    "moe_*": _MEGATRON,
    "recompute_granularity": _MEGATRON,
    "use_packed_sequences": _MEGATRON,
    "use_mca": _MEGATRON,
    "val_size": shared.NOTHING_HELD_OUT,
    "mixed_precision": "write `dtype: bfloat16` into the step",
    "plot_loss": "a run's page has the curves",
    "include_num_input_tokens_seen": "tokens a second are always shown",
    "preprocessing_*": shared.SPEED,
    "overwrite_cache": shared.CACHES,
    "tokenized_path": shared.CACHES,
    "dataset_dir": "data sets are given by path",
    "eval_dataset": shared.MEASURING,
    "streaming": shared.SPEED,
    "buffer_size": shared.SPEED,
    "mix_strategy": "write a `fraction` for each data set",
    "interleave_probs": "write a `fraction` for each data set",
    "batching_strategy": "batches hold rows of about the same length; `packing: true` puts several into one",
    "model_class": "the class of a model is told from its config",
    "max_new_tokens": _ANSWERS,
    "sample_backend": _ANSWERS,
    "infer_*": _SERVES,
    "export_*": _EXPORT,
    "new_special_tokens*": "new tokens are given to the base before",
    "add_*tokens*": "new tokens are given to the base before",
    "resize_vocab": "new tokens are given to the base before",
    "rope_scaling": "models are trained as they are built",
    "shift_attn": "models are trained as they are built",
    "hf_hub_token": "a token is read from the environment alone",
}


def method(config: Mapping[str, Any]) -> str:
    """By `stage`, and for pairs by `pref_loss`."""
    stage = config.get("stage")
    if stage is None:
        if config.get("train_dataset") or config.get("dataset"):
            raise RecipeError("there is no `stage`, so the method is not known", hint="add --method sft (or dpo ...)")
        hint = "configs of inference, merging and launching are no recipes; name the one that trains"
        raise RecipeError("there is neither `stage` nor a data set, so this is no config of a training run", hint=hint)
    if stage == "dpo" and (loss := config.get("pref_loss")) in _LOSSES:
        return _LOSSES[loss]
    if stage not in _STAGES:
        raise RecipeError(f"`stage: {stage}` is no method of ours", hint=f"carried over: {', '.join(_STAGES)}")
    return _STAGES[stage]


def together(draft: Draft) -> None:
    """Method, batch, bits, adapter and data sets."""
    if "stage" in draft.config:
        draft.carried["stage"] = f"steps.{draft.method}"
    if "micro_batch_size" in draft.config:
        draft.batch("micro_batch_size", "gradient_accumulation_steps", 1)
    else:
        draft.batch("per_device_train_batch_size", "gradient_accumulation_steps", 8)
    _loss(draft)
    _bits(draft)
    kind = draft.given("finetuning_type")
    if kind in ("lora", "full"):
        draft.put("finetuning_type", "train.tune", kind)
    elif kind is not None:
        why = _FREEZE if kind == "freeze" else shared.OTHER_ADAPTER
        draft.leave("finetuning_type", f"{kind}: {why}")
    peft = draft.given("peft_config.name")
    if peft == "lora":
        draft.put("peft_config.name", "train.tune", "lora")
    key = "dataset" if "dataset" in draft.config else "train_dataset"
    written = draft.given(key)
    if isinstance(written, str):
        _named(draft, key, [name.strip() for name in written.split(",") if name.strip()])
    _most(draft)
    draft.held_out("val_size")


def _loss(draft: Draft) -> None:
    if (loss := draft.given("pref_loss")) is None:
        return
    if draft.method == "dpo" and loss in ("sigmoid", "hinge", "ipo"):
        draft.put("pref_loss", "train.loss_type", loss)
    elif draft.method == "cpo" and loss == "simpo":
        draft.put("pref_loss", "train.loss_type", loss)
        draft.train["cpo_alpha"] = 0.0
    elif draft.method == "orpo":
        draft.carried["pref_loss"] = "steps.orpo"
    else:
        draft.leave("pref_loss", f"{loss}: `{draft.method}` has no such loss")


def _bits(draft: Draft) -> None:
    way = draft.given("quantization_method")
    if way not in (None, "bnb", "bitsandbytes"):
        draft.leave("quantization_method", f"{way}: weights are quantized by bitsandbytes (the extra `quant`)")
    elif way:
        draft.carried["quantization_method"] = "the way of `load_in_4bit` and `load_in_8bit`"
    bits = draft.given("quantization_bit")
    if bits in (4, 8):
        draft.put("quantization_bit", f"train.load_in_{bits}bit", True)
    elif bits is not None:
        draft.leave("quantization_bit", f"{bits}: there are 4 and 8 bits")


def _most(draft: Draft) -> None:
    most = draft.given("max_samples")
    if most is None:
        return
    if isinstance(most, int) and most > 0 and len(draft.datasets) == 1:
        draft.operators.append({"random": {"n": most}})
        draft.carried["max_samples"] = "steps.curated.operators"
    else:
        draft.leave("max_samples", "of each data set: write `fraction` in each, or `random: {n: ...}` in a `curate`")


def _named(draft: Draft, key: str, found: list[str]) -> None:
    """Data sets by their names in `dataset_info.json`, where that can be found."""
    folder, info = _info(draft)
    for number, name in enumerate(found):
        about = info.get(name)
        if isinstance(about, Mapping):
            draft.datasets.append(_entry(draft, folder, about))
        else:
            draft.datasets.append({})
            draft.not_carried[f"{key} ({name})"] = (
                f"what {name} is stands in dataset_info.json, which was not found here: write its path as "
                f"`steps.data.datasets.{number}.path`"
            )
    draft.carried[key] = "steps.data.datasets"


def _info(draft: Draft) -> tuple[Path, Mapping[str, Any]]:
    written = draft.given("dataset_dir")
    name = written if isinstance(written, str) else "data"
    for start in (Path.cwd(), draft.source.parent):
        file = start / name / "dataset_info.json"
        if file.is_file() and file.stat().st_size < _MOST:
            try:
                found = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise RecipeError(
                    f"{file} is no JSON: {error}", hint="it is the list of data sets that the config names"
                ) from error
            return file.parent, found if isinstance(found, Mapping) else {}
    return Path(), {}


def _entry(draft: Draft, folder: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    hub, file = about.get("hf_hub_url"), about.get("file_name")
    made: dict[str, Any] = {}
    if hub or file:
        made["path"] = hub or os.path.relpath(folder / str(file), draft.folder)
    for theirs, ours in (("subset", "name"), ("split", "split"), ("folder", "data_dir")):
        if hub and about.get(theirs):
            made[ours] = about[theirs]
    kind = "preference" if about.get("ranking") else about.get("formatting", "alpaca")
    columns = about.get("columns")
    columns = columns if isinstance(columns, Mapping) else {}
    if "kto_tag" in columns:
        return made  # `auto` tells such records by their keys
    made["format"] = kind
    known = {**_COLUMNS.get(kind, {}), **_BESIDE}
    named = {known[theirs]: column for theirs, column in columns.items() if theirs in known}
    if any(ours != column for ours, column in named.items()):
        made["columns"] = named
    return made


def adapter(draft: Draft) -> None:
    """All weights where `finetuning_type` (or the lack of `peft_config`) says so."""
    first = "micro_batch_size" in draft.config and not draft.given("peft_config")
    if draft.train.get("tune") == "full" or draft.given("finetuning_type") == "freeze" or first:
        draft.full_tuning("all weights are trained, so this has no meaning")
    elif "lora_alpha" not in draft.train and "lora_r" in draft.train:
        draft.train["lora_alpha"] = 2 * draft.train["lora_r"]  # LLaMA-Factory's rule


def defaults(step: str) -> dict[str, Any]:
    """LLaMA-Factory's own, where ours are others."""
    return {
        "learning_rate": 5e-5,
        "num_train_epochs": 3.0,
        "lora_rank": 8,
        "cutoff_len": 2048,
        "train_sampling_strategy": "random",
    }


TOOL = Tool("llamafactory", TABLE, method, together, adapter, defaults)
