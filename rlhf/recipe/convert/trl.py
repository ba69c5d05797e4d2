"""TRL: the YAML that `trl sft --config FILE` reads. Training keys have the same names here, so the table is short.

The file does not say the method, which is the verb of its command line; `--method` says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curation.errors import RecipeError
from rlhf.recipe.convert import shared
from rlhf.recipe.convert.draft import Draft, To, Tool

METHODS = ("sft", "dpo", "kto", "reward", "grpo", "rloo", "orpo", "cpo")

_SAME = """
max_length packing assistant_only_loss loss_type loss_weights beta label_smoothing f_divergence_type
f_alpha_divergence_coef ld_alpha use_weighting discopop_tau precompute_ref_log_probs disable_dropout desirable_weight
undesirable_weight center_rewards_coefficient cpo_alpha simpo_gamma alpha num_generations generation_batch_size
num_iterations epsilon epsilon_high mask_truncated_completions max_completion_length temperature top_p top_k
scale_rewards importance_sampling_level use_bias_correction_kl normalize_advantages reward_clip_range reward_weights
lora_r lora_alpha lora_dropout use_rslora use_dora load_in_4bit load_in_8bit bnb_4bit_quant_type use_bnb_nested_quant
""".split()
_TEXT = "rows are chats that the model's template writes out; a format reads them from the data's columns"
_ORDER = "the order of rows is drawn by the seed"
_CUT = "what lies beyond `max_length` is cut at the end"
_VLLM = "the profile's, not the recipe's: `generation.backend`"
_DRAWN = "answers are drawn by `temperature`, `top_p` and `top_k`"
_NO_KEY = "the step has no such key"
_SAMPLES = "a run's page shows samples of answers"
_REWARD = "Python functions stay where they are; write `rewards:` with scorers, or a plugin's"

TABLE: dict[str, To | str] = {
    **shared.AROUND,
    **shared.NUMBERS,
    **{name: To(f"train.{name}") for name in _SAME},
    "model_name_or_path": To("base.model_name_or_path"),
    "dtype": To("base.dtype"),
    "model_revision": To("base.model_revision"),
    "trust_remote_code": To("base.trust_remote_code"),
    "chat_template_path": To("base.chat_template_path"),
    "eos_token": To("base.eos_token"),
    "pad_token": To("base.pad_token"),
    "lora_target_modules": To("train.lora_target_modules", lambda v: v if v != ["all-linear"] else "all-linear"),
    "lora_target_parameters": "adapters are put on layers, named by `lora_target_modules`",
    "lora_modules_to_save": shared.NO_EXTRAS,
    "lora_task_type": "the step knows its task",
    "dataset_test_split": shared.MEASURING,
    "test_split_size": shared.NOTHING_HELD_OUT,
    "dataset_streaming": shared.SPEED,
    "streaming": shared.SPEED,
    "dataset_text_field": _TEXT,
    "dataset_kwargs": _TEXT,
    "model_init_kwargs": shared.LOCAL,
    "router_aux_loss_coef": "experts are balanced as the model's own config says",
    "truncation_mode": _CUT,
    "shuffle_dataset": _ORDER,
    "packing_strategy": "packed rows are kept apart for attention, whichever way they were filled",
    "padding_free": shared.SPEED,
    "pad_to_multiple_of": shared.SPEED,
    "eval_packing": shared.MEASURING,
    "completion_only_loss": "what the assistant wrote is learned; `assistant_only_loss: false` learns all of it",
    "precompute_ref_batch_size": shared.SPEED,
    "sync_ref_model": "the reference stays the policy that training began with",
    "ref_model_*": "the reference stays the policy that training began with",
    "reward_funcs": _REWARD,
    "reward_model_name_or_path": "write `rewards: [{reward_model: {reward: STEP}}]` with a step that makes it",
    "use_vllm": _VLLM,
    "vllm_*": _VLLM,
    "ignore_bias_buffers": shared.SPEED,
    "bnb_4bit_quant_storage": shared.SPEED,
    "cast_lm_head_to_fp32": shared.SPEED,
    "num_generations_eval": shared.MEASURING,
    "generate_during_eval": shared.MEASURING,
    "steps_per_generation": "`generation_batch_size` says how many answers are written at once",
    "ds3_gather_for_generation": shared.LAUNCH,
    "use_transformers_*": shared.SPEED,
    "transformers_*": shared.SPEED,
    "cache_implementation": shared.SPEED,
    "min_p": _DRAWN,
    "repetition_penalty": _DRAWN,
    "generation_kwargs": _DRAWN,
    "chat_template_kwargs": shared.TEMPLATE,
    "delta": _NO_KEY,
    "sapo_*": _NO_KEY,
    "vespo_*": _NO_KEY,
    "entropy_*": _NO_KEY,
    "top_entropy_quantile": _NO_KEY,
    "use_adaptive_entropy": _NO_KEY,
    "off_policy_mask_threshold": _NO_KEY,
    "multi_objective_aggregation": "rewards are added up, by `reward_weights`",
    "max_tool_calling_iterations": "tools are not called while answers are written",
    "log_multimodal": shared.VISION,
    "log_unique_prompts": _SAMPLES,
    "log_completions*": _SAMPLES,
    "num_completions_to_print": _SAMPLES,
    "is_encoder_decoder": "models that only decode are trained",
    "padding_value": "the tokenizer's; `base: {pad_token: ...}` says another",
}


def method(config: Mapping[str, Any]) -> str:
    """TRL's file does not say it."""
    raise RecipeError("the file does not say which method it is for", hint=f"add --method: {', '.join(METHODS)}")


def together(draft: Draft) -> None:
    """Batch, data sets, and whether there is an adapter."""
    draft.batch("per_device_train_batch_size", "gradient_accumulation_steps", 8)
    _data(draft)
    draft.held_out("test_split_size")
    if "use_peft" in draft.config:
        draft.carried["use_peft"] = draft.full("train.tune")


def _data(draft: Draft) -> None:
    entries = draft.given("datasets")
    if isinstance(entries, list) and all(isinstance(entry, Mapping) for entry in entries):
        for number, entry in enumerate(entries):
            made: dict[str, Any] = {}
            for key, value in entry.items():
                place = f"datasets.{number}.{key}"
                if key == "split" and isinstance(value, str):
                    draft.split(place, made, value, len(entries) == 1)
                elif key in ("path", "name", "data_dir", "data_files", "columns", "fraction", "revision"):
                    if value is not None:
                        made[key] = draft.local(value) if key == "path" and isinstance(value, str) else value
                else:
                    draft.leave(place, "a data set has no such key")
                    continue
                draft.carried[place] = f"steps.data.{place}"
            draft.datasets.append(made)
    elif isinstance(name := draft.given("dataset_name"), str):
        made = {"path": draft.local(name)}
        draft.carried["dataset_name"] = "steps.data.datasets.0.path"
        if config := draft.given("dataset_config"):
            made["name"] = config
            draft.carried["dataset_config"] = "steps.data.datasets.0.name"
        if split := draft.given("dataset_train_split"):
            draft.split("dataset_train_split", made, str(split), True)
            draft.carried["dataset_train_split"] = "steps.data.datasets.0.split"
        draft.datasets.append(made)


def adapter(draft: Draft) -> None:
    """TRL trains all weights where `use_peft` is not switched on."""
    if draft.given("use_peft") is not True:
        draft.full_tuning("`use_peft` is off, so all weights are trained and this has no meaning")
    elif draft.given("lora_target_modules") is None:
        draft.leave(
            "lora_target_modules (not written)",
            "peft's choice for the model, often q_proj and v_proj; here all linear layers: list them to keep that",
        )
    if draft.method == "sft" and draft.given("assistant_only_loss") is None:
        draft.leave(
            "assistant_only_loss (not written)",
            "TRL learns all of a chat (of prompt and completion the completion); here what the assistant wrote: write "
            "`assistant_only_loss: false` to keep that",
        )


def defaults(step: str) -> dict[str, Any]:
    """TRL's own, where ours are others."""
    rates = {"sft": 2e-5, "reward": 1e-4, "orpo": 1e-6, "cpo": 1e-6}
    return {
        **({"num_generations": 2} if step == "rloo" else {}),
        "learning_rate": rates.get(step, 1e-6),
        "num_train_epochs": 3.0,
        "lora_dropout": 0.05,
        "bf16": True,
        "train_sampling_strategy": "random",
    }


TOOL = Tool("trl", TABLE, method, together, adapter, defaults)
