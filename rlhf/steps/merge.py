"""`merge`: several adapters become one."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import Kind, Policy, Ref
from curation.settings import ONE_OR_MORE
from rlhf.recipe.step import Done, Room, Step

DENSE = ("ties", "dare_linear", "dare_ties", "magnitude_prune")
"""Combinations that keep a share of the numbers."""


class Merge(Step):
    """One adapter in place of several: adapters that stand on the same parents, or a stack of them.

    Only `cat` is their exact sum; all others are approximations of it, and the run says how far off they are.
    """

    inherits_policy: ClassVar[bool] = False

    revision: ClassVar[int] = 1
    step: Literal["merge"] = "merge"
    policies: Annotated[list[Ref[Policy]], ONE_OR_MORE]
    """The steps whose adapters are merged; of each its own adapter, without those that it stands on. The result stands
    on what all of them stand on and does not name itself."""
    weights: list[float] | None = None
    """Weight of each adapter, in their order; None: 1 each. A negative one takes away."""
    combination_type: Literal["cat", "linear", "svd", "ties", "dare_linear", "dare_ties", "magnitude_prune"] = "cat"
    """How. `cat` puts the adapters side by side: the exact sum, with the sum of their ranks, which may differ. `svd` is
    the nearest adapter of rank `svd_rank` to that sum. `linear` adds up the two factors of each, which is no sum of
    adapters; `ties` (arXiv 2306.01708), `dare_linear` and `dare_ties` (arXiv 2311.03099) and `magnitude_prune` thin
    them out before."""
    svd_rank: int | None = Field(None, ge=1)
    """Rank of the result, for `svd`. None: the highest rank of the adapters."""
    density: float | None = Field(None, gt=0, le=1)
    """Share of the numbers that is kept, for `ties`, `dare_linear`, `dare_ties` and `magnitude_prune`."""
    seed: int = 42
    """Draws what `dare_linear` and `dare_ties` leave out."""

    @model_validator(mode="after")
    def _belong(self) -> Self:
        if self.weights is not None and len(self.weights) != len(self.policies):
            raise ValueError(f"`weights` has {len(self.weights)} numbers for {len(self.policies)} policies")
        names = [str(ref) for ref in self.policies]
        if len(set(names)) < len(names):
            raise ValueError("`policies` names one twice; give it a weight instead")
        if (self.combination_type in DENSE) != (self.density is not None):
            needs = "needs a" if self.combination_type in DENSE else "has no place for"
            raise ValueError(f"`{self.combination_type}` {needs} `density`")
        if self.svd_rank is not None and self.combination_type != "svd":
            raise ValueError("`svd_rank` is for `svd` alone")
        return self

    def makes(self) -> type[Kind]:
        return Policy

    def run(self, room: Room) -> Done:
        from rlhf.training.merge import merge

        return Done(**merge(self, room))
