"""From a folder to a model that answers: full weights, or a base with its stack of adapters.

The adapters that a model stands on are added to the base in float32 and then cast, so that a merge loses no more than
the dtype does. The topmost adapter is merged too where speed counts (sampling), or lies on top where it must be told
apart.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging

from curation.artifact import Ref
from curation.errors import UserError, first_line
from curation.models.lineage import FILE, chain_of
from curation.models.numerics import compute_dtype, device
from curation.models.pointer import OutsideModel, check_folder
from curation.models.template import ChatTemplate

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_PLAIN = "{% for message in messages %}{{ message.content }}{% endfor %}"
_LINE = 300
"""Characters of another library's error; PEFT names every weight that it misses."""
_SHORT = 12
"""Digits of a digest that people see."""


@dataclass(frozen=True)
class Loaded:
    """A model in memory, in eval mode, with what is needed to talk to it."""

    model: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase
    template: ChatTemplate
    device: torch.device
    dtype: str
    """As the recipe named it; what is computed in may differ (`curation.models.numerics`)."""
    name: str
    """The artifact's digest, short; for a model from outside what the user wrote."""

    @property
    def context(self) -> int:
        """Tokens that it can look at: prompt and answer together."""
        config = self.model.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or 2**31 - 1)


def load_policy(
    folder: Path,
    *,
    dtype: str = "float32",
    where: torch.device | None = None,
    merge: bool = False,
    attn_implementation: str = "sdpa",
    chats: bool = True,
) -> Loaded:
    """A causal language model from its artifact (or from any folder with a full model).

    Args:
        dtype: `float32`, `bfloat16`, `float16`, or `auto` for the one that the base was saved in.
        where: Default: the device of `use_device`.
        merge: Add the topmost adapter to the weights too, if it is a sum. Generation is a quarter faster; nothing can
            be trained.
        chats: False: a model without a chat template will do, because it is shown plain text.

    Raises:
        UserError: the folder holds no such model, it is damaged, or a parent is gone.
    """
    where = where or device()
    base, *adapters = chain_of(folder)
    check_folder(base, title(base))
    for path in adapters:
        check_adapter(path)
    if dtype == "auto":
        dtype = str(model_config(base).get("dtype") or model_config(base).get("torch_dtype") or "float32")
    on_top = bool(adapters) and (not merge or not is_sum(adapters[-1]))
    to_merge = adapters[:-1] if on_top else adapters
    model: Any = whole_model(
        AutoModelForCausalLM, base, torch.float32 if to_merge else compute_dtype(dtype, where), attn_implementation
    )
    for path in to_merge:
        model = merged(model, path)
    model = model.to(device=where, dtype=compute_dtype(dtype, where))
    if on_top:
        model = with_adapter(model, adapters[-1])
    tokenizer = load_tokenizer(folder)
    if not chats and not tokenizer.chat_template:
        tokenizer.chat_template = _PLAIN
    template = ChatTemplate(tokenizer, generation_config(base))
    return Loaded(model.eval().requires_grad_(False), tokenizer, template, where, dtype, title(folder))


def load_model(source: Ref[Any] | OutsideModel, **how: Any) -> Loaded:
    """`load_policy` for a bound pointer: what a step made, or a model from outside (a GGUF file too)."""
    if isinstance(source, Ref):
        return load_policy(source.folder, **how)
    path = source.local()
    if path.is_dir():
        return load_policy(path, **how)
    from curation.models.gguf import read_gguf

    where = how.get("where") or device()
    dtype = how.get("dtype", "float32")
    model, tokenizer = read_gguf(path, dtype)
    if not how.get("chats", True) and not tokenizer.chat_template:
        tokenizer.chat_template = _PLAIN
    if dtype == "auto":
        dtype = str(model.dtype).removeprefix("torch.")
    tokenizer.padding_side = "left"
    template = ChatTemplate(tokenizer, model.generation_config)
    whole: Any = model.to(device=where, dtype=compute_dtype(dtype, where))
    return Loaded(whole.eval().requires_grad_(False), tokenizer, template, where, dtype, str(source))


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder, set to pad on the left, as generation needs."""
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=trusted(folder), padding_side="left"
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"the tokenizer of {title(folder)} cannot be read: {first_line(error)}",
            hint="is the folder whole? A fast tokenizer is one file, tokenizer.json, as `save_pretrained` writes it",
        ) from error
    return tokenizer


def generation_config(folder: Path) -> GenerationConfig | None:
    """The generation settings of a full model; they may name more end tokens than the tokenizer does."""
    return GenerationConfig.from_pretrained(folder) if (folder / "generation_config.json").exists() else None


def is_sum(folder: Path) -> bool:
    """Whether an adapter adds something to the weights, so that it can be merged; a LLaMA-Adapter does not."""
    config = adapter_config(folder)
    return bool(config.get("peft_type") != "ADAPTION_PROMPT")


def with_adapter(model: PreTrainedModel | PeftModel, folder: Path, **how: Any) -> PeftModel:
    """The model with the adapter of this folder on top, or beside those that it has.

    Raises:
        UserError: the adapter was made for another model.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Found missing adapter keys")  # peft would draw them at random
            if isinstance(model, PeftModel):
                model.load_adapter(str(folder), **how)
                return model
            return PeftModel.from_pretrained(model, folder, **how)
    except (RuntimeError, ValueError, KeyError, UserWarning) as error:
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
            raise
        raise UserError(
            f"the adapter {title(folder)} does not fit the {model.config.model_type} model that it is put on: "
            f"{first_line(error)[:_LINE]}",
            hint="an adapter goes with the base that it was trained on; `lineage.json` beside it names it by digest",
        ) from error


def merged(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """The model with the adapter of this folder added to its weights.

    Raises:
        UserError: the adapter is of a kind that is no sum.
    """
    kind = adapter_config(folder).get("peft_type")
    wrapped: Any = with_adapter(model, folder)
    if not hasattr(wrapped, "merge_and_unload") or not hasattr(wrapped.base_model, "merge_and_unload"):
        raise UserError(
            f"{title(folder)} is a {kind} adapter, which cannot be added to the weights",
            hint="use it as it is, on top; only LoRA adapters (`peft_type: lora`) can be merged or built upon",
        )
    whole: PreTrainedModel = wrapped.merge_and_unload()
    if hasattr(whole, "peft_config"):
        del whole.peft_config
    return whole


def trusted(folder: Path) -> bool:
    """Whether a folder's own code may run: only in an artifact, where a step put it with `trust_remote_code: true`."""
    return (folder / FILE).exists() and any(folder.glob("*.py"))


def whole_model(auto: Any, folder: Path, dtype: torch.dtype, attn_implementation: str = "sdpa") -> Any:
    """A full model by one of transformers' Auto classes, from safetensors only.

    Raises:
        UserError: it cannot be read, or weights are missing, which transformers would draw at random.
    """
    logging.disable_progress_bar()
    try:
        model, info = auto.from_pretrained(
            folder,
            dtype=dtype,
            attn_implementation=attn_implementation,
            use_safetensors=True,
            trust_remote_code=trusted(folder),
            output_loading_info=True,
        )
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        hint = "is the folder whole, and of this model? One that brings its own code needs `trust_remote_code: true`"
        raise UserError(f"the model {title(folder)} cannot be loaded: {first_line(error)}", hint=hint) from error
    if missing := sorted(info["missing_keys"]):
        raise UserError(
            f"the model {title(folder)} lacks {len(missing)} of its weights, the first is {missing[0]}",
            hint="is the folder whole, and of the kind that is asked for (policy, reward model)?",
        )
    return model


def check_adapter(folder: Path) -> None:
    """Checks that a folder holds the adapter of a policy.

    Raises:
        UserError: it cannot be read, or is a reward model's.
    """
    try:
        config = adapter_config(folder)
    except (OSError, ValueError) as error:
        raise UserError(
            f"the adapter {title(folder)} cannot be read: {first_line(error)}",
            hint="run the step that made it again with --redo; one from outside needs its adapter_config.json",
        ) from error
    if config.get("task_type") == "SEQ_CLS":
        raise UserError(
            f"{title(folder)} is a reward model; a policy is needed here", hint="name the step that made a policy"
        )


def model_config(folder: Path) -> dict[str, Any]:
    """What a full model's folder says of it, as it stands there."""
    return _settings(folder / "config.json")


def adapter_config(folder: Path) -> dict[str, Any]:
    """What an adapter's folder says of it, as it stands there."""
    return _settings(folder / "adapter_config.json")


def _settings(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def title(folder: Path) -> str:
    """What people call a model: the digest of an artifact, short, or the place of a folder from outside."""
    return folder.name[:_SHORT] if (folder / FILE).exists() else str(folder)
