"""`dpo`: a policy learns to prefer what the pairs prefer, without straying far from where it started."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import Kind, Policy, Preferences, Ref
from curation.settings import ONE_OR_MORE
from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.training import trained
from rlhf.training.settings import Optimizing, by_tune

Loss = Literal[
    "sigmoid",
    "sigmoid_norm",
    "hinge",
    "ipo",
    "exo_pair",
    "nca_pair",
    "robust",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
    "sft",
]


class Dpo(Optimizing, Step):
    """Direct preference optimization on preferences."""

    revision: ClassVar[int] = 1
    step: Literal["dpo"] = "dpo"
    data: Annotated[list[Ref[Preferences]], ONE_OR_MORE]
    """The pairs; ties are left out. A split data set is trained on by its part `train`, unless another one is named."""
    policy: Ref[Policy] | None = None
    """What to start from, and the reference; without it the `base` of the recipe."""
    learning_rate: float = Field(default_factory=by_tune(5e-5, 1e-6), gt=0)
    """The highest learning rate. Default: 5e-5 with LoRA, 1e-6 for all weights."""
    beta: float = Field(0.1, gt=0)
    """How dear it is to stray from the reference: smaller moves further."""
    loss_type: Loss | list[Loss] = "sigmoid"
    """The loss on a pair, or several that are added up; `sigmoid` is the paper's (arXiv 2305.18290)."""
    loss_weights: list[float] | None = None
    """Weight of each of several losses; None: 1."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """How likely a pair's label is wrong, for `robust` and `exo_pair`."""
    f_divergence_type: Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"] = "reverse_kl"
    """The divergence from the reference that is held down (arXiv 2309.16240)."""
    f_alpha_divergence_coef: float = 0.5
    """Alpha, for `alpha_divergence`."""
    ld_alpha: float | None = Field(None, ge=0, le=1)
    """Weight of the tokens beyond the shorter answer's length (LD-DPO, arXiv 2409.06411); None: as the others."""
    use_weighting: bool = False
    """Weigh pairs by how likely the policy would write them (WPO, arXiv 2406.11827)."""
    discopop_tau: float = Field(0.05, gt=0)
    """Temperature, for `discopop`."""
    precompute_ref_log_probs: bool | None = None
    """Work the reference out once before training. None: where it pays, from the second epoch, and where all weights
    are trained."""
    max_length: int | None = Field(1024, ge=2)
    """Tokens of a prompt with an answer; what lies beyond is cut off and its end is not learned. None: nothing is
    cut."""
    disable_dropout: bool = True
    """Switch dropout off, the adapter's too, in the policy and the reference."""

    @model_validator(mode="after")
    def _losses(self) -> Self:
        losses = [self.loss_type] if isinstance(self.loss_type, str) else self.loss_type
        if self.loss_weights is not None and len(self.loss_weights) != len(losses):
            raise ValueError(f"`loss_weights` has {len(self.loss_weights)} numbers for {len(losses)} losses")
        if "exo_pair" in losses and self.label_smoothing == 0:
            raise ValueError("`exo_pair` needs `label_smoothing` above 0; its paper recommends 1e-3")
        if self.tune == "full" and self.precompute_ref_log_probs is False:
            raise ValueError("with `tune: full` the reference is always worked out before training; remove the key")
        return self

    @property
    def precomputes(self) -> bool:
        """Whether the reference is worked out before training."""
        if self.precompute_ref_log_probs is not None:
            return self.precompute_ref_log_probs
        return self.tune == "full" or (self.max_steps < 0 and self.num_train_epochs > 1)

    def makes(self) -> type[Kind]:
        return Policy

    def run(self, room: Room) -> Done:
        from rlhf.training.dpo import train

        return trained(train, self, room)
