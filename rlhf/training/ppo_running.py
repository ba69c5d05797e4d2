"""A PPO run from a step to an artifact: the models and prompts come in, updates and checkpoints follow, a policy goes
out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft import PeftModel
from transformers import Trainer, TrainingArguments, get_scheduler

from curation import table
from curation.errors import UserError
from curation.ledger import in_words
from curation.models.lineage import parents
from curation.models.numerics import numerics_class
from curation.models.settings import Sampling
from curation.operator import Scorer
from curation.operators.reward_model import RewardScore
from rlhf.training.adapters import load_parent, save_result
from rlhf.training.answering import for_online
from rlhf.training.checkpoints import EVERY_SECONDS
from rlhf.training.encoding import Counts
from rlhf.training.following import thinned
from rlhf.training.ppo_actors import REFERENCE, Actors
from rlhf.training.ppo_answers import Prompts, Writer
from rlhf.training.ppo_state import restore, save
from rlhf.training.rewarding import Rewards, Score
from rlhf.training.running import Run
from rlhf.training.settings import cut_batch
from rlhf.training.tracking import trackers

if TYPE_CHECKING:
    from rlhf.recipe.step import Room
    from rlhf.steps.ppo import Ppo
    from rlhf.training.ppo import PPO

_SHOWN = 4
"""Prompts whose answers before and after stand on the page."""
_SPOKEN = ("reward", "kl", "ended")
"""Figures beside the bar."""


def train(step: Ppo, room: Room) -> dict[str, Any]:
    """Trains and writes the policy to `room.out`; returns the fields of `Done`."""
    run = Run(step, room, step.policy)
    ppo = assemble(step, run)
    updates = count_updates(step, len(ppo.prompts))
    ppo.scheduler = schedule(step, ppo.optimizer, updates)
    told = restore(ppo, room.work) or {"history": [], "tokens": 0}
    history: list[dict[str, float]] = told["history"]
    if ppo.update:
        room.progress.say(f"going on from update {ppo.update}")
    every, saved = run.training.save_steps, time.monotonic()
    with room.progress.bar("training", total=updates, unit="updates") as bar, trackers(room) as told_elsewhere:
        bar.advance(ppo.update)
        while ppo.update < updates:
            began = time.monotonic()
            stats = ppo.step()
            history.append(stats)
            told_elsewhere.log(ppo.update, stats)
            tokens = round(stats["answer_tokens"] * step.global_batch_size)
            told["tokens"] += tokens
            bar.advance(1, **{n: stats[n] for n in _SPOKEN}, **{"tokens/s": tokens / (time.monotonic() - began)})
            due = ppo.update % every == 0 if every else time.monotonic() - saved >= EVERY_SECONDS
            if due and ppo.update < updates:  # after the last update the result itself is written
                save(ppo, room.work, told)
                saved = time.monotonic()
    examples = before_and_after(ppo)
    counts = ppo.prompts.counts
    weights = sum(p.numel() for p in ppo.actors.policy_weights.values())
    _only_the_policy(ppo.actors)
    save_result(room.out, ppo.actors.model, run.tokenizer, run.parent, step)
    return {
        "metrics": {
            "updates": updates,
            "answers": updates * step.global_batch_size,
            "trainable_parameters": weights,
            **{f"{name}_first": history[0][name] for name in ("reward", "kl", "ended", "answer_tokens")},
            **{f"{name}_last": _last_third(history, name) for name in ("reward", "kl", "ended", "answer_tokens")},
            "data": {"rows": counts.rows, "used": counts.used, "dropped": dict(sorted(counts.dropped.items()))},
        },
        "curves": {name: thinned([(n + 1.0, entry[name]) for n, entry in enumerate(history)]) for name in history[0]},
        "examples": examples,
        "tokens": {"generated": told["tokens"]},
        "numerics": {
            **numerics_class(step.dtype, run.device),
            "per_device_train_batch_size": ppo.rows,
            "batch_size": ppo.writer.batch_size,
        },
    }


def assemble(step: Ppo, run: Run) -> PPO:
    """The run at its first update.

    Raises:
        UserError: no prompt can be asked, or a reward model cannot be had.
    """
    room, training = run.room, run.training
    room.profile.generation.need_transformers()
    rows, _ = cut_batch(step.mini_batch_size, training)
    chats = table.rows(step.prompts.folder, table.part_or(step.prompts.folder, step.prompts.part, "train"))
    actors = Actors(load_parent(run.parent, step, run.device, training.attn_implementation), step, step.temperature)
    how = Sampling(max_completion_length=step.max_completion_length, temperature=step.temperature, seed=step.seed)
    batch_size = room.profile.generation.per_device_eval_batch_size
    writer = Writer(actors, run.tokenizer, run.template, how, batch_size)
    asked = for_online(chats, writer.loaded(), step.max_completion_length, max_prompt_length=step.max_prompt_length)
    _look_over(asked.counts, run)
    by_length = step.train_sampling_strategy == "group_by_length"
    prompts = Prompts(asked, batch=step.global_batch_size, seed=step.seed, by_length=by_length)
    if training.gradient_checkpointing:
        actors.recompute()
    rewards = Rewards(step.rewards, step.reward_weights, shared_rewards(step.rewards, actors, run.parent, step.dtype))
    optimizer = make_optimizer(step, actors, run)
    return step.algorithm()(step, actors, prompts, writer, rewards, optimizer, schedule(step, optimizer, 1), rows)


def _look_over(counts: Counts, run: Run) -> None:
    if not counts.rows:
        raise UserError("there are no prompts at all", hint="look at what the step before dropped: `rlhf show`")
    if not counts.used:
        why = in_words(counts.dropped)
        hint = "look at the rows with `rlhf inspect`"
        if "prompt_too_long" in counts.dropped:
            why += f" (the longest has {counts.longest} tokens)"
            hint = "raise max_prompt_length, or lower max_completion_length where the model's context is full"
        raise UserError(f"none of the {counts.rows} prompts can be asked: {why}", hint=hint)
    for reason, n in sorted(counts.dropped.items()):
        run.room.warn(f"{n} of {counts.rows} prompts left out as {reason}")


def shared_rewards(scorers: Sequence[Scorer], actors: Actors, parent: Path, dtype: str) -> dict[str, Score]:
    """The reward models that stand on the policy's own base and are computed in its dtype, by their columns.

    They become adapters beside the policy; any other one is loaded for itself.
    """
    below = [path.name for path in parents(parent)]
    frozen = below if actors.reference else [*below, parent.name]
    found: dict[str, Score] = {}
    for scorer in scorers:
        if not isinstance(scorer, RewardScore) or scorer.reward is None or scorer.dtype != dtype:
            continue
        stands_on = [path.name for path in parents(scorer.reward.folder)]
        if stands_on and stands_on == frozen:
            found[scorer.column] = actors.add_reward(scorer.reward.folder, (), dtype)
        elif actors.reference and stands_on == [*frozen, parent.name]:
            found[scorer.column] = actors.add_reward(scorer.reward.folder, (REFERENCE,), dtype)
    return found


def make_optimizer(step: Ppo, actors: Actors, run: Run) -> torch.optim.Optimizer:
    """By transformers' names, over the policy's and the value model's weights."""
    kind, how = Trainer.get_optimizer_cls_and_kwargs(TrainingArguments(**run.arguments(1)))
    weights = [*actors.policy_weights.values(), *actors.value_weights.values()]
    found: torch.optim.Optimizer = kind(weights, **{"weight_decay": step.weight_decay, **how})
    return found


def schedule(step: Ppo, optimizer: torch.optim.Optimizer, updates: int) -> Any:
    """How the learning rate falls, by updates."""
    warm = step.warmup_steps if step.warmup_steps >= 1 else step.warmup_steps * updates
    return get_scheduler(
        step.lr_scheduler_type, optimizer, num_warmup_steps=math.ceil(warm), num_training_steps=updates
    )


def count_updates(step: Ppo, prompts: int) -> int:
    """How many updates a run over this many prompts makes."""
    if step.max_steps > 0:
        return step.max_steps
    return math.ceil(step.num_train_epochs * prompts / step.global_batch_size)


def before_and_after(ppo: PPO) -> list[dict[str, Any]]:
    """Answers of the reference and of the policy to the first prompts, on the same random numbers."""
    asked = ppo.prompts.of(0)[:_SHOWN]
    requests = [request for _, request in asked]
    before, after = ppo.writer.write(requests, reference=True), ppo.writer.write(requests)
    return [
        {"prompt": row.prompt[-1].content, "answers": {"before": b.text, "after": a.text}}
        for (row, _), b, a in zip(asked, before, after, strict=True)
    ]


def _last_third(history: list[dict[str, float]], name: str) -> float:
    last = [entry[name] for entry in history[-max(1, len(history) // 3) :]]
    return sum(last) / len(last)


def _only_the_policy(actors: Actors) -> None:
    """Takes all adapters but the policy's off the model."""
    model: PeftModel = actors.model
    model.set_adapter("default")
    for name in list(model.peft_config):
        if name != "default":
            model.delete_adapter(name)
