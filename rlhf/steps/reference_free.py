"""What `orpo` and `cpo` share: pairs, no reference, and trainers that TRL calls experimental."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from curation.artifact import Kind, Policy, Preferences, Ref
from curation.settings import ONE_OR_MORE
from rlhf.training.settings import Optimizing


class ReferenceFree(Optimizing):
    """Preference optimization without a reference model."""

    apart_from_parent: ClassVar[bool] = True

    data: Annotated[list[Ref[Preferences]], ONE_OR_MORE]
    """The pairs; ties are left out. A split data set is trained on by its part `train`, unless another one is named."""
    policy: Ref[Policy] | None = None
    """What to start from; without it the `base` of the recipe."""
    max_length: int | None = Field(1024, ge=2)
    """Tokens of a prompt with an answer; what lies beyond is cut off and its end is not learned. None: nothing is
    cut."""
    disable_dropout: bool = True
    """Switch dropout off, the adapter's too."""

    def makes(self) -> type[Kind]:
        return Policy

    def experimental(self) -> list[str]:
        """That TRL may change the trainer or take it away."""
        return [f"TRL calls its {type(self).__name__.upper()} trainer experimental: it may change, and `dpo` will not"]

    def advice(self) -> list[str]:
        return [*super().advice(), *self.experimental()]
