"""Bringing a model in from outside: one folder of safetensors with its tokenizer, template and end tokens settled.

A folder's weights are copied as they are, or cast tensor by tensor; no model is built for that. A GGUF file is read by
transformers, once. What the artifact holds then is all that later steps look at.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, GenerationConfig

from curation.errors import UserError, did_you_mean, first_line
from curation.models.lineage import FILE, Lineage
from curation.models.loading import load_tokenizer
from curation.models.pointer import OutsideModel
from curation.models.saving import save_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_CONFIGS = ("config.json", "generation_config.json", "model.safetensors.index.json")
_UNKNOWN_IN_CONFIG = ("_name_or_path", "_model_name_or_path", "transformers_version")


def bring(
    source: OutsideModel,
    out: Path,
    *,
    dtype: str = "auto",
    template: str | None = None,
    eos_token: str | None = None,
    pad_token: str | None = None,
    trust_remote_code: bool = False,
    weights: bool = True,
) -> dict[str, Any]:
    """Writes the artifact of a base model to `out`; returns figures about it.

    Args:
        dtype: What the weights are kept in; `auto`: as they come, bfloat16 for a quantized GGUF.
        template: Text of a chat template that takes the place of the model's own.
        eos_token: The token that ends an answer, where the tokenizer names none or another.
        pad_token: The token to pad with.
        trust_remote_code: Let the folder's own Python code run, and keep it with the model.
        weights: False: config, tokenizer and chat template alone, which is enough to count tokens.

    Raises:
        UserError: the model is damaged or lacks something; the error says what to do.
    """
    written = source.written
    path = source.local(trust_remote_code=trust_remote_code, weights=weights)
    if path.is_file():
        from curation.models.gguf import read_gguf

        model, tokenizer = read_gguf(path, dtype)
        if weights:
            model.save_pretrained(out, max_shard_size="4GB")
        else:
            model.config.save_pretrained(out)
        _clean_config(out / "config.json")
        del model
    else:
        _copy(path, out, written, dtype, trust_remote_code, weights)
        tokenizer = load_tokenizer(path)
    Lineage().write(out)
    if template is not None:
        tokenizer.chat_template = template
    if not tokenizer.chat_template:
        raise UserError(
            f"{written} has no chat template, so nobody knows how a chat is written for it",
            hint="give one: `base: {chat_template_path: chat.jinja}`, or start from a model that was tuned to chat",
        )
    for name, token in (("eos_token", eos_token), ("pad_token", pad_token)):
        if token is not None:
            _check_token(tokenizer, name, token, written)
            setattr(tokenizer, name, token)
    if tokenizer.eos_token is None:
        raise UserError(f"the tokenizer of {written} names no end token", hint="name one: `base: {eos_token: ...}`")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    save_tokenizer(out, tokenizer)
    _settle_ends(out, tokenizer, named=eos_token is not None)
    return _figures(out, tokenizer, written)


def _copy(path: Path, out: Path, written: str, dtype: str, trust_remote_code: bool, weights: bool) -> None:
    for name in _CONFIGS:
        if (path / name).exists():
            shutil.copyfile(path / name, out / name)
    for code in sorted(path.glob("*.py")) if trust_remote_code else []:
        shutil.copyfile(code, out / code.name)
    _clean_config(out / "config.json")
    try:
        config = AutoConfig.from_pretrained(out, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        hint = "a model that brings its own code needs `base: {trust_remote_code: true}`"
        raise UserError(f"the config of {written} cannot be read: {first_line(error)}", hint=hint) from error
    if getattr(config, "quantization_config", None):
        raise UserError(
            f"{written} is quantized ({config.quantization_config.get('quant_method', 'some method')})",
            hint="name the model that it was made from: it can be kept small by `load_in_4bit` in a training step",
        )
    for file in sorted(path.glob("*.safetensors")) if weights else []:
        try:
            if dtype == "auto":
                with safe_open(file, "pt") as f:  # reads the header, which says how long the file must be
                    f.keys()
                shutil.copyfile(file, out / file.name)
            else:
                tensors = {k: _cast(t, getattr(torch, dtype)) for k, t in load_file(file).items()}
                save_file(tensors, out / file.name, metadata={"format": "pt"})
        except SafetensorError as error:
            raise UserError(
                f"{file.name} of {written} is damaged: {first_line(error)}", hint="was it copied whole?"
            ) from error
    if dtype != "auto":
        _edit(out / "config.json", dtype=dtype, torch_dtype=None)


def _cast(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _check_token(tokenizer: PreTrainedTokenizerBase, name: str, token: str, written: str) -> None:
    vocabulary = tokenizer.get_vocab()
    if token not in vocabulary:
        special = {str(t) for t in tokenizer.all_special_tokens} | {str(t) for t in tokenizer.get_added_vocab()}
        raise UserError(
            f"`{name}` {token!r} is not in the vocabulary of {written}",
            hint=did_you_mean(token, special) or "a new token would have no meaning; name one that the model knows",
        )


def _settle_ends(out: Path, tokenizer: PreTrainedTokenizerBase, *, named: bool) -> None:
    """Generation must stop at the tokenizer's end token, and at those that the model's makers named besides."""
    path = out / "generation_config.json"
    known = GenerationConfig.from_pretrained(out).to_diff_dict() if path.exists() else {}
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    more = known.get("eos_token_id", config.get("eos_token_id"))
    ends = [] if more is None or named else [more] if isinstance(more, int) else list(more)
    if tokenizer.eos_token_id not in ends:
        ends.insert(0, tokenizer.eos_token_id)
    known.pop("transformers_version", None)
    known.update(eos_token_id=ends[0] if len(ends) == 1 else ends, pad_token_id=tokenizer.pad_token_id)
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    _edit(out / "config.json", eos_token_id=known["eos_token_id"], pad_token_id=tokenizer.pad_token_id)


def _clean_config(path: Path) -> None:
    """Leaves out of a config what says where or by what it was written."""
    _edit(path, **dict.fromkeys(_UNKNOWN_IN_CONFIG))


def _edit(path: Path, **changes: Any) -> None:
    """Sets keys of a JSON file; None takes a key out."""
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    config.update(changes)
    kept = {k: v for k, v in config.items() if v is not None or k not in changes}
    path.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _figures(out: Path, tokenizer: PreTrainedTokenizerBase, written: str) -> dict[str, Any]:
    """Parameters, vocabulary and context, from the files' headers.

    Raises:
        UserError: the tokenizer has tokens that the model has no embedding for.
    """
    parameters, dtypes, rows = 0, set(), None
    for weights in sorted(out.glob("*.safetensors")):
        with safe_open(weights, "pt") as f:
            for name in f.keys():  # noqa: SIM118  # no mapping, it only looks like one
                found = f.get_slice(name)
                shape = found.get_shape()
                parameters += int(torch.Size(shape).numel())
                dtypes.add(str(found.get_dtype()))
                if name.endswith(("embed_tokens.weight", "wte.weight", "embed_in.weight")):
                    rows = shape[0]
    if rows is not None and len(tokenizer) > rows:
        raise UserError(
            f"the tokenizer of {written} has {len(tokenizer)} tokens, the model embeddings for {rows}",
            hint="are the two from the same model?",
        )
    config = AutoConfig.from_pretrained(out, trust_remote_code=(out / FILE).exists() and any(out.glob("*.py")))
    text = config.get_text_config()
    return {
        "parameters": parameters,
        "dtype": ", ".join(sorted(dtypes)),
        "vocabulary": len(tokenizer),
        "context": getattr(text, "max_position_embeddings", None),
        "architecture": config.model_type,
    }
