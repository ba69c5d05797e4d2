"""What is heard of a run while it lasts: figures beside the bar, and the files of a tracker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from small_runs import Make, chat, model_ref, pair, room

from curation.errors import UserError
from curation.progress import Bar, Progress
from rlhf.recipe.step import Done
from rlhf.steps.dpo import Dpo
from rlhf.steps.grpo import Grpo
from rlhf.steps.ppo import Ppo
from rlhf.steps.sft import Sft


class Heard(Progress):
    """All that the bar called `training` was told."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.figures: list[dict[str, float]] = []
        self.length = 0

    @contextmanager
    def bar(self, what: str, total: int | None = None, unit: str = "rows") -> Iterator[Bar]:
        if what == "training":
            self.length = total or 0
        yield _Told(self) if what == "training" else Bar()


class _Told(Bar):
    def __init__(self, heard: Heard) -> None:
        self.heard = heard

    def advance(self, n: int = 1, **figures: float) -> None:
        self.heard.steps.append(n)
        self.heard.figures += [figures] if figures else []

    def total(self, n: int) -> None:
        self.heard.length = n


def followed(step: Any, place: Path, **training: Any) -> tuple[Heard, Done]:
    own = room(place, **training)
    own.progress = heard = Heard()
    own.tracking = place / "tracking"
    done = step.run(own)
    assert isinstance(done, Done)
    return heard, done


def test_figures_stand_beside_the_bar_and_a_tracker_writes_them_down(
    micro_copy: Path, rows_ref: Make, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    step = Dpo(
        data=rows_ref([pair(i) for i in range(12)]),
        policy=model_ref(micro_copy),
        lora_r=4,
        learning_rate=1e-3,
        global_batch_size=4,
    )
    heard, done = followed(step, tmp_path / "run", report_to=["tensorboard"])
    assert (heard.length, sum(heard.steps)) == (3, 3)
    for name in ("loss", "margin", "accuracy"):
        assert [f[name] for f in heard.figures] == [value for _, value in done.curves[name]]
    assert all(f["tokens/s"] > 0 for f in heard.figures)

    events = EventAccumulator(str(tmp_path / "run" / "tracking")).Reload()
    for name, curve in (("loss", "loss"), ("rewards/margins", "margin"), ("rewards/accuracies", "accuracy")):
        written = [(e.step, e.value) for e in events.Scalars(f"train/{name}")]
        assert written == [(s, pytest.approx(value, rel=1e-6, abs=1e-9)) for s, value in done.curves[curve]]
    assert list((tmp_path / "run" / "work").glob("**/events.*")) == []  # what lies there goes with the checkpoints


def test_reward_and_divergence_too(micro_copy: Path, rows_ref: Make, tmp_path: Path) -> None:
    step = Grpo(
        prompts=rows_ref([chat(i) for i in range(4)]),
        policy=model_ref(micro_copy),
        rewards=["brevity"],
        lora_r=4,
        learning_rate=1e-2,
        beta=0.1,
        global_batch_size=8,
        num_generations=4,
        max_completion_length=8,
    )
    heard, done = followed(step, tmp_path / "run")
    for name in ("reward", "kl"):
        assert [f[name] for f in heard.figures] == [value for _, value in done.curves[name]]
    assert heard.figures[-1]["kl"] > 0


def test_ppo_tells_a_tracker_too(micro_copy: Path, rows_ref: Make, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    step = Ppo(
        prompts=rows_ref([chat(i) for i in range(4)]),
        policy=model_ref(micro_copy),
        rewards=["brevity"],
        lora_r=4,
        global_batch_size=4,
        max_completion_length=8,
        max_steps=2,
    )
    heard, done = followed(step, tmp_path / "run", report_to=["tensorboard"])
    assert (heard.length, sum(heard.steps)) == (2, 2)
    assert all(f["tokens/s"] > 0 for f in heard.figures)
    events = EventAccumulator(str(tmp_path / "run" / "tracking")).Reload()
    for name in ("reward", "kl", "value_loss"):
        written = [(e.step, e.value) for e in events.Scalars(f"train/{name}")]
        assert written == [(s, pytest.approx(value, rel=1e-6, abs=1e-9)) for s, value in done.curves[name]]


@pytest.mark.parametrize(("name", "said"), [("tensorbored", "is no tracker"), ("trackio", "is not installed")])
def test_a_tracker_that_is_not_there_is_said(
    micro_copy: Path, rows_ref: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setattr("rlhf.training.tracking.get_available_reporting_integrations", lambda: ["tensorboard"])
    step = Sft(data=rows_ref([chat(i) for i in range(4)]), policy=model_ref(micro_copy), global_batch_size=2)
    with pytest.raises(UserError, match=said) as caught:
        followed(step, tmp_path / "run", report_to=[name])
    assert "tensorboard" in caught.value.hint or "pip install 'trackio'" in caught.value.hint
