"""Runs the pickled steps of a file, each in a child process that dies by SIGKILL after a step; prints how they ended.

`killed_runs.py STEPS KILL_AT`: STEPS holds a list of (step, room folder, profile settings). The children are forked, so
that torch is imported once; nothing here may start a thread before.
"""

from __future__ import annotations

import os
import pickle
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
    steps, kill_at = pickle.loads(Path(sys.argv[1]).read_bytes()), int(sys.argv[2])
    told = Follow.on_log

    def die(self: Follow, args: Any, state: Any, control: Any, logs: dict[str, Any], **more: Any) -> None:
        told(self, args, state, control, logs, **more)
        if state.global_step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    Follow.on_log = die  # type: ignore[method-assign]
    for step, place, training in steps:
        child = os.fork()
        if child == 0:
            step.run(small_runs.room(Path(place), **training))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status), flush=True)


if __name__ == "__main__":
    main()
