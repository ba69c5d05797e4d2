"""`rlhf check --deep`: each training step's preflight, on the rows that it would be given, before any weight is loaded.

What a step checks when it begins is checked here alone, for all steps whose data are there: rows as the model would see
them, what is left out and why, end tokens, what is cut, a leak between training and test. Beside that stands what a run
would only meet later: a reward head that the model cannot have, adapters that cannot be taken in.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from curation.artifact import Ref
from curation.errors import UserError
from curation.frame import to_rows
from curation.models.generation import prompt_key
from curation.models.lineage import parents
from curation.models.loading import generation_config, is_sum, load_tokenizer
from curation.models.template import ChatTemplate
from rlhf.training.columns import held_out_rows, refuse_overlap, training_rows
from rlhf.training.encoding import Encodings, for_dpo, for_kto, for_reward, for_sft
from rlhf.training.inspect import Inspection
from rlhf.training.preflight import Findings, judge
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
    chain = [*parents(model), model]
    template = ChatTemplate(load_tokenizer(model), generation_config(chain[0]))
    rows, test = training_rows(refs), held_out_rows(refs)
    kind = getattr(step, "step", "")
    max_length = getattr(step, "max_length", None)
    encodings = _encode(step, kind, rows, template, chain[0])
    findings = judge(encodings.counts, template, max_length=max_length, what="rows")
    _leaks(findings, rows, test)
    _model(findings, step, kind, chain)
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

    context = int(_config(base).get("max_position_embeddings") or 2**31 - 1)
    if (most := getattr(step, "max_prompt_length", None)) is not None:  # `ppo` has one
        context = min(context, most + step.max_completion_length)
    reader: Any = Reader(template.tokenizer, template, context)
    return for_online(found, reader, step.max_completion_length)


def _leaks(findings: Findings, rows: Any, test: Any) -> None:
    """Rows of the test part that are trained on: by lineage an error, by asking the same a warning."""
    if test is None or not len(test):
        return
    try:
        refuse_overlap(rows, test)
    except UserError as error:
        findings.errors.append((error.what, error.hint or ""))
    asked = {_asks(row) for row in to_rows(rows)}
    same = sum(_asks(row) in asked for row in to_rows(test))
    if same:
        findings.warnings.append(
            f"{same} of {len(test)} held-out rows ask what a row that is trained on asks; "
            "`split: {test: 0.1, by: prompt}` keeps such rows together"
        )


def _asks(row: Any) -> Any:
    return row.prompt if hasattr(row, "chosen") else prompt_key(row)


def _model(findings: Findings, step: Optimizing, kind: str, chain: Sequence[Path]) -> None:
    """What the model cannot be used for in this way."""
    stuck = [folder for folder in chain[1:] if not is_sum(folder)]
    if stuck:
        findings.errors.append(
            (
                f"the adapter {stuck[0].name[:12]} below is no sum, so nothing can be trained on it",
                "start from a policy without it",
            )
        )
    if step.quantized and len(chain) > 1:
        findings.errors.append(
            (
                "a base in 4 or 8 bits cannot take in the adapters that the policy stands on",
                "leave out load_in_4bit, or export the policy merged and start from that",
            )
        )
    if step.adapter == "continue" and len(chain) == 1:
        findings.errors.append(
            (
                "`adapter: continue` needs a policy that is an adapter, and this one is a full model",
                "use `adapter: new`",
            )
        )
    model_type = str(_config(chain[0]).get("model_type"))
    if kind == "reward" and model_type not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        findings.errors.append(
            (f"a model of the type {model_type!r} has no reward head", "its family has no sequence classifier")
        )


def _config(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return found
