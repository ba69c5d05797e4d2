"""Reading a GGUF file (llama.cpp's format) as a transformers model with plain weights.

transformers does the work. Left alone it parses the file's metadata three times and builds the map of tensor names once
a module, which is half of its 25 seconds for a model of 135M weights; both are remembered here for as long as one file
is read. What comes out is marked as dequantized, so that it can be saved and trained like any other model.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from curation.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_UNQUANTIZED = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float32"}


def read_gguf(path: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model and its tokenizer (with the chat template that the file holds).

    Raises:
        UserError: the file is damaged, or transformers cannot read this architecture from GGUF.
    """
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # it advises to keep the weights packed, which cannot be trained
    try:
        with _remembering():
            model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=dtype)
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    except (ValueError, NotImplementedError, KeyError, IndexError, OSError) as error:
        hint = "is the file whole? Otherwise name the original model instead of its GGUF"
        raise UserError(f"{path.name} cannot be read: {str(error).splitlines()[0]}", hint=hint) from error
    finally:
        logging.set_verbosity(verbosity)
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model, tokenizer


@contextmanager
def _remembering() -> Iterator[None]:
    slow: dict[str, Any] = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
    for name, function in slow.items():
        setattr(gguf, name, functools.cache(function))
    try:
        yield
    finally:
        for name, function in slow.items():
            setattr(gguf, name, function)


def saved_dtype(path: Path) -> str:
    """The dtype that fits the file: its own when it is not quantized, else bfloat16, which its weights came from."""
    try:
        reader = gguf.GGUFReader(path)
    except (ValueError, IndexError) as error:
        raise UserError(f"{path.name} cannot be read: {error}", hint="is the file whole?") from error
    kinds = {t.tensor_type.name for t in reader.tensors if t.name.endswith(".weight") and len(t.shape) > 1}
    return _UNQUANTIZED.get(kinds.pop(), "bfloat16") if len(kinds) == 1 else "bfloat16"
