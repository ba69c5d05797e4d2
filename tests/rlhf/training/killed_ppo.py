"""Runs the pickled `ppo` steps of a file, each in a child that dies by SIGKILL in the middle of an update.

`killed_ppo.py STEPS KILL_AT`: STEPS holds a list of (step, room folder, profile settings), KILL_AT is the optimizer
step before which a child dies. Prints how they ended.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import small_runs
import torch

import rlhf.training.ppo_running  # noqa: F401


def main() -> None:
    kill_at = int(sys.argv[2])
    taken = [0]
    optimizer_step = torch.optim.AdamW.step

    def die(self: Any, *args: Any, **kwargs: Any) -> Any:
        taken[0] += 1
        if taken[0] == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return optimizer_step(self, *args, **kwargs)

    torch.optim.AdamW.step = die  # type: ignore[method-assign]
    small_runs.each_in_a_child(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
