"""Trackers that people use besides the run's own page: `report_to` of a profile, by transformers' names.

transformers brings a callback for each. Here only two things are added: a tracker that is not there is said before
anything is loaded, and the files of TensorBoard lie in the store, where they stay when the checkpoints go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback, get_available_reporting_integrations
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from curation.errors import UserError

if TYPE_CHECKING:
    from rlhf.recipe.step import Room

_PACKAGES = {"tensorboard": "rlhf-curation[track]", "comet_ml": "comet-ml"}
"""Where the package is called otherwise than the tracker."""


def reporting(names: Sequence[str]) -> list[str]:
    """The trackers of a profile, all of them there.

    Raises:
        UserError: one has no such name, or is not installed.
    """
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
            raise UserError(f"report_to names {name!r}, which is no tracker", hint=f"use some of {known}")
        if name not in get_available_reporting_integrations():
            package = _PACKAGES.get(name, name)
            raise UserError(f"report_to names {name}, which is not installed", hint=f"pip install '{package}'")
    return list(names)


def keep_events(callbacks: Sequence[TrainerCallback], folder: Path | None) -> None:
    """Lets TensorBoard's files be written to a folder, unless TENSORBOARD_LOGGING_DIR names another one."""
    for callback in callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None and folder is not None:
            callback.logging_dir = str(folder)


class Trackers:
    """The trackers of a run that has no `Trainer` around it."""

    def __init__(self, room: Room) -> None:
        self.callbacks = [INTEGRATION_TO_CALLBACK[name]() for name in reporting(room.profile.training.report_to)]
        keep_events(self.callbacks, room.tracking)
        arguments = TrainingArguments(output_dir=str(room.work), run_name=room.name, report_to="none")
        self._common = (arguments, TrainerState(), TrainerControl())

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """The figures of a step, under their names."""
        self._common[1].global_step = step
        for callback in self.callbacks:
            callback.on_log(*self._common, logs=dict(figures))


@contextmanager
def trackers(room: Room) -> Iterator[Trackers]:
    """The trackers that the profile names, from the first step to the last.

    Raises:
        UserError: one of them is not there.
    """
    found = Trackers(room)
    for callback in found.callbacks:
        callback.on_train_begin(*found._common)
    yield found
    for callback in found.callbacks:
        callback.on_train_end(*found._common)
