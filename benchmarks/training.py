"""Training beside TRL on real data: tokens a CPU second of SFT, reward modelling and DPO, and whether the losses agree.

    python benchmarks/training.py [--methods sft,reward,dpo] [--lengths mixed,equal] [--data ../shared/data]
                                  [--model smollm2|micro|FOLDER] [--rows 32] [--longest 512] [--batch 8]
                                  [--rounds 3] [--threads 1]

Three ways take turns in one process, `--rounds` times, on the same rows in fp32 with the same LoRA:

- `trl`: TRL's trainer on its documented data formats (prompt and completion; prompt, chosen and rejected), in its
  default random order. Its defaults of bf16 and gradient checkpointing are switched off, because a CPU is slower for
  both.
- `tuned`: the same with `train_sampling_strategy="group_by_length"`, and `precompute_ref_log_probs` for DPO.
- `ours`: the step of this project, with a profile that has nothing but the threads.
- `again` (DPO only): ours once more with another beta, on the reference that the first run kept.

What is timed is training, from its first to after its last step, and the reference before it; loading, tokenizing and
saving are not. CPU seconds are those of the process, so that other work on the machine counts less. Tokens are those of
the rows, a prompt counted once for each answer, whatever a way pads or shares. Chats are OpenAssistant's validation
part, pairs are HH's; rows of up to `--longest` tokens, drawn at random, or neighbours of half that length (`equal`).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ppo import model_folder

from curation import table
from curation.artifact import Kind, Policy, Ref
from curation.conversation import Conversation
from curation.formats.hh import HH
from curation.formats.oasst import OASST
from curation.frame import to_frame
from rlhf.recipe.caches import Features
from rlhf.recipe.profile import Profile, Training
from rlhf.recipe.step import Done, Room
from rlhf.steps.dpo import Dpo
from rlhf.steps.reward import Reward
from rlhf.steps.sft import Sft

LEARNING_RATE = 1e-4
WAYS = ("trl", "tuned", "ours")
STEPS: dict[str, Any] = {"sft": Sft, "reward": Reward, "dpo": Dpo}


@dataclass
class Drawn:
    """Rows of a method, and how many tokens they have."""

    rows: list[Any]
    tokens: int
    longest: int
    shortest: int


class Clock:
    """CPU and wall seconds between `start` and `stop`, added up since `zero`."""

    def zero(self) -> None:
        self.cpu = self.wall = 0.0

    def start(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def stop(self) -> None:
        self.cpu += time.process_time() - self._cpu
        self.wall += time.perf_counter() - self._wall


CLOCK = Clock()


def clock_all_trainers() -> None:
    """The clock runs while any trainer trains, and while it works a reference out beforehand."""
    import functools

    import transformers.trainer
    from transformers import TrainerCallback
    from trl import DPOTrainer

    from rlhf.training.dpo import Trainer

    class Timed(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            CLOCK.start()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            CLOCK.stop()

    def timed(method: Any) -> Any:
        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            CLOCK.start()
            found = method(*args, **kwargs)
            CLOCK.stop()
            return found

        return call

    transformers.trainer.DEFAULT_CALLBACKS.append(Timed)
    for trainer in (DPOTrainer, Trainer):
        trainer._precompute_ref_logps = timed(trainer._precompute_ref_logps)


def records(path: Path) -> Iterator[tuple[int, Any]]:
    """The lines of a JSONL file, packed or not."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        yield from enumerate(map(json.loads, lines))


def every_row(method: str, data: Path) -> list[Any]:
    """All chats, each cut to a question and its answer so that both ways learn the same tokens, or all pairs."""
    if method == "sft":
        file = data / "oasst1_en_validation" / "en-validation.jsonl"
        found = [row for outcome in OASST().outcomes(records(file), "conversations") for _, row in outcome.rows]
        return [Conversation(messages=said) for said in dict.fromkeys(row.messages[:2] for row in found)]
    file = data / "hh_rlhf" / "harmless_base_test_first1500.jsonl.gz"
    return [row for outcome in HH().outcomes(records(file), "preferences") for _, row in outcome.rows]


def drawn(method: str, lengths: str, count: int, longest: int, data: Path, model: Path) -> Drawn:
    """Rows by their lengths in tokens, the same ones each time."""
    from curation.models.loading import generation_config, load_tokenizer
    from curation.models.template import ChatTemplate
    from rlhf.training.encoding import for_dpo, for_sft

    template = ChatTemplate(load_tokenizer(model), generation_config(model))
    rows = every_row(method, data)
    random.Random(0).shuffle(rows)
    encode: Any = for_sft if method == "sft" else for_dpo
    found = encode(rows, template, max_length=None)
    order = [i for i in range(len(found)) if found.lengths[i] <= longest]
    if lengths == "equal":
        order.sort(key=lambda i: abs(found.lengths[i] - longest // 2))
    order = order[:count]
    all_of_them = [found.lengths[i] for i in order]
    return Drawn([found.kept[i] for i in order], sum(found.sizes[i] for i in order), max(all_of_them), min(all_of_them))


def with_trl(
    method: str, rows: Sequence[Any], model: Path, batch: int, threads: int, place: Path, *, tuned: bool
) -> list[float]:
    """The losses of TRL's trainer."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, PrinterCallback
    from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(model)
    lora = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
    arguments: dict[str, Any] = {
        "output_dir": str(place / "trl"),
        "per_device_train_batch_size": batch,
        "num_train_epochs": 1,
        "learning_rate": LEARNING_RATE,
        "max_length": 1024,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    if tuned:
        arguments["train_sampling_strategy"] = "group_by_length"

    def said(messages: Sequence[Any]) -> list[dict[str, str]]:
        return [{"role": m.role, "content": m.content} for m in messages]

    if method == "sft":
        data = [{"prompt": said(r.messages[:-1]), "completion": said(r.messages[-1:])} for r in rows]
        trainer: Any = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
            args=SFTConfig(**arguments),
            train_dataset=Dataset.from_list(data),
            processing_class=tokenizer,
            peft_config=LoraConfig(**lora, task_type="CAUSAL_LM"),
        )
    else:
        pairs = [{"prompt": said(r.prompt), "chosen": said(r.chosen), "rejected": said(r.rejected)} for r in rows]
        if tuned:  # by this column TRL groups pairs
            arguments["remove_unused_columns"] = False
            for pair in pairs:
                texts = [tokenizer.apply_chat_template(pair["prompt"] + pair[n]) for n in ("chosen", "rejected")]
                pair["length"] = max(len(getattr(t, "input_ids", t)) for t in texts)
        if method == "reward":
            tokenizer.pad_token = "<|endoftext|>"
            scoring = AutoModelForSequenceClassification.from_pretrained(
                model, num_labels=1, dtype=torch.float32, pad_token_id=tokenizer.pad_token_id
            )
            trainer = RewardTrainer(
                model=scoring,
                args=RewardConfig(**arguments),
                train_dataset=Dataset.from_list(pairs),
                processing_class=tokenizer,
                peft_config=LoraConfig(**lora, task_type="SEQ_CLS", modules_to_save=["score"]),
            )
        else:
            trainer = DPOTrainer(
                model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
                args=DPOConfig(**arguments, precompute_ref_log_probs=tuned),
                train_dataset=Dataset.from_list(pairs),
                processing_class=tokenizer,
                peft_config=LoraConfig(**lora, task_type="CAUSAL_LM"),
            )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def with_ours(
    method: str, rows: Sequence[Any], model: Path, batch: int, threads: int, place: Path, **more: Any
) -> list[float]:
    """The losses of this project's step; what it keeps for later runs is kept in `place`."""
    here = Path(tempfile.mkdtemp(dir=place))
    table.write(here / "rows", to_frame(rows, type(rows[0])))
    for name in ("work", "out"):
        (here / name).mkdir()
    step = STEPS[method](
        data=[Ref("rows", here / "rows", "rows", (Kind,))],
        policy=Ref("model", model, model.name, (Policy,)),
        global_batch_size=batch,
        learning_rate=LEARNING_RATE,
        max_length=1024,
        lora_r=8,
        lora_alpha=16,
        **more,
    )
    profile = Profile(training=Training(device="cpu", threads=threads, save_steps=10**6))
    done = step.run(Room(here / "work", here / "out", profile, features=Features(place / "features")))
    assert isinstance(done, Done)
    return [loss for _, loss in done.curves["loss"]]


def run(way: str, method: str, *common: Any) -> list[float]:
    """The losses of one of the ways."""
    if way in ("trl", "tuned"):
        return with_trl(method, *common, tuned=way == "tuned")
    more: dict[str, Any] = {"precompute_ref_log_probs": True} if method == "dpo" else {}
    return with_ours(method, *common, **more | ({"beta": 0.2} if way == "again" else {}))


def measured(method: str, lengths: str, args: argparse.Namespace, model: Path) -> None:
    """Prints a line a run, and the medians of the ratios of runs of one round."""
    found = drawn(method, lengths, args.rows, args.longest, args.data, model)
    print(
        f"\n{method}, {lengths}: {len(found.rows)} rows of {found.shortest} to {found.longest} tokens, "
        f"{found.tokens} in all, batch {args.batch}, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    spent: dict[str, list[float]] = {}
    for turn in range(args.rounds):
        with tempfile.TemporaryDirectory() as name:
            common: Any = (method, found.rows, model, args.batch, args.threads, Path(name))
            names = [*WAYS][turn % 3 :] + [*WAYS][: turn % 3] + (["again"] if method == "dpo" else [])
            for way in names:
                CLOCK.zero()
                losses = run(way, *common)
                spent.setdefault(way, []).append(CLOCK.cpu)
                print(
                    f"  {way:5} {CLOCK.cpu:6.1f} CPU s, {CLOCK.wall:6.1f} s, {found.tokens / CLOCK.cpu:5.0f} tokens a "
                    f"CPU second, loss {losses[0]:.5f} -> {losses[-1]:.5f}, mean {sum(losses) / len(losses):.5f}",
                    flush=True,
                )
    for way in spent:
        if way in ("ours", "again"):
            for peer in ("trl", "tuned"):
                ratios = [b / a for a, b in zip(spent[way], spent[peer], strict=True)]
                print(
                    f"  {way} is {median(ratios):.2f} times as fast as {peer} "
                    f"({min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} rounds)",
                    flush=True,
                )


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default="sft,reward,dpo")
    parser.add_argument("--lengths", default="mixed,equal")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--cache", type=Path, default=Path(".bench"))
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--longest", type=int, default=512)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    import torch
    from datasets.utils.logging import disable_progress_bar
    from transformers.utils import logging

    torch.set_num_threads(args.threads)
    disable_progress_bar()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    warnings.simplefilter("ignore", FutureWarning)
    clock_all_trainers()
    model = model_folder(args.model, args.cache)
    for method in args.methods.split(","):
        for lengths in args.lengths.split(","):
            measured(method, lengths, args, model)


if __name__ == "__main__":
    main()
