"""`recipes/stack.yaml` in miniature: three adapters one on the other are one adapter, to the last logit."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from curation.models.lineage import Lineage
from curation.models.loading import load_policy
from rlhf.recipe.door import Recipe

STACK = ["instruction", "dialogue", "preference"]


def logits(folder: Path) -> Tensor:
    policy = load_policy(folder, where=torch.device("cpu"))
    ids = policy.tokenizer("How do I open the door?")["input_ids"]
    with torch.no_grad():
        return policy.model(torch.tensor([ids])).logits


def test_the_stack_is_its_cat_merge(micro_copy: Path, tmp_path: Path) -> None:
    changes: dict[str, object] = {f"{name}.max_steps": 4 for name in STACK}
    changes |= {f"{name}.learning_rate": 3e-3 for name in STACK}
    changes |= {"base.model_name_or_path": str(micro_copy), "base.model_revision": None}
    recipe = Recipe.load("mini/stack", set=changes, store=tmp_path / "store")
    made = recipe.run(until="one")
    approximate = recipe.run(until="blend")["blend"]
    *_, top = folders = [Path(made[name].path) for name in STACK]
    one, blend = Path(made["one"].path), Path(approximate.path)
    assert len(Lineage.read(top).stack) == 2
    assert Lineage.read(one).stack == ()
    assert Lineage.read(one).merged == tuple(folder.name for folder in folders)  # the parents, by digest
    assert made["one"].manifest.metrics["rank"] == 4 + 2 + 4
    assert (logits(one) - logits(top)).abs().max() < 1e-5
    assert (logits(one) - logits(folders[0])).abs().max() > 1e-3  # the upper two say something
    assert approximate.manifest.metrics["relative_error"] > 0.01
    assert (logits(blend) - logits(top)).abs().max() > 1e-4
