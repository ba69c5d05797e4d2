"""The settings that all trainers share. Cheap to import: `rlhf check` reads them without torch.

Names are exactly those of TRL 1.16's configs and transformers' `TrainingArguments`, with one exception:
`global_batch_size` is the batch of one optimizer step. How it is cut up (`per_device_train_batch_size`, processes,
accumulation) is the profile's business and changes no result but rounding, so it stands in no recipe.

Where a good value depends on whether an adapter or all weights are trained, the default follows `tune`; it is filled in
before the settings are hashed, so what a key stands for can be read off the settings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from curation.errors import UserError
from curation.settings import UNLESS_DEFAULT, Settings

if TYPE_CHECKING:
    from rlhf.recipe.profile import Training

FEW_STEPS = 50
"""A run with fewer optimizer steps has hardly trained: the settings or the data deserve a second look."""
MICRO_BATCH = 8
"""Rows in memory at once where the profile does not say."""

Scheduler = Literal["linear", "cosine", "constant", "constant_with_warmup", "polynomial", "inverse_sqrt"]
Optimizer = Literal[
    "adamw_torch",
    "adamw_torch_fused",
    "adafactor",
    "sgd",
    "adamw_bnb_8bit",
    "paged_adamw_8bit",
    "paged_adamw_32bit",
]
_LORA_KEYS = (
    "lora_r",
    "lora_alpha",
    "lora_dropout",
    "lora_target_modules",
    "use_rslora",
    "use_dora",
    "init_lora_weights",
)
_PROMPT_KEYS = ("adapter_len", "adapter_layers")
_ADAPTER_KEYS = ("adapter", "peft_type", *_LORA_KEYS, *_PROMPT_KEYS)


def by_tune(lora: float, full: float) -> Callable[[dict[str, Any]], float]:
    """A default that follows `tune`, for a field that stands after it."""
    return lambda data: full if data.get("tune") == "full" else lora


class Tuning(Settings):
    """Which weights are trained, and in which numbers."""

    tune: Literal["lora", "full"] = "lora"
    """`lora` trains a small adapter (LoRA, arXiv 2106.09685) on the frozen parent; `full` trains all weights."""
    adapter: Literal["new", "continue", "merge_first"] = "new"
    """What becomes of the parent's adapters. `new`: they are frozen, merged in memory, and a new adapter is trained on
    top (for DPO the parent is the reference). `continue`: the parent's topmost adapter is trained on, and the result
    replaces it. `merge_first`: like `new`, but the result is saved merged, as a full model that stands on nothing."""
    peft_type: Literal["lora", "adaption_prompt"] = "lora"
    """The adapter. `adaption_prompt` is LLaMA-Adapter (arXiv 2303.16199): a few learned tokens that the upper layers
    look at, through a gate that is closed at first; for models of the types llama and mistral, in `sft`, `orpo` and
    `cpo`."""
    adapter_len: int = Field(10, ge=1)
    """Tokens of an `adaption_prompt` in each layer."""
    adapter_layers: int = Field(30, ge=1)
    """Layers that get an `adaption_prompt`, counted from the top."""
    lora_r: int = Field(16, ge=1)
    """Rank of the adapter: trainable weights grow with it."""
    lora_alpha: int = Field(32, ge=1)
    """The adapter's output is scaled by `lora_alpha / lora_r` (by its root with `use_rslora`)."""
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the adapter's inputs that are dropped while it trains."""
    lora_target_modules: Literal["all-linear"] | list[str] = "all-linear"
    """Names of the layers that get an adapter (`q_proj`, `v_proj` ...), or ends of their whole names (`29.mlp.up_proj`,
    that of the 30th layer alone); `all-linear`: all but the output layer."""
    use_rslora: bool = False
    """Rank-stabilized scaling (arXiv 2312.03732), for high ranks."""
    use_dora: bool = False
    """Weight-decomposed LoRA (arXiv 2402.09353): a little better at low ranks, about a third slower."""
    init_lora_weights: bool | Literal["gaussian", "olora", "pissa", "pissa_niter_16"] = True
    """Where a LoRA adapter begins. `true`: at zero. `pissa` (arXiv 2404.02948; `pissa_niter_16` is quick and near) and
    `olora` (arXiv 2406.01775) begin in the weights' own main directions, which learns faster; what is saved is a plain
    adapter of twice the rank. In `sft`, `orpo` and `cpo`, which compare with no parent."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Numbers of the forward pass. `bfloat16` keeps the frozen weights in bfloat16 and the trained ones in float32,
    under autocast: half the memory, faster where the hardware has it."""
    load_in_4bit: bool = False
    """Keep the frozen base in 4 bits (QLoRA, arXiv 2305.14314). Needs the extra `quant`."""
    load_in_8bit: bool = False
    """Keep the frozen base in 8 bits. Needs the extra `quant`."""
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "nf4"
    """The 4-bit numbers; `nf4` suits weights."""
    use_bnb_nested_quant: bool = False
    """Quantize the constants of the 4-bit blocks too: 0.4 bits a weight less."""

    apart_from_parent: ClassVar[bool] = False
    """Whether a method can do with an adapter that is not the parent when it is switched off."""

    @model_validator(mode="after")
    def _adapters_fit(self) -> Self:
        if self.peft_type != "lora" or self.splits_weights:
            what = self.peft_type if self.peft_type != "lora" else f"init_lora_weights: {self.init_lora_weights}"
            if not self.apart_from_parent:
                raise ValueError(f"`{what}` is for `sft`, `orpo` and `cpo`; this method takes a plain LoRA adapter")
            if self.quantized:
                raise ValueError(f"`{what}` does not go with weights in 4 or 8 bits")
        if self.peft_type != "lora":
            if lora := [key for key in _LORA_KEYS if key in self.model_fields_set]:
                raise ValueError(f"`peft_type: {self.peft_type}` is no LoRA, so `{lora[0]}` has no meaning")
            if self.adapter != "new":
                raise ValueError(f"`peft_type: {self.peft_type}` cannot be merged or continued; use `adapter: new`")
        elif prompt := [key for key in _PROMPT_KEYS if key in self.model_fields_set]:
            raise ValueError(f"`{prompt[0]}` is for `peft_type: adaption_prompt`")
        if self.init_lora_weights is False:
            raise ValueError("`init_lora_weights: false` would change the model before it has learned anything")
        if self.splits_weights and self.use_dora:
            raise ValueError(f"`use_dora` does not go with `init_lora_weights: {self.init_lora_weights}`")
        return self

    @property
    def splits_weights(self) -> bool:
        """Whether a new adapter takes something out of the frozen weights: switched off, it is not the parent."""
        return isinstance(self.init_lora_weights, str) and self.init_lora_weights != "gaussian"

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        written = [key for key in _ADAPTER_KEYS if key in self.model_fields_set]
        if self.tune == "full" and written:
            raise ValueError(
                f"`tune: full` trains all weights, so `{written[0]}` has no meaning; remove one of the two"
            )
        if self.adapter == "continue" and (fixed := [key for key in written if key in (*_LORA_KEYS, *_PROMPT_KEYS)]):
            raise ValueError(f"`adapter: continue` takes the parent's shape, so remove `{fixed[0]}`")
        if self.quantized and self.tune == "full":
            raise ValueError("weights in 4 or 8 bits cannot be trained; use `tune: lora`")
        if self.load_in_4bit and self.load_in_8bit:
            raise ValueError("choose one of `load_in_4bit` and `load_in_8bit`")
        if self.quantized and self.adapter == "merge_first":
            raise ValueError("an adapter cannot be merged into a quantized base; use `adapter: new`")
        return self

    @property
    def quantized(self) -> bool:
        """True when the frozen base is kept in 4 or 8 bits."""
        return self.load_in_4bit or self.load_in_8bit


class Optimizing(Tuning):
    """How the weights move. Steps add `learning_rate`, whose default depends on the method."""

    trains: ClassVar[bool] = True

    global_batch_size: int = Field(16, ge=1)
    """Rows of one optimizer step, over all processes and accumulation. It must divide by the profile's
    `per_device_train_batch_size` times `num_processes`."""
    num_train_epochs: float = Field(1.0, gt=0)
    """Passes over the rows; without meaning when `max_steps` is set."""
    max_steps: int = Field(-1, ge=-1)
    """Optimizer steps; -1: as many as `num_train_epochs` gives."""
    lr_scheduler_type: Scheduler = "linear"
    """How the learning rate falls after the warm-up."""
    warmup_steps: float = Field(0.0, ge=0)
    """Steps in which the learning rate rises from 0; below 1 a share of all steps. The very first step of a warm-up has
    rate 0, so leave it out of very short runs."""
    optim: Optimizer = "adamw_torch"
    """The optimizer, by transformers' names; those with 8bit or paged need the extra `quant`."""
    weight_decay: float = Field(0.0, ge=0)
    adam_beta1: float = Field(0.9, ge=0, lt=1)
    adam_beta2: float = Field(0.999, ge=0, lt=1)
    adam_epsilon: float = Field(1e-8, gt=0)
    max_grad_norm: float = Field(1.0, ge=0)
    """The gradient is scaled down to this length where it is longer; 0: never."""
    train_sampling_strategy: Literal["group_by_length", "random"] = "group_by_length"
    """`group_by_length` fills each batch with rows of about the same length (random order pads 1.4 to 1.5 times more);
    the order of the batches is random in both."""
    seed: int = 42
    """Draws the adapter's first weights, dropout and the order of the batches."""
    held_out_rows: int = Field(128, ge=0)
    """Rows of the `test` part of the data that the result is measured on, at most; 0: none. Data without such a part
    are trained on whole, and nothing is measured."""

    rounds: Annotated[int | None, UNLESS_DEFAULT] = Field(None, ge=1, le=100)
    """Rounds of answers, labels and training: each is what stands between `policy` and this step, and begins with the
    policy that the one before trained. They are steps of their own (`answers_1`, `human_1`, `dpo_1`, `answers_2` ...),
    so a larger number leaves those that are done as they are. None: once. One step of a recipe can have rounds."""

    @model_validator(mode="after")
    def _steps(self) -> Self:
        if self.max_steps == 0:
            raise ValueError("`max_steps: 0` trains nothing; leave it out to go by num_train_epochs")
        return self

    one_process: ClassVar[str] = ""
    """Why a method cannot be trained in several processes; empty: it can."""

    @property
    def mini_batch_size(self) -> int:
        """Rows of one optimizer step."""
        return self.global_batch_size

    def passes(self, rows: int) -> int:
        """How many rows are learned from in one epoch over this many."""
        return rows

    def advice(self) -> list[str]:
        """Warnings that the settings alone justify."""
        if 0 < self.max_steps < FEW_STEPS:
            return [few_steps(self.max_steps)]
        return []


def few_steps(steps: int) -> str:
    """The warning about a run that ends before it has begun."""
    return (
        f"{steps} optimizer steps are very few (under {FEW_STEPS}): "
        "more rows, more num_train_epochs or a smaller global_batch_size give more"
    )


def optimizer_steps(rows: int, settings: Optimizing) -> int:
    """How many optimizer steps a run over this many rows makes; the last batch of an epoch may be smaller."""
    if settings.max_steps > 0:
        return settings.max_steps
    per_epoch = -(-settings.passes(rows) // settings.global_batch_size)
    return math.ceil(settings.num_train_epochs * per_epoch)


def step_advice(rows: int, settings: Optimizing) -> list[str]:
    """The warnings that need the number of rows; for the start of a run, and for a check that reads the data."""
    steps = optimizer_steps(rows, settings)
    return [few_steps(steps)] if settings.max_steps <= 0 and steps < FEW_STEPS else []


def cut_batch(global_batch_size: int, training: Training) -> tuple[int, int]:
    """(rows in memory at once per process, micro-batches per optimizer step).

    Raises:
        UserError: the batch does not divide.
    """
    processes = training.num_processes
    share, rest = divmod(global_batch_size, processes)
    if rest:
        raise UserError(
            f"global_batch_size {global_batch_size} does not divide by num_processes {processes}",
            hint=f"set global_batch_size to a multiple of {processes}, or change training.num_processes in the profile",
        )
    rows = training.per_device_train_batch_size
    if rows is None:
        rows = max(d for d in _divisors(share) if d <= MICRO_BATCH)
    if share % rows:
        fitting = ", ".join(map(str, _divisors(share)))
        by = f"per_device_train_batch_size {rows}" + (f" times num_processes {processes}" if processes > 1 else "")
        raise UserError(
            f"global_batch_size {global_batch_size} does not divide by {by}",
            hint=f"set training.per_device_train_batch_size in the profile to one of {fitting}, or change the batch",
        )
    return rows, share // rows


def fewer_rows(global_batch_size: int, training: Training) -> int | None:
    """At most half as many rows in memory at once as `cut_batch` gives; None where it is one already."""
    rows, parts = cut_batch(global_batch_size, training)
    return max((d for d in _divisors(rows * parts) if d <= rows // 2), default=None)


def _divisors(n: int) -> Sequence[int]:
    return [d for d in range(1, n + 1) if n % d == 0]
