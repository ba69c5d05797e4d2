"""Axolotl: one YAML file a run, the method by `rl:` and `reward_model:`, an adapter by `adapter:`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curation.errors import RecipeError
from rlhf.recipe.convert import shared
from rlhf.recipe.convert.draft import Draft, To, Tool, inverse

_RL = {
    "dpo": "dpo",
    "ipo": "dpo",
    "kto": "kto",
    "orpo": "orpo",
    "simpo": "cpo",
    "grpo": "grpo",
}
_KERNELS = "kernels are transformers' and torch's own; losses are computed only where labels are"
_GPTQ = "weights are quantized when they are loaded: `load_in_4bit` or `load_in_8bit`"
_OPTIMIZER = "the optimizer has no such setting here"
_METHOD = "what the method is, the step says"
_TOKENIZER = "the tokenizer is read as the model's folder says"
_TOKENS = "new tokens are given to the base before; `base` takes `eos_token` and `pad_token`"
_CLOUD = "where it runs is not the recipe's business"
_READS = "data are read, cleaned and kept by the steps `ingest` and `curate`"
_REWARDS = "Python functions stay where they are; write `rewards:` with scorers, or a plugin's"
_VLLM = "the profile's, not the recipe's: `generation.backend`"
_LISTS = ("messages", "conversations", "conversation", "items")
_IN_PAIRS = {"field_prompt": "prompt", "field_chosen": "chosen", "field_rejected": "rejected"}


def _targets(value: Any) -> Any:
    if isinstance(value, str) and not value.isidentifier():
        raise ValueError("layers are named, not matched by a pattern: list them in `lora_target_modules`")
    return [value] if isinstance(value, str) else value


TABLE: dict[str, To | str] = {
    **shared.AROUND,
    **shared.NUMBERS,
    "base_model": To("base.model_name_or_path"),
    "revision_of_model": To("base.model_revision"),
    "trust_remote_code": To("base.trust_remote_code"),
    "chat_template_jinja": "write the template into a file: `base: {chat_template_path: FILE.jinja}`",
    "chat_template*": shared.TEMPLATE,
    "special_tokens.eos_token": To("base.eos_token"),
    "special_tokens.pad_token": To("base.pad_token"),
    "special_tokens.*": _TOKENS,
    "tokens": _TOKENS,
    "added_tokens_overrides": _TOKENS,
    "eot_tokens": "what ends an answer is told from the template; else write `base: {eos_token: ...}`",
    "sequence_len": To("train.max_length"),
    "num_epochs": To("train.num_train_epochs"),
    "optimizer": To("train.optim", lambda name: {"adamw_8bit": "adamw_bnb_8bit"}.get(name, name)),
    "lr_scheduler": To("train.lr_scheduler_type"),
    "torch_dtype": To("base.dtype"),
    "bfloat16": To("train.dtype", shared.bf16),
    "float16": shared.FP16,
    "sample_packing": To("train.packing"),
    "train_on_inputs": To("train.assistant_only_loss", inverse),
    "lora_r": To("train.lora_r"),
    "lora_alpha": To("train.lora_alpha"),
    "lora_dropout": To("train.lora_dropout", float),
    "lora_target_modules": To("train.lora_target_modules", _targets),
    "peft_use_dora": To("train.use_dora"),
    "peft_use_rslora": To("train.use_rslora"),
    "peft_init_lora_weights": To("train.init_lora_weights"),
    "load_in_4bit": To("train.load_in_4bit"),
    "load_in_8bit": To("train.load_in_8bit"),
    "rl_beta": To("train.beta"),
    "dpo_beta": To("train.beta"),
    "val_set_size": shared.NOTHING_HELD_OUT,
    "full_finetune": "`adapter` says it",
    "orpo_alpha": To("train.beta"),
    "simpo_gamma": To("train.simpo_gamma"),
    "cpo_alpha": To("train.cpo_alpha"),
    "dpo_label_smoothing": To("train.label_smoothing"),
    "dpo_use_weighting": To("train.use_weighting"),
    "precompute_ref_log_probs": To("train.precompute_ref_log_probs"),
    "kto_desirable_weight": To("train.desirable_weight"),
    "kto_undesirable_weight": To("train.undesirable_weight"),
    "center_rewards_coefficient": To("train.center_rewards_coefficient"),
    "adam_eps": To("train.adam_epsilon", float),
    "trl.beta": To("train.beta"),
    "trl.num_generations": To("train.num_generations"),
    "trl.max_completion_length": To("train.max_completion_length"),
    "trl.temperature": To("train.temperature"),
    "trl.reward_weights": To("train.reward_weights"),
    "trl.loss_type": To("train.loss_type"),
    "trl.num_iterations": To("train.num_iterations"),
    "trl.epsilon": To("train.epsilon"),
    "trl.epsilon_high": To("train.epsilon_high"),
    "trl.mask_truncated_completions": To("train.mask_truncated_completions"),
    "trl.scale_rewards": To("train.scale_rewards", lambda v: {True: "group", False: "none"}.get(v, v)),
    "trl.importance_sampling_level": To("train.importance_sampling_level"),
    "trl.reward_funcs": _REWARDS,
    "trl.vllm_*": _VLLM,
    "trl.use_vllm": _VLLM,
    "trl.*": "the step has no such key",
    "vllm*": _VLLM,
    "base_model_config": _TOKENIZER,
    "base_model_ignore_patterns": _TOKENIZER,
    "model_type": "the class of a model is told from its config",
    "type_of_model": "the class of a model is told from its config",
    "model_config*": "a model's config is read as it is",
    "cls_model_config": "a model's config is read as it is",
    "num_labels": "a reward model has one output",
    "processor_*": shared.VISION,
    "freeze_mm_modules": shared.VISION,
    "image_*": shared.VISION,
    "tokenizer_*": _TOKENIZER,
    "resize_token_embeddings_to_32x": _TOKENS,
    "lora_model_dir": "an adapter of before: give its folder as `base`, or train on a step's policy",
    "lora_modules_to_save": shared.NO_EXTRAS,
    "lora_target_parameters": "adapters are put on layers, named by `lora_target_modules`",
    "lora_fan_in_fan_out": "told from the layers",
    "lora_*_kernel": _KERNELS,
    "lora_mlp_kernel": _KERNELS,
    "lora_qkv_kernel": _KERNELS,
    "lora_o_kernel": _KERNELS,
    "lora_embedding_kernel": _KERNELS,
    "loraplus_*": "all weights of an adapter learn at one rate",
    "peft*": shared.OTHER_ADAPTER,
    "relora*": shared.OTHER_ADAPTER,
    "jagged_*": shared.OTHER_ADAPTER,
    "lisa_*": "layers are not frozen in turns",
    "unfrozen_parameters": "`tune: full` trains all weights, `lora` an adapter; `lora_target_modules` chooses layers",
    "reinit_weights": "weights begin as the model has them",
    "gptq*": _GPTQ,
    "bnb_config_kwargs": "write `bnb_4bit_quant_type` and `use_bnb_nested_quant`",
    "model_quantization_config*": _GPTQ,
    "quantize_*": _GPTQ,
    "llmcompressor": _GPTQ,
    "qat": _GPTQ,
    "fp8*": _GPTQ,
    "nvfp4*": _GPTQ,
    "dsv4*": _GPTQ,
    "use_onebitllms": _GPTQ,
    "liger_*": _KERNELS,
    "flash_*": shared.ATTENTION,
    "xformers_*": shared.ATTENTION,
    "sdp_attention": shared.ATTENTION,
    "flex_*": shared.ATTENTION,
    "gemma4_hybrid_attn_impl": shared.ATTENTION,
    "s2_attention": shared.ATTENTION,
    "fused_*": _KERNELS,
    "cut_cross_entropy": _KERNELS,
    "use_kernels": _KERNELS,
    "use_scattermoe": _KERNELS,
    "use_sonicmoe": _KERNELS,
    "use_*_kernels": _KERNELS,
    "use_dsv4_kernels": _KERNELS,
    "use_glm_dsa_kernels": _KERNELS,
    "experts_implementation": _KERNELS,
    "llama4_linearized_experts": _KERNELS,
    "tiled_mlp*": _KERNELS,
    "experimental_*": _KERNELS,
    "plugins": "plugins of ours are installed packages; `rlhf schema` shows what they add",
    "strict": "unknown keys of a recipe are always an error",
    "pad_to_sequence_len": shared.SPEED,
    "sample_packing_*": "packed rows are kept apart for attention, whichever way they were filled",
    "max_packed_sequence_len": "packed rows are as long as `max_length`",
    "multipack_*": shared.SPEED,
    "pretrain_multipack_*": shared.SPEED,
    "streaming*": shared.SPEED,
    "pretraining_dataset": "raw text is not trained on here; a recipe's rows are chats or pairs",
    "test_datasets": shared.MEASURING,
    "saves_per_epoch": shared.SAVING,
    "evals_per_epoch": shared.MEASURING,
    "do_causal_lm_eval": shared.MEASURING,
    "auto_resume_from_checkpoints": shared.RESUMING,
    "dataset_prepared_path": shared.CACHES,
    "dataset_exact_deduplication": "write the operator `exact_dedup` into a step `curate`",
    "dataset_processes": shared.SPEED,
    "dataset_keep_in_memory": shared.SPEED,
    "skip_prepare_dataset": _READS,
    "shuffle_merged_datasets": "the order of rows is drawn by the seed",
    "curriculum_sampling": "the order of rows is drawn by the seed",
    "min_sample_len": "write the operator `length` into a step `curate`",
    "total_num_tokens": "counted",
    "push_dataset_to_hub": shared.HUB,
    "hf_use_auth_token": "a token is read from the environment alone",
    "reward_model": _METHOD,
    "rl": _METHOD,
    "ebft": _METHOD,
    "diffusion": _METHOD,
    "use_eaft": "`loss_type` of the step says which losses there are",
    "eaft_*": "`loss_type` of the step says which losses there are",
    "cosine_*": shared.SCHEDULE,
    "eta_min": shared.SCHEDULE,
    "lr_quadratic_warmup": shared.SCHEDULE,
    "optim_*": _OPTIMIZER,
    "loss_watchdog_*": "a loss that is no number stops the run",
    "sequence_parallel*": shared.LAUNCH,
    "tensor_parallel*": shared.LAUNCH,
    "context_par*": shared.LAUNCH,
    "expert_parallel*": shared.LAUNCH,
    "dp_*": shared.LAUNCH,
    "ddp": shared.LAUNCH,
    "torchdistx_path": shared.LAUNCH,
    "low_cpu_mem_usage": shared.SPEED,
    "memory_preprocess": _CLOUD,
    "timeout*": _CLOUD,
    "memory": _CLOUD,
    "device_map": shared.LAUNCH,
    "test_value": "no setting of a run",
    "debug": "`--verbose` says more",
    "tokenizer_config": _TOKENIZER,
}


def method(config: Mapping[str, Any]) -> str:
    """By `rl`, `reward_model`, else fine-tuning."""
    if not config.get("base_model"):
        hint = "is it a file of axolotl's? --from llamafactory and --from trl read others"
        raise RecipeError("there is no `base_model`, so this is no config of a training run", hint=hint)
    if config.get("process_reward_model"):
        hint = "a reward of whole answers is the step `reward`: write `reward_model: true` in its place"
        raise RecipeError("`process_reward_model`: rewards of single steps are not trained here", hint=hint)
    if config.get("diffusion"):
        raise RecipeError("`diffusion`: such models are not trained here", hint="causal language models are")
    if config.get("reward_model"):
        return "reward"
    if (rl := config.get("rl")) and rl not in _RL:
        raise RecipeError(f"`rl: {rl}` is no method of ours", hint=f"carried over: {', '.join(_RL)}, and no `rl` (sft)")
    return _RL[rl] if rl else "sft"


def together(draft: Draft) -> None:
    """Batch, data sets, method and adapter."""
    draft.batch("micro_batch_size", "gradient_accumulation_steps", 1, total="batch_size")
    if (rl := draft.given("rl")) is not None and draft.method in _RL.values():
        draft.carried["rl"] = f"steps.{draft.method}"
        if rl in ("ipo", "simpo"):
            draft.put("rl", "train.loss_type", rl)
    if draft.given("reward_model"):
        draft.carried["reward_model"] = f"steps.{draft.method}"
    _adapter(draft)
    if draft.given("lora_target_linear") is True and not draft.given("lora_target_modules"):
        draft.put("lora_target_linear", "train.lora_target_modules", "all-linear")
    elif "lora_target_linear" in draft.config:
        draft.leave("lora_target_linear", "`lora_target_modules` says it, or its default: all linear layers")
    found = draft.given("datasets")
    for number, entry in enumerate(found if isinstance(found, list) else []):
        if isinstance(entry, Mapping):
            draft.datasets.append(_data(draft, number, entry, len(found) == 1))
        else:
            draft.leave(f"datasets.{number}", "no map of keys, so it says no data set")
    draft.held_out("val_set_size")


def _adapter(draft: Draft) -> None:
    kind = draft.given("adapter")
    if kind in ("lora", "qlora"):
        draft.carried["adapter"] = draft.full("train.tune")
        draft.train["tune"] = "lora"
        if kind == "qlora":
            draft.train["load_in_4bit"] = True
    elif kind == "llama-adapter":
        draft.put("adapter", "train.peft_type", "adaption_prompt")
    elif kind is not None:
        draft.leave("adapter", f"{kind}: {shared.OTHER_ADAPTER}")


def _data(draft: Draft, number: int, entry: Mapping[str, Any], alone: bool) -> dict[str, Any]:
    made: dict[str, Any] = {}
    place = f"datasets.{number}"
    for key in ("path", "name", "data_files", "revision", "split"):
        value = entry.get(key)
        if value in (None, ""):
            continue
        if key == "split":
            draft.split(f"{place}.split", made, str(value), alone)
        else:
            made[key] = draft.local(value) if key == "path" and isinstance(value, str) else value
        draft.carried[f"{place}.{key}"] = f"steps.data.{place}.{key}"
    _format(draft, place, entry, made)
    for key, value in entry.items():
        at = f"{place}.{key}"
        if at not in draft.carried and at not in draft.not_carried:
            draft.leave(at, _why(key, value))
    return made


def _format(draft: Draft, place: str, entry: Mapping[str, Any], made: dict[str, Any]) -> None:
    """What a record looks like: told by its keys (`auto`) unless the config calls columns by other names."""
    kind = entry.get("type")
    if isinstance(kind, str) and kind.split(":")[0].split(".")[0] in ("alpaca", "sharegpt"):
        made["format"] = kind.split(":")[0].split(".")[0]
        draft.carried[f"{place}.type"] = f"steps.data.{place}.format"
    elif isinstance(kind, str) and kind.split(".")[0] in (
        "chat_template",
        "chatml",
        "llama3",
        "zephyr",
        "bradley_terry",
        "orpo",
    ):
        draft.carried[f"{place}.type"] = f"steps.data.{place}.format, told by the records' keys (`auto`)"
    columns = {ours: entry[key] for key, ours in _IN_PAIRS.items() if entry.get(key)}
    listed = entry.get("field_messages")
    if columns:
        made["columns"] = ({"prompt": listed} if listed and "prompt" not in columns else {}) | columns
        made["format"] = "preference"
    elif listed and listed not in _LISTS:
        made["columns"] = {"messages": listed}
        made["format"] = "messages"
    for key in ("field_messages", *_IN_PAIRS):
        if entry.get(key):
            known = "known by its name" if "columns" not in made else f"steps.data.{place}.columns"
            draft.carried[f"{place}.{key}"] = known
    spelled = {
        **(entry.get("message_property_mappings") or {}),
        **{k: entry[f"message_field_{k}"] for k in ("role", "content") if entry.get(f"message_field_{k}")},
    }
    if set(spelled) <= {"role", "content"} and set(spelled.values()) <= {"role", "from", "content", "value"}:
        for key in ("message_property_mappings", "message_field_role", "message_field_content"):
            if entry.get(key):
                draft.carried[f"{place}.{key}"] = "known by their names"


def _why(key: str, value: Any) -> str:
    if value in (None, "", [], {}):
        return "empty, so there is nothing to carry"
    if key == "type":
        return "records of this kind are told by their keys, or read by a format of a plugin (docs/extend.md)"
    if key == "ds_type":
        return "told from the file's name"
    if key in ("roles", "message_property_mappings", "message_field_role", "message_field_content"):
        return "the usual names of speakers and texts are known; others need a format of a plugin"
    if key in ("roles_to_train", "train_on_eos", "train_on_eot", "train_on_last_step_only", "message_field_training"):
        return "what the assistant wrote is learned, with its end tokens"
    if key in ("field_thinking", "template_thinking_key"):
        return "write the thoughts into the answer's text"
    if key == "drop_system_message":
        return "write the operator `system_prompt` into a step `curate`"
    if key in ("chat_template", "chat_template_jinja"):
        return shared.TEMPLATE
    if key == "field":
        return "write `columns: {what the format calls it: what the data call it}`"
    return "a data set has no such key"


def adapter(draft: Draft) -> None:
    """Axolotl trains all weights where `adapter` is empty."""
    if draft.given("adapter") is None:
        draft.full_tuning("`adapter` is empty, so all weights are trained and this has no meaning")


def defaults(step: str) -> dict[str, Any]:
    """Axolotl's own, where ours are others."""
    return {
        "optimizer": "adamw_torch_fused",
        "lr_scheduler": "cosine",
        "group_by_length": False,
    }


TOOL = Tool("axolotl", TABLE, method, together, adapter, defaults)
