"""Several policies on one base in memory: switching from one to another moves no weight of the base.

A policy in the store is a base and a stack of adapters, and the policies of a recipe share most of both. Here the base
is loaded once, each adapter when it is first asked for, and a policy is the set of adapters that are switched on: LoRA
adapters add up, so those of a stack beside each other are the stack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from peft import PeftModel

from curation.errors import UserError, did_you_mean
from curation.models.lineage import chain_of
from curation.models.loading import (
    Loaded,
    adapter_config,
    check_adapter,
    generation_config,
    load_policy,
    load_tokenizer,
    title,
    with_adapter,
)
from curation.models.packing import pack
from curation.models.template import ChatTemplate

BASE = "base"
"""What the base alone is called, where no policy of this name is there."""


class Swapping:
    """The policies that stand on one base.

    Args:
        policies: Name -> artifact folder. Those that stand on another base than `first` are left out.
        first: The policy that is on first.
        dtype: As in `load_policy`.

    Raises:
        UserError: `first` cannot be loaded this way, or an adapter is damaged.
    """

    def __init__(self, policies: Mapping[str, Path], first: str, *, dtype: str = "float32") -> None:
        root = chain_of(policies[first])[0]
        here = {name: folder for name, folder in policies.items() if chain_of(folder)[0] == root}
        self.base = next((name for name, folder in here.items() if folder == root), BASE)
        """The name of the base alone."""
        self.folders = {self.base: root, **here}
        """Name -> folder, the base first."""
        self.refused = dict.fromkeys(policies.keys() - here.keys(), "it stands on another base")
        """Name -> why a policy cannot be switched to."""
        one = load_policy(root, dtype=dtype)
        self._peft: PeftModel | None = None
        whole = False
        for name, folder in here.items():
            chain = chain_of(folder)[1:]
            for path in chain:
                check_adapter(path)
            if why := _why_not(chain):
                self.refused[name] = why
                continue
            for path in chain:
                if self._peft is None or path.name not in self._peft.peft_config:
                    self._peft = with_adapter(self._peft or one.model, path, adapter_name=path.name)
                whole = whole or bool(adapter_config(path).get("use_dora"))  # which reads the weights of the base
        self._one = replace(one, model=(self._peft or one.model).eval().requires_grad_(False))
        if not whole:
            pack(self._one.model)
        self.active, self.loaded = self.base, self._one
        self.use(first)

    def use(self, name: str) -> Loaded:
        """The policy of this name, and no other from now on: they share their weights.

        Raises:
            UserError: there is none, or its adapters do not add up beside each other.
        """
        if name in self.refused:
            raise UserError(
                f"{name!r} cannot be switched to: {self.refused[name]}", hint="begin a chat with it by itself"
            )
        if name not in self.folders:
            raise UserError(f"there is no policy {name!r} here", hint=did_you_mean(name, self.folders))
        root, *adapters = chain_of(self.folders[name])
        if self._peft is not None:
            tuner: Any = self._peft.base_model
            if adapters:
                tuner.enable_adapter_layers()
                tuner.set_adapter([path.name for path in adapters], inference_mode=True)
            else:
                tuner.disable_adapter_layers()
        tokenizer = load_tokenizer(self.folders[name])
        template = ChatTemplate(tokenizer, generation_config(root))
        self.active = name
        self.loaded = replace(self._one, tokenizer=tokenizer, template=template, name=title(self.folders[name]))
        return self.loaded

    def stack(self, name: str) -> list[str]:
        """What a policy consists of, the base first and itself last, by the names that are known and else by digest."""
        called = {folder: known for known, folder in self.folders.items()}
        return [called.get(path, title(path)) for path in chain_of(self.folders[name])]


def can_swap(folder: Path) -> bool:
    """Whether a policy can be one of several on a base in memory."""
    return not _why_not(chain_of(folder)[1:])


def _why_not(chain: list[Path]) -> str:
    """Why these adapters are not the stack when they lie beside each other; empty when they are."""
    for path in chain:
        config = adapter_config(path)
        if config.get("peft_type") != "LORA":
            return f"{title(path)} is a {config.get('peft_type')} adapter, which cannot lie beside LoRA adapters"
        if len(chain) > 1 and config.get("use_dora"):
            return f"{title(path)} is a DoRA adapter, which adds up with no other"
        if config.get("modules_to_save") or config.get("trainable_token_indices"):
            return f"{title(path)} brings whole layers or tokens of its own"
    return ""
