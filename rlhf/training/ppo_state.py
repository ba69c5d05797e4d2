"""Checkpoints of a PPO run: everything that decides what it does next.

Policy, value, optimizer, schedule, random states, KL controller and the number of updates, which is the position in the
prompts and in their random numbers. Written between two updates into a folder that counts once it has its mark
(`rlhf.training.checkpoints`), so a run that was killed in the middle of one does that update again, bit for bit.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rlhf.training.checkpoints import KEPT, newest, seal
from rlhf.training.klcontrol import KLController

if TYPE_CHECKING:
    from rlhf.training.ppo import PPO

_POLICY, _VALUE, _STATE, _OPTIMIZER = "policy.safetensors", "value.safetensors", "state.json", "optimizer.pt"


def save(ppo: PPO, work: Path, told: dict[str, Any]) -> None:
    """Writes a checkpoint of the run, and removes those that are no longer needed.

    Args:
        told: What else goes on with the run, as plain JSON.
    """
    folder = work / f"checkpoint-{ppo.update}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, weights in ((_POLICY, ppo.actors.policy_weights), (_VALUE, ppo.actors.value_weights)):
        save_file({name: p.detach().contiguous() for name, p in weights.items()}, folder / file)
    torch.save(
        {
            "optimizer": ppo.optimizer.state_dict(),
            "scheduler": ppo.scheduler.state_dict(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        },
        folder / _OPTIMIZER,
    )
    version, words, gauss = random.getstate()
    kind, key, position, has_gauss, cached = np.random.get_state(legacy=True)
    state = {
        "update": ppo.update,
        "controller": ppo.controller.state(),
        "python": [version, list(words), gauss],
        "numpy": [str(kind), np.asarray(key).tolist(), position, has_gauss, cached],
        "told": told,
    }
    (folder / _STATE).write_text(json.dumps(state), encoding="utf-8")
    seal(folder)
    whole = sorted(work.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for old in whole[:-KEPT]:
        shutil.rmtree(old)


def restore(ppo: PPO, work: Path) -> dict[str, Any] | None:
    """Puts the run where its last whole checkpoint was, and gives what was told with it; None when there is none."""
    folder = newest(work)
    if folder is None:
        return None
    _load(ppo.actors.policy_weights, folder / _POLICY)
    _load(ppo.actors.value_weights, folder / _VALUE)
    kept = torch.load(folder / _OPTIMIZER, weights_only=True, map_location=ppo.actors.device)
    ppo.optimizer.load_state_dict(kept["optimizer"])
    ppo.scheduler.load_state_dict(kept["scheduler"])
    torch.set_rng_state(kept["torch"].cpu())
    if kept["cuda"]:
        torch.cuda.set_rng_state_all([state.cpu() for state in kept["cuda"]])
    state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, key, *rest = state["numpy"]
    np.random.set_state((kind, np.array(key, dtype=np.uint32), *rest))
    ppo.controller = KLController(**state["controller"])
    ppo.update = int(state["update"])
    told: dict[str, Any] = state["told"]
    return told


def _load(weights: dict[str, nn.Parameter], path: Path) -> None:
    found = load_file(path)
    with torch.no_grad():
        for name, parameter in weights.items():
            parameter.copy_(found[name])
