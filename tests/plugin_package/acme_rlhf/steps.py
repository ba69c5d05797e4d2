from __future__ import annotations

import shutil
from typing import Literal

from curation.artifact import Kind, Policy, Ref
from rlhf.recipe.step import Done, Room, Step


class Soup(Step):
    """The mean of the weights of several policies of one shape (Wortsman et al. 2022, arXiv:2203.05482)."""

    step: Literal["acme/soup"] = "acme/soup"
    policies: list[Ref[Policy]]
    """Full models, not adapters."""

    def makes(self) -> type[Kind]:
        return Policy

    def run(self, room: Room) -> Done:
        from safetensors.numpy import load_file, save_file

        shutil.copytree(self.policies[0].folder, room.out, dirs_exist_ok=True)
        every = [load_file(policy.folder / "model.safetensors") for policy in self.policies]
        mean = {name: sum(weights[name] for weights in every) / len(every) for name in every[0]}
        save_file(mean, room.out / "model.safetensors", metadata={"format": "pt"})
        return Done(metrics={"policies": len(every)})
