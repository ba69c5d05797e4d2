"""A step in two processes (gloo, on the CPU) learns what it learns in one; a rank that dies ends the run by name."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from typing import Any

import in_ranks
import psutil
import pytest
from small_runs import chat, data_ref, model_ref, pair, room

from curation.artifact import Policy
from curation.errors import UserError
from curation.progress import Progress
from rlhf.recipe.identity import artifact_digest
from rlhf.recipe.step import Done, Step
from rlhf.steps.cpo import Cpo
from rlhf.steps.dpo import Dpo
from rlhf.steps.grpo import Grpo
from rlhf.steps.kto import Kto
from rlhf.steps.launch import in_ranks as launched
from rlhf.steps.ppo import Ppo
from rlhf.steps.reward import Reward
from rlhf.steps.sft import Sft
from rlhf.training.order import BatchOrder
from rlhf.training.ranks import Parts

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]

METHODS = ("sft", "sft, all weights", "reward", "dpo", "kto", "cpo")
TWO = {"num_processes": 2, "save_steps": 2}
DROPPING = {"lora_dropout": 0.1}


@pytest.fixture(scope="module")
def steps(micro: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Step]:
    """19 rows in batches of 8: the last batch of an epoch has 3, which two processes cannot share evenly."""
    place = tmp_path_factory.mktemp("ranks")
    chats = data_ref(place / "chats", [chat(i) for i in range(19)])
    pairs = data_ref(place / "pairs", [pair(i, split="test" if i > 18 else "train") for i in range(24)])
    judged = data_ref(place / "judged", [chat(i, label=i % 2 == 0) for i in range(19)])
    common: dict[str, Any] = {"policy": model_ref(micro), "num_train_epochs": 2, "global_batch_size": 8}
    common |= {"learning_rate": 1e-3}
    lora = common | {"lora_r": 4}
    return {
        "sft": Sft(data=chats, **lora),
        "sft, all weights": Sft(data=chats, tune="full", **common),
        "reward": Reward(data=pairs, rewards_l2_coefficient=0.01, **lora),
        "dpo": Dpo(data=pairs, precompute_ref_log_probs=False, **lora),
        "kto": Kto(data=judged, **lora),
        "cpo": Cpo(data=pairs, **lora),
        "dropping": Sft(data=chats, **lora, **DROPPING),
    }


@pytest.fixture(scope="module")
def in_two(steps: dict[str, Step], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What two processes made of each, and where."""
    place = tmp_path_factory.mktemp("two")
    own = room(place, **TWO)
    (own.work / in_ranks.JOBS).write_bytes(pickle.dumps(steps))
    return launched(in_ranks.each, steps["sft"], own), place


@pytest.mark.parametrize("name", METHODS)
def test_two_processes_learn_what_one_learns(
    steps: dict[str, Step], in_two: tuple[dict[str, Any], Path], tmp_path: Path, name: str
) -> None:
    two, _ = in_two
    one = steps[name].run(room(tmp_path / "one"))
    assert isinstance(one, Done)
    for curve, within in (("loss", 1e-5), ("grad_norm", 1e-4), ("learning_rate", 0)):
        ours, theirs = one.curves[curve], two[name]["curves"][curve]
        assert [at for at, _ in theirs] == [1, 2, 3, 4, 5, 6]
        assert theirs == [(at, pytest.approx(value, abs=within)) for at, value in ours], curve
    for figure in ("steps", "trained_tokens", "learned_tokens", "trainable_parameters", "data"):
        assert two[name]["metrics"][figure] == one.metrics[figure]
    if "held_out" in one.metrics:
        assert two[name]["metrics"]["held_out"]["accuracy"] == one.metrics["held_out"]["accuracy"]
    assert two[name]["numerics"]["processes"] == 2
    assert two[name]["numerics"]["per_device_train_batch_size"] == 4
    assert one.numerics["processes"] == 1
    assert one.numerics["per_device_train_batch_size"] == 8


def test_a_rank_that_is_killed_ends_the_run_and_the_next_goes_on(
    steps: dict[str, Step], in_two: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    own = room(tmp_path, **TWO)
    with pytest.raises(UserError, match=r"rank 1 of 2 was ended by SIGKILL") as failed:
        launched(in_ranks.dies, steps["dropping"], own)
    ended = time.time()
    log = own.work / "ranks.rank1.log"
    assert str(log) in failed.value.hint
    killed = float(log.read_text().rpartition("killed at ")[2].split()[0])
    assert ended - killed < 60, "the other one was waited for"
    assert (own.work / "ranks.rank0.log").exists()
    assert not [p for p in psutil.Process().children() if "rlhf.steps.launch" in " ".join(p.cmdline())]
    assert (own.work / "checkpoint-4").is_dir()
    assert not any(own.out.iterdir())

    heard: list[str] = []
    again = room(tmp_path, **TWO)
    again.progress = type("Heard", (Progress,), {"say": lambda _, text: heard.append(text)})()
    done = steps["dropping"].run(again)
    assert "going on from step 4" in heard
    assert isinstance(done, Done)
    found, place = in_two
    assert done.curves["loss"] == found["dropping"]["curves"]["loss"]
    clean = in_ranks.artifact(place, "dropping")
    assert artifact_digest(Policy, own.out) == artifact_digest(Policy, clean)


def test_a_bug_in_one_rank_is_told_and_not_what_it_does_to_the_others(steps: dict[str, Step], tmp_path: Path) -> None:
    own = room(tmp_path, **TWO)
    with pytest.raises(UserError, match=r"rank 1 of 2 failed: KeyError: 'a bug'"):
        launched(in_ranks.fails, steps["sft"], own)
    assert "Traceback" in (own.work / "ranks.rank1.log").read_text()


def test_every_row_of_an_epoch_is_taken_once_and_in_the_same_parts() -> None:
    """For any number of rows, processes and rows of a part: the real parts, taken in turn, are those of one process."""
    for rows in range(1, 40):
        for batch, size, count in ((8, 2, 2), (8, 4, 2), (12, 2, 3), (12, 4, 3), (4, 1, 4), (8, 8, 1)):
            order = BatchOrder([5] * rows, batch, seed=3)
            alone = list(Parts(order, size, 0, 1))
            each = [Parts(order, size, rank, count) for rank in range(count)]
            taken = [list(parts) for parts in each]
            assert len({len(parts) for parts in taken}) == 1, "all take part as often"
            assert [len(parts) for parts in each] == [len(parts) for parts in taken]
            steps, at = -(-rows // batch), [0] * count
            real: list[list[int]] = []
            for step in range(steps):
                told = [parts.rows(step) for parts in each]
                assert {total for total, _ in told} == {min(batch, rows - step * batch)}
                here = []
                for rank, (_, sizes) in enumerate(told):
                    mine = taken[rank][at[rank] : at[rank] + len(sizes)]
                    at[rank] += len(sizes)
                    here.append([part for part, n in zip(mine, sizes, strict=True) if n])
                    assert all(len(part) == (n or 1) for part, n in zip(mine, sizes, strict=True))
                real += [here[i % count][i // count] for i in range(sum(map(len, here)))]
            assert real == alone
            assert sorted(i for part in real for i in part) == list(range(rows))


@pytest.mark.parametrize("kind", [Ppo, Grpo])
def test_a_method_that_cannot_says_why(micro: Path, tmp_path: Path, kind: type[Step]) -> None:
    chats = data_ref(tmp_path / "data", [chat(i) for i in range(4)])
    step = kind(prompts=chats, policy=model_ref(micro), rewards=["brevity"])
    with pytest.raises(UserError, match=r"trains in one process: .* in one") as refused:
        step.run(room(tmp_path, num_processes=2))
    assert "num_processes" in refused.value.hint


FSDP = "distributed_type: FSDP\ncompute_environment: LOCAL_MACHINE\nfsdp_config: {{fsdp_version: {version}}}\n"
DEEPSPEED = "distributed_type: DEEPSPEED\ncompute_environment: LOCAL_MACHINE\ndeepspeed_config: {zero_stage: 2}\n"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (FSDP.format(version=2), "on GPUs only: on a CPU it would take DDP and not say so"),
        (DEEPSPEED, "the package deepspeed is not installed"),
        ("distributed_type: MULTI_CPU\ncompute_environment: LOCAL_MACHINE\nnum_machines: 3\n", "over 3 machines"),
        ("distributed_type: [\n", "accelerate cannot use"),
        (None, "there is no file"),
    ],
)
def test_how_a_model_is_shared_is_refused_where_it_cannot_be(
    steps: dict[str, Step], tmp_path: Path, config: str | None, said: str
) -> None:
    file = tmp_path / "accelerate.yaml"
    if config is not None:
        file.write_text(config)
    with pytest.raises(UserError, match=said) as refused:
        steps["sft"].run(room(tmp_path, num_processes=2, accelerate_config=str(file)))
    assert refused.value.hint
    assert "RANK" not in os.environ
