"""Adapters as they are: each in a folder that PEFT reads, numbered bottom up, with the base named for people.

In the store an adapter names its base by digest, because a place would not be content. A release is for people, who
need the name: `adapter_config.json` gets it here.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from curation.models.lineage import chain_of

_KEPT = ("adapter_config.json", "adapter_model.safetensors")


def copy_adapters(policy: Path, out: Path, base_name: str) -> list[str]:
    """Copies the policy's adapters; returns the folder names, bottom up. A full model has none."""
    chain = chain_of(policy)[1:]
    names = ["adapter"] if len(chain) == 1 else [f"adapter-{i}" for i in range(1, len(chain) + 1)]
    for name, source in zip(names, chain, strict=True):
        target = out / name
        target.mkdir(parents=True)
        for file in _KEPT:
            shutil.copyfile(source / file, target / file)
        config = json.loads((target / "adapter_config.json").read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = base_name
        text = json.dumps(config, indent=2, sort_keys=True)
        (target / "adapter_config.json").write_text(text + "\n", encoding="utf-8")
    return names
