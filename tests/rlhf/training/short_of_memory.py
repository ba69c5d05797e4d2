"""Trains with little memory left: `short_of_memory.py MODEL FOLDER MB`. Prints the rows at once and the warnings.

The limit is on the address space (RLIMIT_AS), set once the model is there, so that it is the training that meets it.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import small_runs

from curation.conversation import Conversation, Source
from rlhf.recipe.step import Done
from rlhf.steps.sft import Sft
from rlhf.training.running import Run


def main() -> None:
    micro, place, allowed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) * 2**20
    words = small_runs.VERBS + small_runs.NOUNS
    rows = [
        Conversation(
            messages=(
                small_runs.user(f"{words[i]} it?"),
                small_runs.assistant(" ".join(words[(i + k) % len(words)] for k in range(900))),
            ),
            source=Source(digest="file", index=i),
        )
        for i in range(8)
    ]
    fit, limits = Run.fit, []

    def limited(run: Run, *args: Any, **more: Any) -> None:
        if not limits:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limits.append(pages * resource.getpagesize() + allowed)
            resource.setrlimit(resource.RLIMIT_AS, (limits[0], resource.RLIM_INFINITY))
        fit(run, *args, **more)

    Run.fit = limited  # type: ignore[method-assign]
    data, own = small_runs.data_ref(place / "data", rows), small_runs.room(place / "room")
    policy = small_runs.model_ref(micro)
    done = Sft(data=data, policy=policy, lora_r=4, global_batch_size=8, max_length=4000).run(own)
    assert isinstance(done, Done)
    print(done.numerics["per_device_train_batch_size"], *[w for w in own.warnings if "memory" in w])


if __name__ == "__main__":
    main()
