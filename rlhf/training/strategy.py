"""How several processes share a model: what a file of `accelerate config` says, handed on as `accelerate launch` does.

Without a file each process holds the whole model and gradients are averaged (DDP). A file adds FSDP or DeepSpeed. What
is trained, in what numbers and in what batches stays the recipe's and the profile's: those lines of the file are not
read.
"""

from __future__ import annotations

import contextlib
import io
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from curation.errors import UserError, first_line
from curation.models.numerics import use_device

_OURS = ("ACCELERATE_MIXED_PRECISION", "ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "OMP_NUM_THREADS")
"""What the recipe and the profile say."""


def environment(config: Path | None, count: int, device: str) -> dict[str, str]:
    """The variables by which accelerate learns how the model is shared.

    Args:
        config: A file of `accelerate config`; None: DDP.
        count: Processes.
        device: The profile's.

    Raises:
        UserError: the machine has no devices for them, or the file cannot be used.
    """
    kind = use_device(device).type
    _need_devices(kind, count)
    if config is None:
        return {}
    asked = _read(config, count)
    if int(asked.num_machines or 1) > 1:
        raise UserError(
            f"{config} spreads a run over {asked.num_machines} machines; a training step runs on one",
            hint="set `num_machines: 1` in it",
        )
    if asked.use_deepspeed:
        return _deepspeed(asked, config, kind)
    if asked.use_fsdp:
        return _fsdp(asked, config, kind)
    if asked.use_megatron_lm or asked.tpu:
        raise UserError(f"{config} asks for what is not supported", hint="DDP, FSDP and DeepSpeed are")
    return {}


def _need_devices(kind: str, count: int) -> None:
    import torch

    if kind == "mps" and count > 1:
        raise UserError(
            f"{count} processes cannot share one Apple GPU",
            hint="set `training: {num_processes: 1}` in the profile, or `device: cpu`",
        )
    if kind == "cuda" and count > (there := torch.cuda.device_count()):
        raise UserError(
            f"the profile asks for {count} processes, and this machine has {there} CUDA devices",
            hint=f"set `training: {{num_processes: {there}}}`",
        )


def _read(config: Path, count: int) -> Any:
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    if not config.is_file():
        raise UserError(f"there is no file {config}", hint="`accelerate config --config_file FILE` writes one")
    flags = ["--config_file", str(config), "--num_processes", str(count), "step"]
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            asked, _, _ = _validate_launch_command(launch_command_parser().parse_args(flags))
    except (Exception, SystemExit) as error:  # whatever accelerate raises at a file that it cannot read
        raise UserError(
            f"accelerate cannot use {config}: {first_line(error)}",
            hint="`accelerate config --config_file FILE` writes one",
        ) from error
    return asked


def _fsdp(asked: Any, config: Path, kind: str) -> dict[str, str]:
    from accelerate.utils.launch import prepare_multi_gpu_env

    if kind == "cpu":
        raise UserError(
            f"{config} asks for FSDP, which accelerate knows on GPUs only: on a CPU it would take DDP and not say so",
            hint="remove accelerate_config from the profile: on a CPU all processes share one memory anyway",
        )
    if int(asked.fsdp_version) != 2:
        raise UserError(f"{config} asks for the first FSDP", hint="set `fsdp_version: 2` under `fsdp_config`")
    # Plain files, which are read without running code, as all checkpoints are.
    asked.fsdp_state_dict_type = "FULL_STATE_DICT"
    return _new(prepare_multi_gpu_env(asked))


def _deepspeed(asked: Any, config: Path, kind: str) -> dict[str, str]:
    from accelerate.utils.launch import prepare_deepspeed_cmd_env

    if find_spec("deepspeed") is None:
        raise UserError(
            f"{config} asks for DeepSpeed, and the package deepspeed is not installed",
            hint="pip install deepspeed, or remove accelerate_config from the profile",
        )
    if kind != "cuda":
        raise UserError(f"{config} asks for DeepSpeed, which needs CUDA devices", hint="remove accelerate_config")
    return _new(prepare_deepspeed_cmd_env(asked)[1])


def _new(found: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in found.items() if os.environ.get(k) != v and k not in _OURS}
