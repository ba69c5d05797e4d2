"""`rlhf check --deep`: each training step's preflight, on the rows that it would be given, before any weight is loaded.

What a step checks when it begins is checked here alone, for all steps whose data are there: rows as the model would see
them, what is left out and why, end tokens, what is cut, a leak between training and test. Beside that stands what a run
would only meet later: a reward head that the model cannot have, adapters that cannot be taken in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.artifact import Ref
from curation.errors import UserError
from curation.frame import to_rows
from curation.models.lineage import chain_of
from curation.models.loading import generation_config, load_tokenizer, model_config
from curation.models.template import ChatTemplate
from rlhf.training.columns import held_out_rows, training_rows
from rlhf.training.encoding import Encodings, for_dpo, for_kto, for_reward, for_sft
from rlhf.training.inspect import Inspection
from rlhf.training.leaks import alike, refuse_overlap
from rlhf.training.preflight import Findings, judge, misfits
from rlhf.training.settings import Optimizing, step_advice


@dataclass(frozen=True)
class Reader:
    """What is needed to write a prompt for a model: all but the model."""

    tokenizer: Any
    template: ChatTemplate
    context: int


def look(step: Optimizing, refs: Sequence[Ref[Any]], model: Path) -> Inspection:
    """The preflight of one step.

    Args:
        step: A training step.
        refs: Its data, bound to folders.
        model: The policy that it starts from, or one that this comes from: only tokenizer and settings are read.

    Raises:
        UserError: the data have no part to train on, or the model has no chat template.
    """
    chain = chain_of(model)
    template = ChatTemplate(load_tokenizer(model), generation_config(chain[0]))
    rows, test = training_rows(refs), held_out_rows(refs)
    kind = getattr(step, "step", "")
    max_length = getattr(step, "max_length", None)
    encodings = _encode(step, kind, rows, template, chain[0])
    findings = judge(encodings.counts, template, max_length=max_length, what="rows")
    _leaks(findings, rows, test)
    findings.errors += misfits(step, chain)
    said = step_advice(len(encodings), step)
    pairs = kind in ("dpo", "orpo", "cpo", "reward")
    makes = "preferences" if pairs else "conversations"
    return Inspection(makes, len(rows), Counter(), encodings, template, findings, max_length, said)


def _encode(step: Any, kind: str, rows: Any, template: ChatTemplate, base: Path) -> Encodings:
    found = to_rows(rows)
    if kind == "sft":
        learned = step.assistant_only_loss
        return for_sft(found, template, max_length=step.max_length, assistant_only_loss=learned)
    if kind in ("dpo", "orpo", "cpo"):
        return for_dpo(found, template, max_length=step.max_length)
    if kind == "reward":
        return for_reward(found, template, max_length=step.max_length)
    if kind == "kto":
        return for_kto(found, template, max_length=step.max_length)
    from rlhf.training.answering import for_online  # TRL comes with it

    context = int(model_config(base).get("max_position_embeddings") or 2**31 - 1)
    if (most := getattr(step, "max_prompt_length", None)) is not None:  # `ppo` has one
        context = min(context, most + step.max_completion_length)
    reader: Any = Reader(template.tokenizer, template, context)
    return for_online(found, reader, step.max_completion_length)


def _leaks(findings: Findings, rows: Any, test: Any) -> None:
    """Rows of the test part that are trained on: by lineage an error, by saying nearly the same a warning."""
    if test is None or not len(test):
        return
    try:
        refuse_overlap(rows, test)
    except UserError as error:
        findings.errors.append((error.what, error.hint or ""))
    findings.warnings += alike(rows, test)
