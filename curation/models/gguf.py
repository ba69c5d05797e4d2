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
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from curation.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_UNQUANTIZED = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float32"}


def read_gguf(path: Path, dtype: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model and its tokenizer (with the chat template that the file holds).

    Args:
        dtype: `auto` gives the file's own dtype, and bfloat16 for a quantized file: most such models were made in it.

    Raises:
        UserError: the file is damaged, or transformers cannot read this architecture from GGUF.
    """
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # it advises to keep the weights packed, which cannot be trained
    try:
        with _remembering():
            kept = getattr(torch, _own_dtype(path) if dtype == "auto" else dtype)
            model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=kept)
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


def _own_dtype(path: Path) -> str:
    tensors = gguf.GGUFReader(str(path)).tensors  # as text, which is how transformers asks for it
    kinds = {t.tensor_type.name for t in tensors if t.name.endswith(".weight") and len(t.shape) > 1}
    return _UNQUANTIZED.get(kinds.pop(), "bfloat16") if len(kinds) == 1 else "bfloat16"
