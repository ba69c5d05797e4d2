"""Adapters added up. An adapter adds s B A to a weight, with s = alpha / r (alpha over the root of r with rsLoRA).

The sum of several is again such a product, of the B side by side and the A one above the other: exact, whatever their
ranks, weights and scalings (`cat`). It has the sum of their ranks. All else is an approximation, whose distance from
the sum is measured: the nearest product of a lower rank (`svd`), and PEFT's ways of mixing the factors, which
multiply A of one with B of another (`linear`, `ties`, `dare_linear`, `dare_ties`, `magnitude_prune`). PEFT's
`add_weighted_adapter` gives wrong sums for rsLoRA, DoRA and trained biases and says nothing (peft issue 3761); here the
scaling is each adapter's own, and adapters that are no such product are refused. No base is loaded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft.utils import merge_utils
from safetensors.torch import load_file, save_file
from torch import Tensor

from curation.errors import UserError
from curation.models.lineage import Lineage
from curation.models.saving import copy_tokenizer

if TYPE_CHECKING:
    from curation.artifact import Policy, Ref
    from rlhf.recipe.step import Room
    from rlhf.steps.merge import Merge

_A, _B = ".lora_A.weight", ".lora_B.weight"
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter as numbers."""

    name: str
    config: dict[str, Any]
    a: dict[str, Tensor]
    """Layer -> (r, in)."""
    b: dict[str, Tensor]
    """Layer -> (out, r)."""

    @property
    def scaling(self) -> float:
        r: int = self.config["r"]
        return float(self.config["lora_alpha"]) / (math.sqrt(r) if self.config.get("use_rslora") else r)


def read(ref: Ref[Policy]) -> Adapter:
    """The step's own adapter, in float32.

    Raises:
        UserError: it is none, or not of the kind that can be added up.
    """
    folder = ref.folder
    if not (folder / _CONFIG).exists():
        raise UserError(
            f"{ref.step!r} is a full model, not an adapter", hint="merge steps that train with `tune: lora`"
        )
    config: dict[str, Any] = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    wrong = {
        f"is a {config.get('peft_type')} adapter, which adds no product to the weights": config.get("peft_type")
        != "LORA",
        "is a DoRA adapter, which also scales the weights that it stands on": config.get("use_dora"),
        "trains biases too": config.get("lora_bias") or config.get("bias", "none") != "none",
        "has ranks of its own for some layers": config.get("rank_pattern") or config.get("alpha_pattern"),
        "trains whole layers too": config.get("modules_to_save") or config.get("trainable_token_indices"),
        "is stored transposed": config.get("fan_in_fan_out"),
    }
    for why, yes in wrong.items():
        if yes:
            raise UserError(
                f"{ref.step!r} {why}: a merge would be wrong without a word",
                hint="export it merged, or train a plain LoRA adapter",
            )
    weights = load_file(folder / _WEIGHTS)
    a = {name.removesuffix(_A): w.float() for name, w in weights.items() if name.endswith(_A)}
    b = {name.removesuffix(_B): w.float() for name, w in weights.items() if name.endswith(_B)}
    if a.keys() != b.keys() or len(a) + len(b) != len(weights):
        raise UserError(
            f"the adapter of {ref.step!r} holds more than the two factors of each layer",
            hint="train a plain LoRA adapter: only such can be added up",
        )
    return Adapter(ref.step, config, a, b)


def merge(step: Merge, room: Room) -> dict[str, Any]:
    """Writes the one adapter to `room.out`; returns the fields of `Done`."""
    lineage = parents_of(step.policies)
    adapters = [read(ref) for ref in step.policies]
    weights = step.weights or [1.0] * len(adapters)
    _same_shapes(adapters, same_rank=step.combination_type not in ("cat", "svd"))
    layers = sorted({layer for one in adapters for layer in one.a})
    torch.manual_seed(step.seed)
    merged: dict[str, Tensor] = {}
    off = whole = 0.0
    rank = 0
    for layer in layers:
        a, b = side_by_side(adapters, weights, layer)
        if step.combination_type == "cat":
            made = a, b
        elif step.combination_type == "svd":
            made = nearest(a, b, step.svd_rank or max(one.config["r"] for one in adapters))
        else:
            made = mixed(adapters, weights, layer, step.combination_type, step.density)
        merged[layer + _A], merged[layer + _B] = (part.contiguous() for part in made)
        rank = max(rank, len(made[0]))
        if step.combination_type != "cat":
            exact = b @ a
            off += float((made[1] @ made[0] - exact).square().sum())
            whole += float(exact.square().sum())
    _write(room.out, adapters, merged, rank, lineage)
    copy_tokenizer(step.policies[0].folder, room.out)
    metrics: dict[str, Any] = {"rank": rank, "layers": len(layers), "adapters": len(adapters)}
    if step.combination_type != "cat":
        metrics["relative_error"] = math.sqrt(off / whole) if whole else 0.0
        room.warn(
            f"`{step.combination_type}` is an approximation: what it adds to the weights is "
            f"{metrics['relative_error']:.1%} away from the adapters' sum, which `cat` gives exactly"
        )
    return {"metrics": metrics}


def parents_of(policies: Sequence[Ref[Policy]]) -> Lineage:
    """What all of them stand on, those left out that are merged.

    Raises:
        UserError: they do not stand on the same.
    """
    found = [Lineage.read(ref.folder) for ref in policies]
    digests = [ref.folder.name for ref in policies]
    below = [(one.base, tuple(d for d in one.stack if d not in digests)) for one in found]
    for ref, other in zip(policies, below, strict=True):
        if other != below[0]:
            raise UserError(
                f"{policies[0].step!r} and {ref.step!r} do not stand on the same parents, so their sum has no meaning",
                hint="merge adapters that were trained on one policy, or name all adapters of a stack",
            )
    base, stack = below[0]
    return Lineage(base, stack, "lora", tuple(digests))


def side_by_side(adapters: Sequence[Adapter], weights: Sequence[float], layer: str) -> tuple[Tensor, Tensor]:
    """A (R, in) and B (out, R) whose product is the weighted sum of the adapters; R is the sum of all their ranks.

    An adapter that has no such layer gives rows and columns of zeros, so that all layers have one rank.
    """
    shape = next((one.a[layer].shape[1], one.b[layer].shape[0]) for one in adapters if layer in one.a)
    parts_a, parts_b = [], []
    for one, weight in zip(adapters, weights, strict=True):
        r = one.config["r"]
        parts_a.append(one.a.get(layer, torch.zeros(r, shape[0])))
        parts_b.append(weight * one.scaling * one.b.get(layer, torch.zeros(shape[1], r)))
    return torch.cat(parts_a), torch.cat(parts_b, 1)


def nearest(a: Tensor, b: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The factors of rank `rank` whose product is nearest to B A (Eckart and Young, 1936), by way of small matrices."""
    q_b, r_b = torch.linalg.qr(b.double())
    q_a, r_a = torch.linalg.qr(a.double().T)
    u, s, vh = torch.linalg.svd(r_b @ r_a.T, full_matrices=False)
    rank = min(rank, len(s))
    root = s[:rank].sqrt()
    return (root[:, None] * (vh[:rank] @ q_a.T)).float(), ((q_b @ u[:, :rank]) * root).float()


def mixed(
    adapters: Sequence[Adapter], weights: Sequence[float], layer: str, how: str, density: float | None
) -> tuple[Tensor, Tensor]:
    """PEFT's mixtures of factors. Each takes half of an adapter's scaling and weight, by its root."""
    have = [(one, w * one.scaling) for one, w in zip(adapters, weights, strict=True) if layer in one.a]
    roots = [math.sqrt(abs(w)) for _, w in have]
    signed = torch.tensor([root if w >= 0 else -root for root, (_, w) in zip(roots, have, strict=True)])
    method: Any = merge_utils.task_arithmetic if how == "linear" else getattr(merge_utils, how)
    more = () if density is None else (density,)
    return (
        method([one.a[layer] for one, _ in have], signed, *more),
        method([one.b[layer] for one, _ in have], torch.tensor(roots), *more),
    )


def _same_shapes(adapters: Sequence[Adapter], *, same_rank: bool) -> None:
    ranks = {one.name: one.config["r"] for one in adapters}
    if same_rank and len(set(ranks.values())) > 1:
        said = ", ".join(f"{name} {r}" for name, r in ranks.items())
        raise UserError(f"the adapters have different ranks ({said})", hint="use `cat` or `svd`, which allow that")


def _write(out: Path, adapters: Sequence[Adapter], weights: dict[str, Tensor], rank: int, lineage: Lineage) -> None:
    targets: set[str] = set()
    for one in adapters:
        targets.update(one.config["target_modules"])
    config = {
        **adapters[0].config,
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "use_rslora": False,
        "target_modules": sorted(targets),
        "base_model_name_or_path": lineage.base,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / _CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    save_file(dict(sorted(weights.items())), out / _WEIGHTS, metadata={"format": "pt"})
    lineage.write(out)
