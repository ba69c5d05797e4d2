"""Language models as curation needs them: point at one, load it, let it answer, score text with it.

What is imported at the top here costs nothing; every other name brings in torch when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from curation.models.lineage import Lineage, chain_of, parents
from curation.models.pointer import NamesModel, OutsideModel, bind_model
from curation.models.settings import DType, Sampling

if TYPE_CHECKING:
    from curation.models.features import answer_features, features_of
    from curation.models.generation import Completion, Request, ask, generate, prompt_key
    from curation.models.journal import Journal
    from curation.models.loading import Loaded, load_model, load_policy, load_tokenizer
    from curation.models.numerics import (
        compute_dtype,
        device,
        has_bfloat16,
        numerics_class,
        release,
        set_threads,
        use_device,
    )
    from curation.models.packing import pack
    from curation.models.rewards import LoadedReward, chat_ids, load_reward, rewards_of
    from curation.models.saving import save_model, save_tokenizer
    from curation.models.scoring import Scored, answer_ids, log_probs
    from curation.models.swapping import Swapping, can_swap
    from curation.models.talking import Talk
    from curation.models.template import ChatTemplate, Refused

_LATE = {
    "ChatTemplate": "template",
    "Completion": "generation",
    "Journal": "journal",
    "Loaded": "loading",
    "LoadedReward": "rewards",
    "Refused": "template",
    "Request": "generation",
    "Scored": "scoring",
    "Swapping": "swapping",
    "Talk": "talking",
    "answer_features": "features",
    "answer_ids": "scoring",
    "ask": "generation",
    "can_swap": "swapping",
    "chat_ids": "rewards",
    "compute_dtype": "numerics",
    "device": "numerics",
    "features_of": "features",
    "generate": "generation",
    "has_bfloat16": "numerics",
    "load_model": "loading",
    "load_policy": "loading",
    "load_reward": "rewards",
    "load_tokenizer": "loading",
    "log_probs": "scoring",
    "numerics_class": "numerics",
    "pack": "packing",
    "prompt_key": "generation",
    "release": "numerics",
    "rewards_of": "rewards",
    "save_model": "saving",
    "save_tokenizer": "saving",
    "set_threads": "numerics",
    "use_device": "numerics",
}

__all__ = [
    "ChatTemplate",
    "Completion",
    "DType",
    "Journal",
    "Lineage",
    "Loaded",
    "LoadedReward",
    "NamesModel",
    "OutsideModel",
    "Refused",
    "Request",
    "Sampling",
    "Scored",
    "Swapping",
    "Talk",
    "answer_features",
    "answer_ids",
    "ask",
    "bind_model",
    "can_swap",
    "chain_of",
    "chat_ids",
    "compute_dtype",
    "device",
    "features_of",
    "generate",
    "has_bfloat16",
    "load_model",
    "load_policy",
    "load_reward",
    "load_tokenizer",
    "log_probs",
    "numerics_class",
    "pack",
    "parents",
    "prompt_key",
    "release",
    "rewards_of",
    "save_model",
    "save_tokenizer",
    "set_threads",
    "use_device",
]


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'curation.models' has no attribute {name!r}")
    return getattr(importlib.import_module(f"curation.models.{_LATE[name]}"), name)
