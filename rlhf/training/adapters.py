"""The model that is trained: a parent with its adapters merged in memory, and what is learned on top of it.

A LoRA step never changes its parent. The base and the parent's adapters are added up in float32, then cast, and frozen;
the new adapter lies on top, so with the adapter switched off the model is the parent, which is what DPO's reference
means. What is saved is the new adapter alone, and `lineage.json` says by digest what it stands on.
"""

from __future__ import annotations

import json
import types
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft import AdaptionPromptConfig, LoraConfig, PeftConfig, PeftModel
from peft.tuners.adaption_prompt import AdaptionPromptModel
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from curation.errors import UserError
from curation.models.lineage import Lineage, chain_of
from curation.models.loading import merged, title, trusted, whole_model, with_adapter
from curation.models.numerics import compute_dtype
from curation.models.pointer import check_folder
from curation.models.saving import copy_tokenizer, save_model

if TYPE_CHECKING:
    from rlhf.training.settings import Tuning

_NO_CONTENT = ("auto_mapping", "revision")
_HEADS = ("classifier", "score")


class RewardHead(nn.Linear):
    """The output layer of a reward model, always computed in float32: a reward rounded to 8 bits would make ties."""

    def forward(self, hidden: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            return nn.functional.linear(hidden.float(), self.weight.float())


def load_parent(
    folder: Path, settings: Tuning, where: torch.device, attn_implementation: str = "sdpa"
) -> PreTrainedModel | PeftModel:
    """The model that a step starts from, ready for what the settings say.

    `new` and `merge_first` give the parent with all of its adapters merged; `continue` gives a PEFT model whose topmost
    adapter can be trained on.
    That the model can be used so, `rlhf.training.preflight.misfits` has looked at.
    """
    base, *adapters = chain_of(folder)
    check_folder(base, title(base))
    going_on = settings.adapter == "continue"
    model: Any
    if settings.quantized:
        quantization = _quantization(settings, compute_dtype(settings.dtype, where))
        model = AutoModelForCausalLM.from_pretrained(
            base,
            attn_implementation=attn_implementation,
            quantization_config=quantization,
            use_safetensors=True,
            trust_remote_code=trusted(base),
        )
    else:
        model = whole_model(AutoModelForCausalLM, base, torch.float32, attn_implementation)
        for path in adapters[:-1] if going_on else adapters:
            model = merged(model, path)
        # Weights that are trained stay in float32 whatever the forward pass uses; frozen ones are rounded to `dtype`.
        if settings.tune == "lora" and settings.dtype == "bfloat16":
            model = model.to(torch.bfloat16).to(compute_dtype(settings.dtype, where))
    model.config.use_cache = False
    if settings.tune == "full":
        model.requires_grad_(True)  # what an adapter was merged into came out frozen
    if not going_on:
        return model
    found = with_adapter(model, adapters[-1], is_trainable=True)
    found.peft_config["default"].base_model_name_or_path = str(base)  # else peft asks the Hub for a model of that name
    return found


def need_bitsandbytes(what: str) -> None:
    """Checks that the extra `quant` is there.

    Raises:
        UserError: it is not; `what` begins the sentence.
    """
    if find_spec("bitsandbytes") is None:
        raise UserError(f"{what} the package bitsandbytes", hint="pip install 'rlhf-curation[quant]'")


def _quantization(settings: Tuning, computed_in: torch.dtype) -> BitsAndBytesConfig:
    need_bitsandbytes("weights in 4 or 8 bits need")
    return BitsAndBytesConfig(
        load_in_4bit=settings.load_in_4bit,
        load_in_8bit=settings.load_in_8bit,
        bnb_4bit_quant_type=settings.bnb_4bit_quant_type,
        bnb_4bit_use_double_quant=settings.use_bnb_nested_quant,
        bnb_4bit_compute_dtype=computed_in,
    )


def as_reward_model(policy: PreTrainedModel, pad: int, seed: int) -> PreTrainedModel:
    """A sequence classifier with one output on the policy's layers. Its head is new, drawn by the seed, in float32.

    Args:
        policy: It gives its layers away and is of no use afterwards.
        pad: The reward is read at the last token that is not this one.
    """
    settings = {k: v for k, v in policy.config.to_dict().items() if k not in ("id2label", "label2id")}
    config = policy.config.__class__.from_dict({**settings, "num_labels": 1})
    config.pad_token_id = pad
    config._attn_implementation = policy.config._attn_implementation
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    if not isinstance(getattr(model, "score", None), nn.Linear):
        raise UserError(
            f"a reward model on {config.model_type!r} is not supported",
            hint="its sequence classifier has no `score` layer",
        )
    setattr(model, model.base_model_prefix, policy.base_model)
    head = RewardHead(config.get_text_config().hidden_size, 1, bias=False)
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.normal_(0.0, getattr(config, "initializer_range", 0.02), generator=drawn)
    model.score = head.to(policy.device)
    return model


def lora_config(model: PreTrainedModel, settings: Tuning, task_type: str = "CAUSAL_LM") -> PeftConfig:
    """A new adapter on the frozen model, as the trainers take it. At first it changes no output.

    Raises:
        UserError: the settings name layers that the model does not have.
    """
    if settings.peft_type == "adaption_prompt":
        return _adaption_prompt(model, settings, task_type)
    wanted = settings.lora_target_modules
    whole = [f".{name}" for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    names = {name.rpartition(".")[2] for name in whole}
    if wanted != "all-linear" and (
        unknown := sorted(each for each in wanted if not any(name.endswith(f".{each}") for name in whole))
    ):
        raise UserError(
            f"lora_target_modules names {', '.join(unknown)}, which the model does not have",
            hint="its linear layers are " + ", ".join(sorted(names)),
        )
    if "lm_head" in wanted:
        raise UserError(
            "lora_target_modules names lm_head, whose adapter would not be trained: the loss reads the layer's weight",
            hint="remove it; `all-linear` means all layers but this one",
        )
    return LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=wanted,
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
        init_lora_weights=settings.init_lora_weights,
        task_type=task_type,
        modules_to_save=["score"] if task_type == "SEQ_CLS" else None,
    )


def _adaption_prompt(model: PreTrainedModel, settings: Tuning, task_type: str) -> PeftConfig:
    """PEFT's LLaMA-Adapter. It has one gate a layer, where the original has one a head."""
    kind, layers = model.config.model_type, model.config.get_text_config().num_hidden_layers
    if kind not in ("llama", "mistral"):
        raise UserError(
            f"`peft_type: adaption_prompt` knows models of the types llama and mistral, not {kind}",
            hint="take `peft_type: lora`, or another base",
        )
    if settings.adapter_layers > layers:
        raise UserError(
            f"`adapter_layers` is {settings.adapter_layers}, and the model has {layers} layers",
            hint=f"set it to {layers} or less",
        )
    return AdaptionPromptConfig(
        adapter_len=settings.adapter_len, adapter_layers=settings.adapter_layers, task_type=task_type
    )


def let_through(model: nn.Module) -> None:
    """Lets a LLaMA-Adapter ask the model's forward as it is now; it keeps the one that was there when it was made."""
    inner = getattr(model, "base_model", None)
    if isinstance(inner, AdaptionPromptModel):
        inner.forward = types.MethodType(lambda self, *args, **kwargs: self.model(*args, **kwargs), inner)


def keep_beginning(model: PeftModel, folder: Path) -> None:
    """Writes the adapter as it is before training, which `save_result` takes out of it again."""
    config = model.peft_config["default"]
    how = config.init_lora_weights
    config.init_lora_weights = True
    model.save_pretrained(folder, selected_adapters=["default"], save_embedding_layers=False)
    config.init_lora_weights = how


def trainable_parameters(model: nn.Module) -> int:
    """Number of weights that are trained."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def save_result(
    out: Path,
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    parent: Path,
    settings: Tuning,
    beginning: Path | None = None,
) -> None:
    """Writes the artifact: an adapter, or a full model where all weights were trained or the adapter is merged.

    The tokenizer's files are the parent's, byte for byte; a reward model's names another token to pad with.

    Args:
        beginning: What `keep_beginning` wrote, for an adapter that began in the weights: the difference to it is a
            plain adapter of twice the rank on the parent's own weights.
    """
    if isinstance(model, PeftModel) and settings.adapter != "merge_first":
        lineage = Lineage.read(parent) if settings.adapter == "continue" else Lineage.read(parent).above(parent.name)
        _save_adapter(out, model, lineage, beginning)
        lineage.write(out)
    else:
        whole = model.merge_and_unload() if isinstance(model, PeftModel) else model
        whole.config.use_cache = True
        save_model(out, whole.float(), tokenizer, Lineage(tune="full"))
    copy_tokenizer(parent, out)
    _set_pad(out / "tokenizer_config.json", tokenizer.pad_token)


def _set_pad(path: Path, token: str | None) -> None:
    config = json.loads(path.read_text(encoding="utf-8"))
    if token is not None and config.get("pad_token") != token:
        config["pad_token"] = token
        path.write_text(json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def _save_adapter(out: Path, model: PeftModel, lineage: Lineage, beginning: Path | None) -> None:
    """An adapter folder that holds no path, no time, and nothing in an order that differs between two runs."""
    more = {"path_initial_model_for_weight_conversion": str(beginning)} if beginning else {}
    model.save_pretrained(out, selected_adapters=["default"], save_embedding_layers=False, **more)
    (out / "README.md").unlink(missing_ok=True)
    path = out / "adapter_config.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = lineage.base
    for name in _NO_CONTENT:
        config[name] = None
    for name in ("target_modules", "modules_to_save"):
        if isinstance(config.get(name), list):  # peft keeps a set, and adds names of heads that a model may not have
            config[name] = sorted(n for n in set(config[name]) if n not in _HEADS or hasattr(model.get_base_model(), n))
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
