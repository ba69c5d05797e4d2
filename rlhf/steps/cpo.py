"""`cpo`: preferences without a reference, SimPO among them. Experimental in TRL."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.reference_free import ReferenceFree
from rlhf.steps.training import trained
from rlhf.training.settings import by_tune


class Cpo(ReferenceFree, Step):
    """Contrastive preference optimization, or SimPO, on preferences, without a reference. TRL's trainer is
    experimental.
    """

    revision: ClassVar[int] = 1
    step: Literal["cpo"] = "cpo"
    learning_rate: float = Field(default_factory=by_tune(5e-5, 1e-6), gt=0)
    """The highest learning rate. Default: 5e-5 with LoRA, 1e-6 for all weights."""
    loss_type: Literal["sigmoid", "hinge", "ipo", "simpo", "alphapo"] = "sigmoid"
    """`sigmoid` is CPO's (arXiv 2401.08417); `simpo` (arXiv 2405.14734) takes mean log-probabilities and a margin, its
    paper with `cpo_alpha: 0`; `hinge` (arXiv 2305.10425), `ipo` (arXiv 2310.12036), `alphapo` (arXiv 2501.03884)."""
    beta: float = Field(0.1, gt=0)
    """How sharply log-probabilities are told apart. SimPO's paper has 2.0 to 10."""
    cpo_alpha: float = Field(1.0, ge=0)
    """Weight of the chosen answer's likelihood; 0: none. `alphapo` takes none."""
    simpo_gamma: float = Field(0.5, ge=0)
    """How far the chosen answer shall be ahead, for `simpo` and `alphapo`."""
    alpha: float = 0.0
    """Shape of the reward `(1 - p^-alpha) / alpha` (AlphaPO); 0: log p."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """How likely a pair's label is wrong, for `sigmoid` and `simpo`."""

    @model_validator(mode="after")
    def _belong(self) -> Self:
        if self.label_smoothing and self.loss_type in ("hinge", "ipo"):
            raise ValueError(f"`{self.loss_type}` has no place for `label_smoothing`; remove it")
        if self.loss_type == "alphapo" and self.alpha == 0:
            raise ValueError("`alphapo` needs an `alpha`; its paper has 0.25")
        return self

    def run(self, room: Room) -> Done:
        from rlhf.training.cpo import train

        return trained(train, self, room)
