"""The card of a release, made from manifests: what it stands on, which data, who decided, what was measured.

Nothing in it is written by hand and nothing is left out that would look bad: a card says when no person labeled the
data, when a judge is a rule, and every warning of the steps behind it. It names no path of a machine and no time: the
same recipe gives the same card.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

Manifests = Mapping[str, Mapping[str, Any]]
"""Step name -> manifest as plain JSON, for every step that the release stands on."""

_TRAINING = ("pretrain", "sft", "reward", "dpo", "ppo", "kto", "rloo", "grpo", "orpo", "cpo", "distill")
_SHOWN = (
    "learning_rate",
    "num_train_epochs",
    "max_steps",
    "global_batch_size",
    "max_length",
    "lora_r",
    "lora_alpha",
    "beta",
    "loss_type",
    "dtype",
)


def card(manifests: Manifests, base: str, adapters: Sequence[str], merged: bool, tokens: Sequence[str] = ()) -> str:
    """The text of `README.md`.

    Args:
        manifests: Of all steps that the release stands on.
        base: Name of the base model, for people.
        adapters: Folder names of the adapters in the release, bottom up.
        merged: Whether the release holds merged weights.
        tokens: Lines about the tokenizer, if there is anything to say.
    """
    parts = [
        _head(manifests, base),
        _loading(base, adapters, merged),
        _decided(manifests),
        _measured(manifests),
        _data(manifests),
        _trained(manifests),
        _warnings(manifests),
        *tokens,
    ]
    return "\n".join(part for part in parts if part)


def shown_name(written: str) -> str:
    """A name as the user wrote it, without the path of a machine: a local file is its own name only."""
    local = written.startswith(("/", "~", ".")) or "\\" in written
    return PurePath(written).name if local else written


def licenses(manifests: Manifests) -> list[str]:
    """The licences of all data behind the release, sorted; `unknown` where the recipe does not say."""
    return sorted({d["license"] or "unknown" for d in _datasets(manifests)})


def _datasets(manifests: Manifests) -> Iterator[dict[str, Any]]:
    for name, manifest in manifests.items():
        if manifest["step"] != "ingest":
            continue
        for i, entry in enumerate(manifest["settings"].get("datasets", [])):
            written = manifest.get("sources", {}).get(f"datasets.{i}.path", "")
            yield {"step": name, "path": shown_name(written), "license": entry.get("license") or ""}


def _head(manifests: Manifests, base: str) -> str:
    known = licenses(manifests)
    front = ["---", f"base_model: {base}" if base else "", "library_name: peft", "tags: [lora, rlhf-curation]"]
    front += ["license: " + (known[0] if len(known) == 1 and known[0] != "unknown" else "other"), "---"]
    title = f"# A model on {base}" if base else "# A model from scratch"
    return "\n".join(line for line in front if line) + f"\n\n{title}\n"


def _loading(base: str, adapters: Sequence[str], merged: bool) -> str:
    lines = ["## Load it", "", "```python", "from transformers import AutoModelForCausalLM, AutoTokenizer"]
    if merged:
        lines += ['model = AutoModelForCausalLM.from_pretrained("merged")']
        lines += ['tokenizer = AutoTokenizer.from_pretrained("merged")']
    elif adapters:
        lines += ["from peft import PeftModel", f'model = AutoModelForCausalLM.from_pretrained("{base}")']
        for name in adapters[:-1]:
            lines.append(f'model = PeftModel.from_pretrained(model, "{name}").merge_and_unload()')
        lines += [f'model = PeftModel.from_pretrained(model, "{adapters[-1]}")']
        lines += ['tokenizer = AutoTokenizer.from_pretrained("tokenizer")']
    lines += ["```", ""]
    if merged and adapters:
        lines += [f"The adapters that were added up are beside it, bottom up: {', '.join(adapters)}.", ""]
    return "\n".join(lines)


def _decided(manifests: Manifests) -> str:
    lines = []
    for name, manifest in manifests.items():
        who = manifest.get("decided_by")
        if manifest["step"] == "evaluate" or not who:
            continue
        rows = manifest["output"].get("rows")
        if who == "people":
            lines.append(f"- `{name}`: {rows} pairs decided by people.")
        else:
            lines.append(f"- `{name}`: {rows} pairs decided by `{who}`. **No person labeled them.**")
    for name, manifest in manifests.items():
        if manifest["step"] == "ingest" and manifest["output"]["kind"] == "preferences":
            lines.append(f"- `{name}`: {manifest['output'].get('rows')} pairs as their data set has them.")
    if not lines:
        return "## Who decided\n\nNo preferences went into this model.\n"
    return "\n".join(["## Who decided what is better", "", *lines, ""])


def _measured(manifests: Manifests) -> str:
    lines = []
    for manifest in manifests.values():
        if manifest["step"] != "evaluate":
            continue
        for policy, judges in manifest["metrics"].items():
            if not isinstance(judges, Mapping):
                continue
            for judge, figures in judges.items():
                rate = figures.get("win_rate") if isinstance(figures, Mapping) else None
                if isinstance(rate, Mapping) and {"mean", "low", "high"} <= set(rate):
                    lines.append(
                        f"| {policy} | {judge} | {rate['mean']:.2f} [{rate['low']:.2f}, {rate['high']:.2f}] "
                        f"| {figures.get('n', '')} |"
                    )
    if not lines:
        return "## What was measured\n\nNothing: no evaluation stands behind this release.\n"
    head = ["## What was measured", "", "| policy | judged by | win rate [95%] | prompts |", "|---|---|---|---|"]
    return "\n".join([*head, *lines, ""])


def _data(manifests: Manifests) -> str:
    rows = list(_datasets(manifests))
    if not rows:
        return ""
    lines = ["## Data", "", "| step | data set | licence |", "|---|---|---|"]
    lines += [f"| {d['step']} | {d['path']} | {d['license'] or 'unknown'} |" for d in rows]
    for name, manifest in manifests.items():
        ledger = manifest.get("ledger") or {}
        if manifest["step"] == "curate" and ledger.get("entries"):
            made, kept = ledger["entries"][0]["made"], ledger["entries"][-1]["kept"]
            lines.append(f"\n`{name}` kept {kept} of {made} rows.")
    return "\n".join([*lines, ""])


def _trained(manifests: Manifests) -> str:
    lines = []
    for name, manifest in manifests.items():
        if manifest["step"] in _TRAINING:
            settings = manifest["settings"]
            shown = ", ".join(f"{k} {settings[k]}" for k in _SHOWN if settings.get(k) is not None)
            lines.append(f"- `{name}` ({manifest['step']}): {shown}")
    return "\n".join(["## How it was trained", "", *lines, ""]) if lines else ""


def _warnings(manifests: Manifests) -> str:
    lines = [f"- `{name}`: {text}" for name, m in manifests.items() for text in m.get("warnings", [])]
    return "\n".join(["## Warnings of the steps", "", *lines, ""]) if lines else ""
