"""Policy, reference, value and reward on one frozen base in memory.

PPO needs four models. With LoRA they differ by adapters of a hundredth of the base's size, so one base carries them
all: switched to its own adapter it is the policy, to another one with a head the value or the reward, and to none of
them the reference, which is the policy as it was at the start. A policy whose own adapter is trained on
(`adapter: continue`) has a frozen copy of it for a reference.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from curation.conversation import Conversation
from curation.errors import UserError
from curation.models.lineage import parents
from curation.models.loading import generation_config, load_tokenizer, title
from curation.models.numerics import compute_dtype
from curation.models.rewards import LoadedReward, chat_ids, rewards_of
from curation.models.scoring import output_logits
from curation.models.template import ChatTemplate
from rlhf.training.adapters import lora_config
from rlhf.training.fused import fuse
from rlhf.training.lmhead import FrozenHeadLogProbs
from rlhf.training.settings import Tuning
from rlhf.training.sharing import tree_of

POLICY, VALUE, REFERENCE = "default", "value", "reference"
CHUNK = 128
"""Tokens that the output layer is asked about at once: 25 MB of logits at 49,152 tokens of vocabulary."""
_SCALED = ("logit_scale", "logits_scaling", "final_logit_softcapping")


@dataclass(frozen=True)
class Micro:
    """Answers that go through the model at once, with their prompts, padded on the right.

    What all rows begin with stands in `inputs` once, where the model can read such a tree (`rlhf.training.sharing`).
    """

    rows: Tensor
    """(M) which answers of the update these are."""
    inputs: dict[str, Tensor]
    """What the model's layers take."""
    at: tuple[Tensor, Tensor]
    """Where the hidden state lies that each of the K answer tokens is predicted from."""
    targets: Tensor
    """(K) the tokens of the answers, answer by answer."""
    mask: Tensor
    """(M, T) True for the tokens of each answer, of which the longest in the update has T."""

    def flat(self, padded: Tensor) -> Tensor:
        """(answers of the update, T) -> (K) of these answers' tokens."""
        return padded[self.rows][self.mask]

    def fill(self, padded: Tensor, flat: Tensor) -> None:
        """The reverse of `flat`, into rows of zeros."""
        padded[self.rows] = padded.new_zeros(self.mask.shape).masked_scatter(self.mask, flat)


def micro_batch(
    rows: Sequence[int], prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], width: int, model: Any
) -> Micro:
    """The answers `rows` of an update, ready for the model.

    Args:
        prompts: Token ids of all prompts of the update.
        answers: Of all answers, their end tokens included; none is empty.
        width: Tokens of the longest answer of the update.
        model: Without its adapters; its config says whether rows can share what they begin with.
    """
    device = model.device
    whole = [[*prompts[i], *answers[i]] for i in rows]
    ids_ML = torch.zeros(len(rows), max(map(len, whole)), dtype=torch.long)
    seen_ML = torch.zeros_like(ids_ML)
    mask_MT = torch.zeros(len(rows), width, dtype=torch.bool)
    row_K, column_K, target_K = [], [], []
    for m, (i, tokens) in enumerate(zip(rows, whole, strict=True)):
        ids_ML[m, : len(tokens)] = torch.tensor(tokens)
        seen_ML[m, : len(tokens)] = 1
        mask_MT[m, : len(answers[i])] = True
        row_K += [m] * len(answers[i])
        column_K += range(len(prompts[i]) - 1, len(tokens) - 1)
        target_K += answers[i]
    at = torch.tensor(row_K), torch.tensor(column_K)
    inputs = {"input_ids": ids_ML, "attention_mask": seen_ML}
    tree = tree_of(ids_ML, seen_ML, model.config.get_text_config()) if device.type == "cpu" else None
    if tree is not None:
        inputs = {"input_ids": tree.ids, "position_ids": tree.positions, "attention_mask": tree.mask}
        at = tree.group[at[0]], tree.place[at]
    return Micro(
        torch.tensor(rows, device=device),
        {name: x.to(device) for name, x in inputs.items()},
        (at[0].to(device), at[1].to(device)),
        torch.tensor(target_K, device=device),
        mask_MT.to(device),
    )


class Actors:
    """The models of PPO.

    Args:
        model: As `rlhf.training.adapters.load_parent` gives it: frozen, or with the adapter that is trained on.
        settings: Of the new adapters.
        temperature: Logits are divided by it, as they are when answers are drawn.
    """

    def __init__(self, model: Any, settings: Tuning, temperature: float = 1.0) -> None:
        self.temperature = temperature
        if isinstance(model, PeftModel):
            self.model = model
            config: Any = model.peft_config[POLICY]
            self.reference: tuple[str, ...] = (REFERENCE,)
            self.model.add_adapter(REFERENCE, copy.deepcopy(config))
            _copy_adapter(self.model, POLICY, REFERENCE)
        else:
            config = lora_config(model, settings)
            self.model = get_peft_model(model, config)
            self.reference = ()
        self.model.add_adapter(VALUE, copy.deepcopy(config))
        self.inner: Any = self.model.get_base_model()
        self.device: torch.device = self.inner.device
        text = self.inner.config.get_text_config()
        self.value_head = nn.Linear(text.hidden_size, 1).to(self.device)
        nn.init.zeros_(self.value_head.weight)  # so that the value of everything is 0 at first
        nn.init.zeros_(self.value_head.bias)
        self._plain = not any(getattr(text, name, None) for name in _SCALED)
        dtype = compute_dtype(settings.dtype, self.device)
        self._autocast = torch.bfloat16 if dtype == torch.bfloat16 else None
        self.model.eval()  # no dropout: a ratio of probabilities would measure it
        for name, weights in self.model.named_parameters():
            weights.requires_grad_(_of(POLICY, name) or _of(VALUE, name))
            if weights.requires_grad:
                weights.data = weights.data.float()
        # DoRA's lengths of the weights' columns: in the reference they are those of the base, not 0.
        self._lengths = {n: p.detach().clone() for n, p in self.policy_weights.items() if "lora_magnitude" in n}
        self.use(())
        fuse(self.inner)
        self._kept: tuple[Micro, Tensor] | None = None
        self._recomputes = False

    @property
    def policy_weights(self) -> dict[str, nn.Parameter]:
        """What of the policy is trained, by name."""
        return {n: p for n, p in self.model.named_parameters() if _of(POLICY, n)}

    @property
    def value_weights(self) -> dict[str, nn.Parameter]:
        """What of the value is trained, by name."""
        adapter = {n: p for n, p in self.model.named_parameters() if _of(VALUE, n)}
        return {**adapter, "head.weight": self.value_head.weight, "head.bias": self.value_head.bias}

    def recompute(self) -> None:
        """Gives up the layers' activations after a forward pass, and computes them again in the backward pass."""
        self._recomputes = True
        self.inner.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        for module in self.inner.modules():
            if isinstance(module, GradientCheckpointingLayer):
                module.training = True  # or it would not; what is inside stays as it is, without dropout

    # What the models say

    def logprobs(self, micro: Micro) -> Tensor:
        """(K) log-probability of each answer token under the policy, at the temperature."""
        kept, self._kept = self._kept, None
        hidden_KD = kept[1] if kept is not None and kept[0] is micro else self._hidden((POLICY,), micro)
        return self._logprobs(hidden_KD / self.temperature, micro)

    @torch.no_grad()
    def compare(self, micro: Micro, *, keep: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """(K) log-probabilities under policy and reference, and the KL of the two where a token was drawn.

        That KL is over the whole vocabulary and no estimate from the one token, whose variance is many times larger.

        Args:
            keep: Keep what the next call of `logprobs`, if it is about the same answers, needs for its gradient: a
                forward pass less. The policy must not have moved in between.
        """
        reference_KD = self._hidden(self.reference, micro) / self.temperature
        with torch.set_grad_enabled(keep and not self._recomputes):  # to compute it again takes the same adapter
            hidden_KD = self._hidden((POLICY,), micro)
        self._kept = (micro, hidden_KD) if hidden_KD.requires_grad else None
        policy_KD = hidden_KD.detach() / self.temperature
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        with self.computing():
            for start in range(0, len(micro.targets), CHUNK):
                part = slice(start, start + CHUNK)
                target_C1 = micro.targets[part, None]
                p_CV, q_CV = self._log_softmax(policy_KD[part]), self._log_softmax(reference_KD[part])
                p_C, q_C = p_CV.gather(-1, target_C1)[:, 0], q_CV.gather(-1, target_C1)[:, 0]
                found.append((p_C, q_C, q_CV.sub_(p_CV).neg_().mul_(p_CV.exp_()).sum(-1)))
        p_K, q_K, kl_K = (torch.cat(parts) for parts in zip(*found, strict=True))
        return p_K, q_K, kl_K

    def values(self, micro: Micro) -> Tensor:
        """(K) what the value model expects before each answer token, of all rewards from there on."""
        value_K: Tensor = self.value_head(self._hidden((VALUE,), micro).float())[:, 0]
        return value_K

    def _hidden(self, adapters: tuple[str, ...], micro: Micro) -> Tensor:
        self.use(adapters)
        with self.computing():
            hidden_BTD: Tensor = self.inner.base_model(**micro.inputs, use_cache=False).last_hidden_state
        return hidden_BTD[micro.at]

    def _logprobs(self, hidden_KD: Tensor, micro: Micro) -> Tensor:
        with self.computing():
            if not self._plain:
                logits_KV = output_logits(self.inner, hidden_KD * self.temperature) / self.temperature
                return logits_KV.gather(-1, micro.targets[:, None])[:, 0] - logits_KV.logsumexp(-1)
            parts = zip(hidden_KD.split(CHUNK), micro.targets.split(CHUNK), strict=True)
            return torch.cat([FrozenHeadLogProbs.apply(h, *self._head(), t) for h, t in parts])

    def _head(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of the output layer, for hidden states that are divided by the temperature."""
        head: Any = self.inner.get_output_embeddings()
        return head.weight, None if head.bias is None else head.bias / self.temperature

    def _log_softmax(self, hidden_CD: Tensor) -> Tensor:
        if not self._plain:
            return (output_logits(self.inner, hidden_CD * self.temperature) / self.temperature).log_softmax(-1)
        weight, bias = self._head()
        logits_CV = nn.functional.linear(hidden_CD, weight)  # the bias apart, as in learning: the same rounding
        logits_CV = (logits_CV if bias is None else logits_CV + bias.to(logits_CV.dtype)).float()
        return logits_CV.sub_(logits_CV.logsumexp(-1, keepdim=True))

    @torch.no_grad()
    def move_back(self, share: float) -> None:
        """Leaves this share of the policy's way from the reference, in a straight line between their weights.

        A new adapter's way is its second matrix, which is 0 in the reference; the first one means nothing without it.
        DoRA's is also how long it has made the columns of the weights.
        """
        if share == 1:
            return
        every = dict(self.model.named_parameters())
        for name, weights in self.policy_weights.items():
            if self.reference:
                weights.lerp_(every[name.replace(f".{POLICY}", f".{REFERENCE}")], 1 - share)
            elif "lora_B" in name:
                weights.mul_(share)
            elif name in self._lengths:
                weights.lerp_(self._lengths[name], 1 - share)

    def computing(self) -> torch.autocast:
        """The arithmetic that `dtype` asks for."""
        return torch.autocast(self.device.type, self._autocast, enabled=self._autocast is not None)

    def use(self, adapters: tuple[str, ...]) -> None:
        """Switches to these adapters, or to the base alone.

        peft's own switch decides at once which weights are trained, and takes as long as a small model's forward pass.
        """
        for layer in self.layers:
            if not adapters:
                layer._disable_adapters = True
            else:
                layer._disable_adapters = False
                layer._active_adapter = list(adapters)

    @cached_property
    def layers(self) -> list[BaseTunerLayer]:
        """The layers that have adapters."""
        return [m for m in self.model.modules() if isinstance(m, BaseTunerLayer)]

    # Rewards on the same base

    def add_reward(self, folder: Path, stands_on: Sequence[str], dtype: str) -> SharedReward:
        """The reward model of this folder as an adapter here.

        Args:
            stands_on: The adapters that its own lies on, of those that are here.

        Raises:
            UserError: the folder's adapter is none of a reward model, or does not fit the base.
        """
        name = f"reward_{folder.name[:12]}"
        config = LoraConfig.from_pretrained(str(folder))
        config.task_type, config.modules_to_save, config.inference_mode = "CAUSAL_LM", None, True
        weights = load_file(folder / "adapter_model.safetensors")
        heads = {key: weights.pop(key) for key in list(weights) if key.endswith(".score.weight")}
        width = self.value_head.in_features
        if len(heads) != 1 or (head := next(iter(heads.values()))).shape != (1, width):
            shape = " and ".join(str(tuple(h.shape)) for h in heads.values()) or "none"
            raise UserError(
                f"{title(folder)} is no reward model for this policy: its head has the shape {shape}, not (1, {width})",
                hint="a reward model gives one number a chat; the step is `reward`",
            )
        self.model.add_adapter(name, config)
        try:
            loaded = set_peft_model_state_dict(self.model, weights, adapter_name=name)
        except RuntimeError as error:
            raise _another_base(folder) from error
        mine = [n for n, _ in self.model.named_parameters() if _of(name, n)]
        if loaded.unexpected_keys or len(mine) != len(weights):
            raise _another_base(folder)
        for n, p in self.model.named_parameters():
            if _of(name, n):
                p.requires_grad_(False)
        self.__dict__.pop("layers", None)  # there may be more of them now
        linear = nn.Linear(width, 1, bias=False)
        linear.weight = nn.Parameter(head.float(), requires_grad=False)
        text = self.inner.config.get_text_config()
        context = int(getattr(text, "max_position_embeddings", None) or 2**31 - 1)
        template = ChatTemplate(load_tokenizer(folder), generation_config(parents(folder)[0]))
        loaded_reward = LoadedReward(
            self.inner.base_model, linear.to(self.device), template, self.device, dtype, title(folder), context
        )
        return SharedReward(self, (*stands_on, name), loaded_reward)


@dataclass(frozen=True)
class SharedReward:
    """A reward model that is an adapter on the policy's base: the numbers of its scorer, without its memory."""

    actors: Actors
    adapters: tuple[str, ...]
    loaded: LoadedReward

    def __call__(self, chats: list[Conversation]) -> list[float]:
        """The reward of each chat's last answer.

        Raises:
            Refused: a chat cannot be written in the model's template.
        """
        self.actors.use(self.adapters)
        with self.actors.computing():
            return rewards_of(self.loaded, [chat_ids(self.loaded, chat) for chat in chats])


def _of(adapter: str, name: str) -> bool:
    return f".{adapter}." in name or name.endswith(f".{adapter}")


def _copy_adapter(model: PeftModel, source: str, target: str) -> None:
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            if _of(source, name):
                other = name.replace(f".{source}.", f".{target}.")
                if other == name:
                    other = name.removesuffix(source) + target
                weights[other].copy_(value)


def _another_base(folder: Path) -> UserError:
    return UserError(
        f"the adapter {title(folder)} does not fit the policy's base",
        hint="it was trained on another model; give the reward model its own base, or train one on this policy",
    )
