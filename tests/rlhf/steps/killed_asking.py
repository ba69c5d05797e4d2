"""A process that is killed after it chose a batch and before it handed that out: `killed_asking.py FOLDER POLICY`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from label_site import Site

from rlhf.steps.compare import Compare


class Killed(Compare):
    def put_to_people(self, asked: Any, room: Any) -> Any:
        if len(asked.items) > 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().put_to_people(asked, room)


if __name__ == "__main__":
    site = Site(Path(sys.argv[1]), Path(sys.argv[2]))
    step = site.step(max_answers=16)
    Killed(**{name: getattr(step, name) for name in step.model_fields_set}).run(site.room())
