"""Keys of transformers' `TrainingArguments`, which all three tools take over, and sentences that tables share."""

from __future__ import annotations

from typing import Any

from rlhf.recipe.convert.draft import To, yes

PROFILE = "the profile's, not the recipe's: "
REPORTS = f"{PROFILE}`training.report_to: [wandb]`, or tensorboard, mlflow, trackio; a run writes a page of its own too"
LAUNCH = f"{PROFILE}`training.num_processes` and `training.accelerate_config` say how it is spread over devices"
STORE = "results lie in the store by what they are made of; `rlhf show` says where"
SAVING = f"{PROFILE}`training.save_steps`; without it a checkpoint is kept about every half minute"
RESUMING = "`rlhf run` goes on where it stopped, without being told"
MEASURING = "what is measured stands in a step `evaluate`; trainers measure the part `test` of a split data set"
SHOWN = "a run shows how far it is, and keeps its log"
SPEED = "how fast, not what: chosen here by itself"
ATTENTION = f"{PROFILE}`training.attn_implementation`"
MEMORY = f"{PROFILE}`training.gradient_checkpointing`"
HUB = "nothing is uploaded; a step `export` writes a folder with its card"
CACHES = "data are cached by their content"
LOCAL = "the model's own code runs only with `base: {trust_remote_code: true}`"
NOTHING_HELD_OUT = "0: nothing is held out"
VISION = "models of images, audio or video are not trained here"
OTHER_ADAPTER = "this kind of adapter is not trained here; `peft_type` says which are"
SCHEDULE = "the schedules have no further settings here"
FP16 = "float16 is not trained in; write `dtype: bfloat16` where the hardware has it"
TEMPLATE = "the model's own chat template is used; for another one write `base: {chat_template_path: FILE.jinja}`"
NO_EXTRAS = "layers outside the adapter are not trained; new tokens are given to the base before"


def bf16(value: Any) -> str:
    """`true`, `full` and `auto` mean bfloat16 where the hardware has it."""
    if value in (True, "true", "full", "auto"):
        return "bfloat16"
    if value in (False, "false"):
        return "float32"
    raise ValueError("neither true, false, full nor auto")


def fp16(value: Any) -> Any:
    """float16 has no counterpart."""
    if value is False:
        raise ValueError("switched off, as always here")
    raise ValueError(FP16)


def share(value: Any) -> float:
    """A share of all steps is written as a number below 1."""
    ratio = float(value)
    if not 0 <= ratio < 1:
        raise ValueError("a share below 1 is meant")
    return ratio


def strategy(value: Any) -> str:
    """`group_by_length` as transformers 5 calls it."""
    return "group_by_length" if yes(value) else "random"


def positive_steps(value: Any) -> int:
    """`max_steps: 0` and -1 mean that epochs decide."""
    steps = int(value)
    return steps if steps > 0 else -1


NUMBERS: dict[str, To | str] = {
    "learning_rate": To("train.learning_rate", float),
    "num_train_epochs": To("train.num_train_epochs"),
    "max_steps": To("train.max_steps", positive_steps),
    "lr_scheduler_type": To("train.lr_scheduler_type"),
    "warmup_ratio": To("train.warmup_steps", share),
    "warmup_steps": To("train.warmup_steps"),
    "weight_decay": To("train.weight_decay", float),
    "adam_beta1": To("train.adam_beta1"),
    "adam_beta2": To("train.adam_beta2"),
    "adam_epsilon": To("train.adam_epsilon", float),
    "max_grad_norm": To("train.max_grad_norm"),
    "optim": To("train.optim", lambda name: {"adamw_8bit": "adamw_bnb_8bit"}.get(name, name)),
    "train_sampling_strategy": To("train.train_sampling_strategy"),
    "group_by_length": To("train.train_sampling_strategy", strategy),
    "seed": To("seed"),
    "bf16": To("train.dtype", bf16),
    "fp16": To("train.dtype", fp16),
}
"""Those that say how the weights move."""

AROUND: dict[str, To | str] = {
    "output_dir": STORE,
    "overwrite_output_dir": STORE,
    "logging_*": SPEED,
    "save_*": SAVING,
    "eval_*": MEASURING,
    "do_eval": MEASURING,
    "do_predict": MEASURING,
    "do_train": "every step that a recipe names is run",
    "per_device_eval_batch_size": MEASURING,
    "predict_with_generate": MEASURING,
    "evaluation_strategy": MEASURING,
    "load_best_model_at_end": MEASURING,
    "metric_for_best_model": MEASURING,
    "early_stopping*": MEASURING,
    "report_to": REPORTS,
    "run_name": REPORTS,
    "wandb_*": REPORTS,
    "mlflow_*": REPORTS,
    "comet_*": REPORTS,
    "trackio_*": REPORTS,
    "swanlab_*": REPORTS,
    "use_wandb": REPORTS,
    "use_swanlab": REPORTS,
    "use_tensorboard": REPORTS,
    "use_otel_metrics": REPORTS,
    "otel_*": REPORTS,
    "resume_from_checkpoint": RESUMING,
    "gradient_checkpointing*": MEMORY,
    "activation_offloading": MEMORY,
    "attn_implementation": ATTENTION,
    "deepspeed": LAUNCH,
    "fsdp*": LAUNCH,
    "ddp*": LAUNCH,
    "ray_*": LAUNCH,
    "use_ray": LAUNCH,
    "accelerator_config": LAUNCH,
    "local_rank": LAUNCH,
    "tf32": SPEED,
    "dataloader_*": SPEED,
    "dataset_num_proc": SPEED,
    "torch_compile*": SPEED,
    "use_liger_kernel": SPEED,
    "use_cpu": f"{PROFILE}`training.device: cpu`",
    "lr_scheduler_kwargs": SCHEDULE,
    "optim_args": "the optimizer has no such setting here",
    "optim_target_modules": "the optimizer has no such setting here",
    "label_smoothing_factor": "answers are learned as they are",
    "data_seed": "one `seed` draws all",
    "full_determinism": "two runs with one seed give the same, bit by bit, on one machine",
    "activation_checkpointing*": MEMORY,
    "auto_find_batch_size": f"{PROFILE}`training.per_device_train_batch_size`",
    "torch_empty_cache_steps": SPEED,
    "liger_kernel_config": SPEED,
    "use_cache": SPEED,
    "average_tokens_across_devices": SPEED,
    "length_column_name": SPEED,
    "skip_memory_metrics": SPEED,
    "parallelism_config": LAUNCH,
    "bf16_full_eval": MEASURING,
    "fp16_full_eval": MEASURING,
    "prediction_loss_only": MEASURING,
    "include_for_metrics": MEASURING,
    "batch_eval_metrics": MEASURING,
    "greater_is_better": MEASURING,
    "label_names": MEASURING,
    "include_num_input_tokens_seen": SHOWN,
    "log_*": SHOWN,
    "disable_tqdm": SHOWN,
    "debug": SHOWN,
    "project": REPORTS,
    "ignore_data_skip": RESUMING,
    "restore_callback_states_from_checkpoint": RESUMING,
    "enable_jit_checkpoint": SAVING,
    "push_to_hub": HUB,
    "hub_*": HUB,
    "remove_unused_columns": "columns that a format does not read are left out, or kept in `meta` by `columns`",
    "neftune_noise_alpha": "noise on embeddings is not trained with",
}
"""Those that say where, how fast, and what is written down."""
