"""Log-probabilities of the tokens that are learned, and of no others.

TRL's trainers ask the model for `log_probs` at each label through a fused output layer. On a GPU a Triton kernel of
TRL's does that well. On a CPU, TRL projects every position onto the whole vocabulary, prompt and padding included,
works out the entropy and the best token for its logs, and projects again in the backward pass; with 49,152 tokens
that is most of a step. This layer answers the same question: it projects only where a label is, and since the weights
of a frozen layer need no gradient, it takes the gradient of the hidden states along in the forward pass, after which
nothing is left to recompute and nothing large to keep.

What TRL logs besides the loss (`entropy`, `mean_token_accuracy`, mean logits) is zero then; the trainers here do not
log it.
"""

from __future__ import annotations

import functools
import types
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from trl.kernels import ChunkedLogProbFunction
from trl.trainer.utils import FusedCausalLMOutput

from rlhf.training.sharing import hidden_at

CHUNK = 512
"""Tokens projected at once: 100 MB of logits at 49,152 tokens of vocabulary."""
UNMEASURED = ("entropy", "mean_token_accuracy", "logits/chosen", "logits/rejected")
"""Names in TRL's logs that this layer leaves at zero."""


class FrozenHeadLogProbs(torch.autograd.Function):
    """log p(target) for each row of hidden states, under an output layer that is not trained.

    With logits z = W h and p = softmax(z): d log p_t / d h = W_t - W^T p.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        """Shapes: hidden (N, D), weight (V, D), bias (V), targets (N), result (N)."""
        hidden_ND, bias_V, targets_N = hidden, bias, targets
        device = hidden_ND.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_ND.dtype
        needs_grad = ctx.needs_input_grad[0]
        weight_VD = weight.to(dtype)
        logprobs_N = torch.empty(len(hidden_ND), dtype=torch.float32, device=hidden_ND.device)
        slope_ND = torch.empty_like(hidden_ND, dtype=torch.float32) if needs_grad else None
        with torch.autocast(device, enabled=False):
            for start in range(0, len(hidden_ND), CHUNK):
                part = slice(start, start + CHUNK)
                targets_C1 = targets_N[part, None]
                logits_CV = nn.functional.linear(hidden_ND[part].to(dtype), weight_VD)
                if bias_V is not None:
                    logits_CV = logits_CV + bias_V.to(dtype)
                logits_CV = logits_CV.float()
                log_z = logits_CV.logsumexp(-1, keepdim=True)
                logprobs_N[part] = (logits_CV.gather(-1, targets_C1) - log_z)[:, 0]
                if slope_ND is not None:
                    p_CV = logits_CV.sub_(log_z).exp_().to(dtype)
                    slope_ND[part] = weight_VD[targets_C1[:, 0]].float() - (p_CV @ weight_VD).float()
        if slope_ND is not None:
            ctx.save_for_backward(slope_ND)
            ctx.dtype = hidden_ND.dtype
        return logprobs_N

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (slope_ND,) = ctx.saved_tensors
        return (grads[0][:, None] * slope_ND).to(ctx.dtype), None, None, None


def use_compact_head(model: PreTrainedModel) -> bool:
    """Lets `model(..., labels=..., fused_lm_head=True)` answer from this module; returns whether it does.

    Call it after TRL has put its own layer in. It does nothing on a device where TRL's kernel runs, nor for models that
    scale or cap their logits, which TRL's layer knows how to do.
    """
    config = model.config.get_text_config()
    scaled = any(
        getattr(config, name, None) is not None
        for name in (
            "final_logit_softcapping",
            "logit_scale",
            "output_multiplier",
            "lm_head_multiplier",
            "logits_scaling",
        )
    )
    if scaled or model.device.type != "cpu" or getattr(config, "output_router_logits", False):
        return False
    trl_forward = model.forward

    @functools.wraps(type(model).forward)
    def forward(
        self: PreTrainedModel, *args: Any, fused_lm_head: bool = False, labels: Tensor | None = None, **kwargs: Any
    ) -> Any:
        if not fused_lm_head:
            return trl_forward(*args, labels=labels, **kwargs) if labels is not None else trl_forward(*args, **kwargs)
        items = kwargs.pop("num_items_in_batch", None)
        assert labels is not None
        targets_BT = labels[:, 1:]
        mask_BT = targets_BT != -100
        hidden_ND = hidden_at(self.base_model, config, *mask_BT.nonzero(as_tuple=True), *args, **kwargs)
        head: Any = self.get_output_embeddings()
        wanted = (hidden_ND, head.weight, head.bias, targets_BT[mask_BT])
        if head.weight.requires_grad:
            vocabulary = head.weight.shape[0]
            found: Tensor = ChunkedLogProbFunction.apply(*wanted, 1.0, vocabulary, None, 1.0, ("log_probs",))[0]
        else:
            found = FrozenHeadLogProbs.apply(*wanted)
        # `masked_scatter` keeps a batch without any label connected to the model.
        logprobs_BT = found.new_zeros(mask_BT.shape).masked_scatter(mask_BT, found)
        nothing = torch.zeros_like(logprobs_BT)
        return FusedCausalLMOutput(
            loss=-logprobs_BT.sum() / (mask_BT.sum().clamp(min=1) if items is None else items),
            log_probs=logprobs_BT,
            entropy=nothing,
            mean_logits=nothing,
            is_top1=torch.zeros_like(mask_BT),
            label_mask=mask_BT,
        )

    model.forward = types.MethodType(forward, model)
    return True
