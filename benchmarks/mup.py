"""muP: a coordinate check, and whether the learning rate that is best for a narrow model is best for a wide one.

    python benchmarks/mup.py [--widths 64,128,256] [--steps 100] [--out FILE.svg]

Both with the settings of `recipes/cerebras-gpt.yaml` on the chats of the quickstart, beside the usual parametrization
with transformers' own first weights (0.02). The figures are in `benchmarks/MUP.md`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from typing import Any

import torch

from rlhf.training import mup, pretrain

CHATS = Path(__file__).parents[1] / "recipes" / "data" / "quickstart_chats.jsonl"
RATES = (1.5e-3, 3e-3, 6e-3, 1.2e-2, 2.4e-2)
BASE, SIGMA, LENGTH, BATCH = 256, 0.08, 64, 16
WAYS = ("mup", "standard")


def rows() -> tuple[Any, list[list[int]]]:
    """A tokenizer of 512 tokens, and packed rows."""
    chats = []
    for line in CHATS.read_bytes().splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):  # the quickstart has bad records on purpose
            turns = json.loads(line)["conversations"]
            chats.append(
                [{"role": ("user", "assistant")[i % 2], "content": str(t["value"])} for i, t in enumerate(turns)]
            )
    tokenizer = pretrain.train_tokenizer((m["content"] for chat in chats for m in chat), 512)
    texts = "".join(tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats if chat)
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return tokenizer, [ids[i : i + LENGTH] for i in range(0, len(ids) - LENGTH, LENGTH)]


def made(tokenizer: Any, width: int, way: str, rate: float) -> tuple[Any, torch.optim.Optimizer]:
    """A new model and its optimizer."""
    model = pretrain.new_llama(
        tokenizer,
        hidden_size=width,
        intermediate_size=3 * width,
        initializer_range=SIGMA if way == "mup" else 0.02,
        mup_multipliers=(width / BASE, 10.0) if way == "mup" else None,
    )
    weights: Any = mup.rates(model, rate, width / BASE) if way == "mup" else model.parameters()
    return model, torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", default="64,128,256")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--out", type=Path, help="a picture of the coordinate check (needs matplotlib)")
    args = parser.parse_args()
    widths = [int(width) for width in args.widths.split(",")]
    torch.set_num_threads(1)
    tokenizer, data = rows()
    wide = sorted({*widths, 512})
    sizes: dict[str, dict[str, list[float]]] = {}
    print("size of activations after 4 steps at 6e-3, and the exponent of their growth with the width")
    for way in WAYS:
        found: dict[str, list[float]] = {}
        for width in wide:
            model, optimizer = made(tokenizer, width, way, 6e-3)
            ids = torch.tensor(data[:4])
            with mup.Coordinates(model) as check:
                for _ in range(4):
                    model(input_ids=ids, labels=ids).loss.backward()
                    optimizer.step()
                    optimizer.zero_grad()
            for layer, size in check.sizes.items():
                found.setdefault(layer, []).append(size)
        sizes[way] = found
        for layer, of in found.items():
            said = " ".join(f"{size:7.3f}" for size in of)
            print(f"{way:9} {layer:12} {said}   {mup.growth(wide, of):+.2f}", flush=True)
    if args.out:
        draw(args.out, wide, sizes)
    print(f"mean loss of the last 10 of {args.steps} steps, by learning rate")
    print(f"{'':15}" + " ".join(f"{rate:7.4f}" for rate in RATES))
    for way in WAYS:
        for width in widths:
            losses = []
            for rate in RATES:
                model, optimizer = made(tokenizer, width, way, rate)
                found_losses = pretrain.train(
                    model, data, max_steps=args.steps, global_batch_size=BATCH, optimizer=optimizer
                )
                losses.append(sum(found_losses[-10:]) / 10)
            best = RATES[losses.index(min(losses))]
            print(f"{way:9} {width:5} " + " ".join(f"{loss:7.3f}" for loss in losses) + f"   best {best}", flush=True)


def draw(path: Path, widths: list[int], sizes: dict[str, dict[str, list[float]]]) -> None:
    """Two panels, a line a layer, both axes logarithmic."""
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, sharey=True, figsize=(8, 3.2))
    for panel, (way, found) in zip(panels, sizes.items(), strict=True):
        for layer, of in found.items():
            panel.loglog(widths, of, marker="o", label=layer, base=2)
        panel.set(title=way, xlabel="width")
    panels[0].set_ylabel("mean |x|")
    panels[1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
