"""Writing a model folder: safetensors, tokenizer, chat template and lineage, and no trace of where anything lay."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.models.lineage import Lineage

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_PLACES = ("_name_or_path", "name_or_path", "tokenizer_file", "local_files_only", "is_local")


def save_model(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, lineage: Lineage) -> None:
    """Writes a full model as the artifact that `load_policy` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, max_shard_size="4GB")
    save_tokenizer(folder, tokenizer)
    lineage.write(folder)


def save_tokenizer(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Writes the tokenizer's files and the chat template (`chat_template.jinja`)."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    kept = {k: v for k, v in config.items() if k not in _PLACES}
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copies the tokenizer's files from one model folder into another, byte for byte."""
    target.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
