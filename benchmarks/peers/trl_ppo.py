"""PPO of TRL 1.12, the last that had it, on one job of `benchmarks/ppo.py`; runs in an environment of its own.

    python benchmarks/peers/trl_ppo.py JOB

JOB is a JSON file. The policy is a LoRA adapter and the reference that adapter switched off, as TRL's documentation has
it; value and reward are models of their own. `separate` gives the reference a copy of its own too, four models in all,
of which the value model has an adapter like the policy. Prints seconds, CPU seconds and peak memory as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer


class Clock(TrainerCallback):
    """Wall and CPU time at the end of each update."""

    def __init__(self) -> None:
        self.marks = [(time.perf_counter(), time.process_time())]

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.marks.append((time.perf_counter(), time.process_time()))


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(job["threads"])
    tokenizer = AutoTokenizer.from_pretrained(job["model"], padding_side="left")

    def lora(task: str) -> LoraConfig:
        return LoraConfig(r=job["lora_r"], lora_alpha=2 * job["lora_r"], target_modules="all-linear", task_type=task)

    def causal() -> Any:
        return AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)

    def classifier() -> Any:
        return AutoModelForSequenceClassification.from_pretrained(job["model"], num_labels=1, dtype=torch.float32)

    policy, value, reward = causal(), classifier(), classifier()
    reference = None
    if job["separate"]:
        reference, value = causal(), get_peft_model(classifier(), lora("SEQ_CLS")).base_model.model
    args = PPOConfig(
        output_dir=job["out"],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        per_device_train_batch_size=job["rows"],
        gradient_accumulation_steps=job["batch"] // job["rows"],
        num_mini_batches=1,
        num_ppo_epochs=job["epochs"],
        total_episodes=job["batch"] * job["updates"],
        response_length=job["answer"],
        stop_token="eos",
        temperature=1.0,
        learning_rate=job["learning_rate"],
        local_rollout_forward_batch_size=job["batch"],
        num_sample_generations=0,
        missing_eos_penalty=1.0,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        seed=1,
    )
    clock = Clock()
    data = Dataset.from_dict({"input_ids": job["prompts"]})
    trainer = PPOTrainer(
        args=args,
        processing_class=tokenizer,
        model=policy,
        ref_model=reference,
        reward_model=reward,
        value_model=value,
        train_dataset=data,
        eval_dataset=data,
        peft_config=lora("CAUSAL_LM"),
        callbacks=[clock],
    )
    clock.marks = [(time.perf_counter(), time.process_time())]
    trainer.train()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("RESULT", json.dumps({"marks": clock.marks, "peak_mb": peak}))


if __name__ == "__main__":
    main()
