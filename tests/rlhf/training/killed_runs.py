"""Runs the pickled steps of a file, each in a child process that dies by SIGKILL after a step; prints how they ended.

`killed_runs.py STEPS KILL_AT`: STEPS holds a list of (step, room folder, profile settings). The children are forked, so
that torch is imported once; nothing here may start a thread before.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import small_runs

import rlhf.training.cpo
import rlhf.training.distill
import rlhf.training.dpo
import rlhf.training.grpo
import rlhf.training.kto
import rlhf.training.orpo
import rlhf.training.reward
import rlhf.training.rloo
import rlhf.training.sft  # noqa: F401
from rlhf.training.following import Follow


def main() -> None:
    kill_at = int(sys.argv[2])
    told = Follow.on_log

    def die(self: Follow, args: Any, state: Any, control: Any, logs: dict[str, Any], **more: Any) -> None:
        told(self, args, state, control, logs, **more)
        if state.global_step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    Follow.on_log = die  # type: ignore[method-assign]
    small_runs.each_in_a_child(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
