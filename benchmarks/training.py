"""What a step of training costs on a CPU: as it is here, with rows that share nothing, and with TRL's output layer too.

    python benchmarks/training.py MODEL [--method sft|dpo] [--dtype float32] [--rows 32] [--batch 8] [--threads 1]

MODEL is a folder with a full model. All runs see the same rows in the same order; losses are printed to show that they
agree. CPU seconds are what the process used, so that other work on the machine counts less.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from curation import table
from curation.artifact import Kind, Policy, Ref
from curation.conversation import Conversation, Message, Preference
from curation.frame import to_frame
from rlhf.recipe.profile import Profile, Training
from rlhf.recipe.step import Done, Room
from rlhf.steps.dpo import Dpo
from rlhf.steps.sft import Sft

WORDS = "tea bread rain rivers bees glass paper salt wool clay stars iron moss owls ships drums and of the a in".split()


def rows(count: int, method: str) -> list[Any]:
    """Chats (or pairs) of 20 to 120 words, lengths skewed as in real ones."""
    rng = random.Random(0)

    def text(scale: float) -> str:
        n = min(120, max(20, int(rng.lognormvariate(3.6, 0.5) * scale)))
        return " ".join(rng.choice(WORDS) for _ in range(n))

    made: list[Any] = []
    for _ in range(count):
        ask, answer = Message("user", text(0.6)), Message("assistant", text(1.0))
        if method == "sft":
            made.append(Conversation(messages=(ask, answer)))
        else:
            made.append(Preference(prompt=(ask,), chosen=(answer,), rejected=(Message("assistant", text(1.0)),)))
    return made


def main() -> None:
    """Prints a line a way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--method", choices=["sft", "dpo"], default="sft")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    import torch

    import rlhf.training.dpo as dpo
    import rlhf.training.sft as sft
    from rlhf.training import sharing

    torch.set_num_threads(args.threads)
    compact, known = sft.use_compact_head, sharing.KNOWN
    for way in ("ours", "apart", "trl"):
        sft.use_compact_head = dpo.use_compact_head = (lambda model: False) if way == "trl" else compact
        sharing.KNOWN = known if way == "ours" else frozenset()
        with tempfile.TemporaryDirectory() as place:
            here = Path(place)
            found = rows(args.rows, args.method)
            table.write(here / "rows", to_frame(found, type(found[0])))
            (here / "work").mkdir()
            (here / "out").mkdir()
            settings: dict[str, Any] = {
                "data": [Ref("rows", here / "rows", "rows", (Kind,))],
                "policy": Ref("model", args.model, args.model.name, (Policy,)),
                "global_batch_size": args.batch,
                "dtype": args.dtype,
                "lora_r": 8,
            }
            step = Sft(**settings) if args.method == "sft" else Dpo(**settings)
            profile = Profile(training=Training(device="cpu", threads=args.threads, save_steps=10**6))
            began, used = time.perf_counter(), time.process_time()
            done = step.run(Room(work=here / "work", out=here / "out", profile=profile))
            wall, cpu = time.perf_counter() - began, time.process_time() - used
        assert isinstance(done, Done)
        m = done.metrics
        print(
            f"{args.method} {way:5} {args.dtype} {m['steps']} steps of {args.batch}, {m['trained_tokens']} tokens, "
            f"{cpu:.1f} CPU s, {wall:.1f} s, {m['trained_tokens'] / cpu:.0f} tokens a CPU second, "
            f"loss {m['loss_first']:.5f} -> {m['loss_last']:.5f}"
        )


if __name__ == "__main__":
    main()
