"""The table of every key, `docs/keys.md`: recipe or profile, default, whose name it is, and what it means.

Written from the settings classes: `python -m rlhf.recipe.keys > docs/keys.md`; a test says when that is due. Whose name
a key is, is read from the source of the installed TRL, transformers and peft without importing them.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from curation.artifact import Ref
from curation.operator import Filter, Mapper, Operator, Scorer, Selector, Settings
from curation.registry import FORMATS, OPERATORS, STEPS, builtin_names, lookup
from rlhf.recipe.fields import described, names, of_field
from rlhf.recipe.load import Top
from rlhf.recipe.profile import Profile
from rlhf.recipe.step import Step

_HOMES = (
    ("transformers", "training_args.py", "TrainingArguments"),
    ("transformers", "models/llama/configuration_llama.py", "LlamaConfig"),
    ("TRL", "trainer/sft_config.py", "SFTConfig"),
    ("TRL", "trainer/dpo_config.py", "DPOConfig"),
    ("TRL", "trainer/reward_config.py", "RewardConfig"),
    ("TRL", "trainer/kto_config.py", "KTOConfig"),
    ("TRL", "experimental/orpo/orpo_config.py", "ORPOConfig"),
    ("TRL", "experimental/cpo/cpo_config.py", "CPOConfig"),
    ("TRL", "trainer/grpo_config.py", "GRPOConfig"),
    ("TRL", "trainer/rloo_config.py", "RLOOConfig"),
    ("TRL", "trainer/distillation_config.py", "DistillationConfig"),
    ("TRL", "trainer/model_config.py", "ModelConfig"),
    ("TRL", "scripts/utils.py", "DatasetConfig"),
    ("peft", "tuners/lora/config.py", "LoraConfig"),
    ("peft", "tuners/adaption_prompt/config.py", "AdaptionPromptConfig"),
    ("peft", "config.py", "PeftConfig"),
)
"""Who may have named a key: (library, file, class), the first one wins."""
_FORMER = {
    "TRL": (
        "num_mini_batches",
        "num_ppo_epochs",
        "whiten_rewards",
        "kl_coef",
        "kl_estimator",
        "cliprange",
        "cliprange_value",
        "vf_coef",
        "gamma",
        "lam",
        "missing_eos_penalty",
    )
}
"""Names of classes that are gone: of the PPOConfig in TRL 1.12."""
_NOT_A_NAME = {"step", "policy", "data", "prompts", "format", "seed"}
"""Words that are too common to be anybody's."""

_HEAD = """\
# Every key

A **recipe** says what is done, a **profile** says where and how fast. Only the recipe reaches a cache key, so a profile
can change from machine to machine without anything running again. This page is written from the code by
`python -m rlhf.recipe.keys > docs/keys.md`.

*Named by* says whose name a key is: training keys are exactly those of TRL and transformers, so what you know from
there holds here. There is one exception: `global_batch_size` is the batch of one optimizer step. How it is cut up for
the memory at hand, `per_device_train_batch_size`, belongs to the profile, and accumulation is derived from the two.

A key without a default must be written."""


def page() -> str:
    """The whole document."""
    homes = _homes()
    steps = {name: lookup(STEPS, name) for name in builtin_names(STEPS)}
    parts = [_HEAD, "## Recipe: the top", _table(names(described(Top)), homes)]
    parts += ["## Recipe: `base:`", about(steps["base"]), _table(_own(steps["base"], ("step",)), homes)]
    shared: dict[type[BaseModel], list[str]] = {}
    nested: dict[type[BaseModel], None] = {}
    for name, cls in steps.items():
        if name == "base":
            continue
        own = {k: f for k, f in names(described(cls)).items() if _home(cls, k) is cls and k != "step"}
        for key in names(cls):
            if (home := _home(cls, key)) not in (cls, Step):
                shared.setdefault(home, []).append(name)
        nested |= dict.fromkeys(_nested(cls))
        also = [h.__name__ for h, users in shared.items() if name in users]
        more = f"\n\nTakes the keys of {_links(also)} too." if also else ""
        parts += [f"## Recipe: step `{name}`", about(cls) + more, _table(own, homes)]
    for home, users in shared.items():
        by = ", ".join(f"`{name}`" for name in dict.fromkeys(users))
        own = {k: f for k, f in names(described(home)).items() if _home(home, k) is home}
        parts += [f"## Recipe: {home.__name__.lower()}", f"{about(home)} For the steps {by}.", _table(own, homes)]
    for cls in nested:
        parts += [f"## Recipe: {cls.__name__.lower()}", about(cls), _table(names(described(cls)), homes)]
    parts += list(_plugins())
    parts += list(_profile(homes))
    return "\n\n".join(part for part in parts if part) + "\n"


def _links(classes: list[str]) -> str:
    return " and ".join(f"[{name.lower()}](#recipe-{name.lower()})" for name in classes)


def _plugins() -> Iterator[str]:
    """Operators, then formats; their keys are all our own."""
    yield "## Recipe: operators"
    yield (
        "Written in a list: a bare name means the defaults, `{name: {settings}}` anything else. "
        "Each operator takes `on`, and each scorer `as`."
    )
    yield _table({"on": names(described(Operator))["on"], "as": names(described(Scorer))["as"]}, {})
    for name in builtin_names(OPERATORS):
        cls = lookup(OPERATORS, name)
        kind = next(k.__name__.lower() for k in (Mapper, Filter, Selector, Scorer) if issubclass(cls, k))
        yield f"### `{name}`, a {kind}"
        yield about(cls)
        yield _table(_own(cls, ("op", "on", "as")), {})
    yield "## Recipe: formats"
    yield "The `format` of a data set; written like operators."
    for name in builtin_names(FORMATS):
        cls = lookup(FORMATS, name)
        yield f"### Format `{name}`"
        yield about(cls)
        yield _table(_own(cls, ("op",)), {})


def _profile(homes: dict[str, str]) -> Iterator[str]:
    yield "## Profile"
    yield about(Profile)
    yield _table({k: f for k, f in names(described(Profile)).items() if not _nested_in(f)}, homes)
    for key, field in names(Profile).items():
        for cls in _nested_in(field):
            title = f"{key}.NAME" if get_origin(field.annotation) is dict else key
            yield f"### Profile: `{title}`"
            yield " ".join(filter(None, (about(cls), _sentence(field.description))))
            yield _table(names(described(cls)), homes)


def _own(cls: type[BaseModel], without: tuple[str, ...]) -> dict[str, FieldInfo]:
    return {k: f for k, f in names(described(cls)).items() if k not in without}


def _home(cls: type[BaseModel], key: str) -> type[BaseModel]:
    """The class in which a field was written down last."""
    name = next(n for n, f in cls.model_fields.items() if (f.alias or n) == key)
    for base in cls.__mro__:
        if name in inspect.get_annotations(base):
            return base
    return cls


def _nested_in(field: FieldInfo) -> list[type[BaseModel]]:
    return [x for x in of_field(field) if isinstance(x, type)]


def _nested(cls: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Settings classes inside a step's fields: an entry of `datasets`."""
    for field in names(cls).values():
        yield from _nested_in(field)


def about(cls: type[BaseModel]) -> str:
    """The class's own words, without their examples' indentation; nothing when it only inherits some."""
    doc = cls.__dict__.get("__doc__") or ""
    if cls in (Settings, BaseModel):
        return ""
    paragraphs = doc.strip().split("\n\n")
    return "\n\n".join(" ".join(p.split()) for p in paragraphs if p.strip())


def _table(fields: dict[str, FieldInfo], homes: dict[str, str]) -> str:
    rows = [f"| `{k}` | {default(f)} | {homes.get(k, 'us')} | {meaning(f)} |" for k, f in fields.items()]
    return "\n".join(["| key | default | named by | what it is |", "|---|---|---|---|", *rows]) if rows else ""


def meaning(field: FieldInfo) -> str:
    """What a key is, with its choices and what it points at, as a cell of a table."""
    said = _sentence(field.description)
    if choices := _choices(field.annotation):
        said += (" " if said else "") + "One of " + ", ".join(f"`{c}`" for c in choices) + "."
    for kind in [x for x in (field.annotation, *get_args(field.annotation)) if isinstance(get_origin(x) or x, type)]:
        pointer = get_origin(kind) or kind
        if isinstance(pointer, type) and issubclass(pointer, Ref):
            said += (" " if said else "") + f"Takes {pointer.what(get_args(kind))}."
    return said


def _choices(annotation: Any) -> list[str]:
    """The values of a Literal (possibly with None); empty where other things are possible too."""
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    args = [a for a in get_args(annotation) if a is not type(None)]
    return _choices(args[0]) if len(args) == 1 and get_origin(args[0]) is Literal else []


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def default(field: FieldInfo) -> str:
    """A key's default as a cell of a table; empty for one that must be written."""
    if field.default_factory is not None:
        return _made(field)
    if field.default is PydanticUndefined:
        return ""
    return _shown(field.default)


def _made(field: FieldInfo) -> str:
    """A default that is computed: from nothing, or from the settings before it (LoRA's, then that of full weights)."""
    factory: Any = field.default_factory
    if not field.default_factory_takes_validated_data:
        return _shown(factory())
    lora, full = factory({}), factory({"tune": "full"})
    return _shown(lora) if lora == full else f"{_shown(lora)}, with `tune: full` {_shown(full)}"


def _shown(value: Any) -> str:
    if isinstance(value, Settings):
        return "its defaults"
    if value is None:
        return "`null`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float) and (abs(value) < 1e-3 and value):
        return f"`{value:.0e}`".replace("e-0", "e-") if float(f"{value:.0e}") == value else f"`{value}`"
    if isinstance(value, int | float | str):
        return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
    if isinstance(value, list | tuple | dict):
        return f"`{list(value) if not isinstance(value, dict) else value}`"
    return f"`{value}`"


def _homes() -> dict[str, str]:
    """Key -> the library that named it."""
    found: dict[str, str] = {}
    for library, file, cls in _HOMES:
        spec = find_spec(library.lower())
        if spec is None or not spec.submodule_search_locations:
            continue
        path = Path(spec.submodule_search_locations[0]) / file
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name == cls:
                for line in node.body:
                    if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                        found.setdefault(line.target.id, library)
    for library, keys in _FORMER.items():
        found.update({key: library for key in keys if key not in found})
    return {key: home for key, home in found.items() if key not in _NOT_A_NAME} | {"revision": "datasets"}


if __name__ == "__main__":
    sys.stdout.write(page())
