"""What is looked at before a model is trained: is there something to learn, does it end, is it written as it is asked?

Errors stop the run and say what to do. Warnings are said and kept in the manifest. `rlhf inspect` shows the same on any
file, without training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from curation.errors import UserError
from curation.models.loading import is_sum, model_config, title
from curation.models.template import ChatTemplate
from rlhf.training.encoding import Counts
from rlhf.training.settings import Optimizing

MEANING = {
    "no_assistant": "no answer of the assistant in it",
    "labelled_bad": "a bad answer, which is not imitated",
    "unlabelled": "nobody said whether the answer is good",
    "repeated_prompt": "a prompt that is there already",
    "no_prompt": "nothing stands before the answer",
    "tie": "a tie",
    "cross_prompt": "two conversations with different prompts",
    "identical_answers": "two answers that are the same to the model",
    "prompt_too_long": "a prompt that leaves no room for an answer",
    "too_long": "longer than max_length",
    "template_refuses": "the chat template refuses it",
    "mask_not_exact": "which tokens the assistant wrote cannot be told for certain",
    "control_token": "its text holds a control token, which would end a turn or begin one",
}
"""Reason word -> what it means, for people."""
_ADVICE = {
    "no_assistant": "keep chats that have an answer: `turns: {min: 2}`",
    "labelled_bad": "these rows teach what not to say; use them as preferences",
    "unlabelled": "label them: `scores_to_labels` by a score, or a data set with labels",
    "tie": "leave more room between the answers, or ask people again",
    "cross_prompt": "a policy is asked and never chooses its prompt, so only reward models learn from such pairs; "
    "`{step: curate, operators: [cross_prompt]}` takes them out",
    "identical_answers": "drop such pairs: `identical_pair`",
    "prompt_too_long": "raise max_length; where prompts are answered, max_prompt_length, or lower "
    "max_completion_length",
    "too_long": "raise max_length",
    "template_refuses": "map the roles (`roles`), or give another template: `base: {chat_template_path: ...}`",
    "mask_not_exact": "mark the assistant's turns in the template with {% generation %} ... {% endgeneration %} "
    "(`base: {chat_template_path: ...}`), or set `assistant_only_loss: false`",
    "control_token": "remove such texts from the data",
}
_MANY = 0.2
"""Above this share of the rows, a loss is worth a warning of its own."""


@dataclass
class Findings:
    """What the preflight says."""

    errors: list[tuple[str, str]] = field(default_factory=list)
    """(what is wrong, what to do)."""
    warnings: list[str] = field(default_factory=list)

    def stop(self, where: str = "") -> None:
        """Raises the first error.

        Raises:
            UserError: there is one.
        """
        if self.errors:
            what, hint = self.errors[0]
            raise UserError(what, where=where, hint=hint)


def judge(counts: Counts, template: ChatTemplate, *, max_length: int | None, what: str = "rows") -> Findings:
    """Looks at the counts of encoded rows."""
    found = Findings()
    if counts.rows == 0:
        found.errors.append((f"there are no {what} at all", "look at what the step before dropped: `rlhf show`"))
        return found
    for reason, meaning in (("mask_not_exact", ""), ("cross_prompt", f" compare {MEANING['cross_prompt']}")):
        if (n := counts.dropped[reason]) > 0:
            found.errors.append((f"{n} of {counts.rows} {what}{meaning}: {_first(counts, reason)}", _ADVICE[reason]))
    if counts.used == 0:
        reason, n = counts.dropped.most_common(1)[0]
        longest = (
            f" (the longest has {counts.longest} tokens)"
            if counts.longest and reason in ("prompt_too_long", "too_long")
            else ""
        )
        found.errors.append(
            (
                f"none of the {counts.rows} {what} is left to train on: {n} are left out as {reason}: "
                f"{MEANING.get(reason, reason)}{longest}; {_first(counts, reason)}",
                _ADVICE.get(reason, "look at the rows with `rlhf inspect`"),
            )
        )
        return found
    if counts.no_end == counts.used:
        ends = ", ".join(template.tokenizer.convert_ids_to_tokens(sorted(template.ends)))
        found.errors.append(
            (
                f"no answer ends with an end token ({ends}), so a model trained on this would never stop",
                "let the chat template write the end token after each answer (`base: {chat_template_path: ...}`), "
                "or name the one that it writes: `base: {eos_token: ...}`",
            )
        )
    found.warnings += _warnings(counts, max_length, what)
    return found


def misfits(step: Optimizing, chain: Sequence[Path]) -> list[tuple[str, str]]:
    """What a step's model cannot be used for in this way, each with what to do; told before any weight is read.

    Args:
        step: A training step.
        chain: Folders of the model that it starts from, bottom up: the base, then adapters.
    """
    found = []
    stuck = [folder for folder in chain[1:] if not is_sum(folder)]
    if stuck:
        found.append(
            (
                f"the policy stands on the adapter {title(stuck[0])}, which is no sum and cannot be merged, so nothing "
                "can be trained on top of it",
                "start from a policy without it; a LoRA adapter (`peft_type: lora`) can be built upon",
            )
        )
    if step.quantized and len(chain) > 1:
        found.append(
            (
                "a base in 4 or 8 bits cannot take in the adapters that the policy stands on",
                "leave out load_in_4bit, or export the policy merged and start from that",
            )
        )
    if step.adapter == "continue" and len(chain) == 1:
        found.append(
            (
                "`adapter: continue` needs a policy that is an adapter, and this one is a full model",
                "use `adapter: new`",
            )
        )
    kind = str(model_config(chain[0]).get("model_type"))
    if getattr(step, "step", "") == "reward" and kind not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        found.append(
            (
                f"a model of the type {kind!r} can have no reward head: transformers has no sequence classifier of it",
                "train the reward model on another base (a step `base` of its own: `policy:`), llama or qwen3 say; "
                "it need not be the policy's",
            )
        )
    return found


def _warnings(counts: Counts, max_length: int | None, what: str) -> list[str]:
    said = []
    for reason, n in sorted(counts.dropped.items()):
        if reason != "mask_not_exact":
            advice = f"; {_ADVICE[reason]}" if reason in _ADVICE and n > _MANY * counts.rows else ""
            said.append(f"{n} of {counts.rows} {what} left out as {reason}: {MEANING.get(reason, reason)}{advice}")
    if counts.truncated:
        said.append(
            f"{counts.truncated} of {counts.used} {what} are cut at max_length {max_length} "
            f"(the longest has {counts.longest} tokens); their end is not learned"
        )
    if 0 < counts.no_end < counts.used:
        said.append(f"{counts.no_end} of {counts.used} {what} have an answer without an end token")
    if counts.prompt_differs:
        said.append(
            f"in {counts.prompt_differs} of {counts.used} {what} the answer does not follow the tokens that the prompt "
            "alone gives: the model is trained on another context than it will see"
        )
    if counts.empty_turns:
        said.append(
            f"{counts.empty_turns} of {counts.used} {what} have a turn of the assistant that is nothing but its end "
            "token: does the chat template write tool calls?"
        )
    if counts.weighted:
        said.append(f"{counts.weighted} of {counts.used} {what} have a weight, which TRL's trainers do not use")
    return said


def _first(counts: Counts, reason: str) -> str:
    return f"the first is {counts.first[reason]}"


def table(counts: Counts) -> Sequence[tuple[str, str]]:
    """The counts as lines of (figure, value), for people."""
    share = f" ({counts.supervised / counts.tokens:.0%})" if counts.tokens else ""
    lines = [
        ("rows", f"{counts.rows:,}"),
        ("used", f"{counts.used:,}"),
        *((f"left out: {reason}", f"{n:,}  {MEANING.get(reason, '')}") for reason, n in sorted(counts.dropped.items())),
        ("tokens", f"{counts.tokens:,}"),
        ("learned tokens", f"{counts.supervised:,}{share}"),
        ("longest row", f"{counts.longest:,} tokens"),
        ("cut at max_length", f"{counts.truncated:,}"),
        ("without an end token", f"{counts.no_end:,}"),
        ("with an empty answer", f"{counts.empty_turns:,}"),
        ("prompt differs", f"{counts.prompt_differs:,}"),
    ]
    return lines
