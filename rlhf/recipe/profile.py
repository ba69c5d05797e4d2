"""Where and how fast. Nothing in a profile changes what a result means, so nothing of it enters a key.

What it does decide (threads, micro-batch, device) is noted in each manifest as the numerics class, because bitwise
equality is promised within one class only.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from curation.operator import Settings


class Engine(Settings):
    """Runs the operators of curate."""

    kind: Literal["local", "ray"] = "local"
    """`local` streams batches through Polars; `ray` sends them to a cluster and needs the extra of that name."""
    address: str | None = None
    """Of a Ray cluster: `ray://head:10001`, `head:6379`, or `auto` for the one that runs on this machine. None starts
    one here for the run, which nothing outside this machine can reach."""
    workers: int | None = Field(None, ge=1)
    """Batches that a cluster works on at once. None: one for each of its CPUs. Results do not change."""
    batch_rows: int = Field(10_000, ge=1)
    """Rows of one batch; memory grows with it, results do not change."""


class Training(Settings):
    """How trainers use the machine."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """`auto` takes CUDA, then MPS, then the CPU."""
    threads: int | None = Field(None, ge=1)
    """CPU threads of one job; None: all cores."""
    num_processes: int = Field(1, ge=1)
    """Processes of one training step."""
    per_device_train_batch_size: int | None = Field(None, ge=1)
    """Rows in memory at once, per process; accumulation makes up `global_batch_size`. None: as many as fit 8."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    attn_implementation: str = "sdpa"
    """Attention kernel, by transformers' names."""
    save_steps: int | None = Field(None, ge=1)
    """Optimizer steps between checkpoints that a killed run resumes from; None: about every half minute."""
    accelerate_config: str | None = None
    """File for `accelerate launch`."""
    report_to: list[str] = Field(default_factory=list)
    """transformers' names: tensorboard, wandb, mlflow, trackio."""


class Generation(Settings):
    """How answers are sampled."""

    backend: Literal["transformers", "vllm", "endpoint"] = "transformers"
    per_device_eval_batch_size: int = Field(32, ge=1)
    """Prompts decoded at once."""


class Labeling(Settings):
    """Where people answer. The key for a server comes from ARGILLA_API_KEY only."""

    backend: Literal["file", "argilla"] = "file"
    folder: str | None = None
    """Folder of the files that people fill in; None: `labeling/` in the store."""
    format: Literal["jsonl", "csv"] = "csv"
    api_url: str | None = None
    workspace: str | None = None


class Endpoint(Settings):
    """An OpenAI-compatible server."""

    base_url: str
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; the key itself is written nowhere."""
    model: str | None = None
    """Name that the server knows the model by; None: the name in the recipe."""
    usd_per_mtok: tuple[float, float] | None = None
    """Price of a million tokens in dollars: (prompt, completion). None: money is not counted."""
    concurrency: int = Field(8, ge=1)
    """Questions that are under way at once."""
    requests_per_minute: int | None = Field(None, ge=1)
    """As many as are sent, retries included. None: as many as `concurrency` and the server's own limits allow. When the
    server asks for a pause (Retry-After), nothing is sent until it is over."""
    timeout_s: float = Field(120.0, gt=0)


class Profile(Settings):
    """A profile file, all of it optional."""

    store: str | None = None
    """Folder of artifacts and caches; default RLHF_STORE, else `.rlhf`."""
    engine: Engine = Engine()
    training: Training = Training()
    generation: Generation = Generation()
    labeling: Labeling = Labeling()
    endpoints: dict[str, Endpoint] = Field(default_factory=dict)
    """Name in the recipe (`endpoint_model`) -> server."""
