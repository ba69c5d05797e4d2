"""`reward`: a model learns to score answers as the pairs say."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from curation.artifact import Kind, Policy, Preferences, Ref, RewardModel
from curation.settings import ONE_OR_MORE
from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.training import trained
from rlhf.training.settings import Optimizing, by_tune


class Reward(Optimizing, Step):
    """A reward model from preferences."""

    revision: ClassVar[int] = 1
    step: Literal["reward"] = "reward"
    data: Annotated[list[Ref[Preferences]], ONE_OR_MORE]
    """The pairs; ties are left out. A split data set is trained on by its part `train`, unless another one is named."""
    policy: Ref[Policy] | None = None
    """Whose layers it stands on; without it the `base` of the recipe."""
    adapter: Literal["new", "merge_first"] = "new"
    """`new`: an adapter and a head on the frozen policy. `merge_first`: the same, saved merged as a full model."""
    learning_rate: float = Field(default_factory=by_tune(1e-4, 1e-5), gt=0)
    """The highest learning rate. Default: 1e-4 with LoRA, 1e-5 for all weights."""
    max_length: int | None = Field(1024, ge=2)
    """Pairs with a longer answer (prompt included) are left out: a reward is read at an answer's end. None: all."""
    center_rewards_coefficient: float | None = Field(None, ge=0)
    """Weight of `(r+ + r-)^2`, which keeps rewards near zero (arXiv 2312.09244); 0.01 is usual. None: not used."""
    rewards_l2_coefficient: float | None = Field(None, ge=0)
    """Weight of `(r+^2 + r-^2) / 2`, which keeps rewards small; OpenAssistant used 0.001 (arXiv 2304.07327). None: not
    used."""
    disable_dropout: bool = True
    """Switch dropout off, the adapter's too."""

    def makes(self) -> type[Kind]:
        return RewardModel

    def run(self, room: Room) -> Done:
        from rlhf.training.reward import train

        return trained(train, self, room)
