"""The card of a release, made from manifests: what it stands on, which data, who decided, what was measured.

Nothing in it is written by hand and nothing is left out that would look bad: a card says when no person labeled the
data, when a judge is a rule, what the judge did not see, and every warning of the steps behind it. It names no path of
a machine and no time: the same recipe gives the same card.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

Manifests = Mapping[str, Mapping[str, Any]]
"""Step name -> manifest as plain JSON."""

_SHOWN = (
    "policy",
    "tune",
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
    "seed",
)
_FIGURES = {
    "finished": "finished answers",
    "words": "words an answer",
    "repetition": "repetition",
    "perplexity": "perplexity under the base",
    "loss": "held-out loss",
}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PATH = re.compile(r"(?<![\w.:/])~?(?:/[\w.@+-]+)+/([\w.@+-]+)")


def card(
    manifests: Manifests,
    base: str,
    adapters: Sequence[str],
    merged: bool,
    *,
    name: str = "",
    behind: Collection[str] | None = None,
) -> str:
    """The text of `README.md`.

    Args:
        manifests: Of all steps that the release and its evaluation stand on.
        base: Name of the base model, for people; empty for a model that was made from scratch.
        adapters: Folder names of the adapters in the release, bottom up.
        merged: Whether the release holds merged weights.
        name: Name of the policy's step.
        behind: The steps that the weights themselves stand on. None: all.
    """
    own = {n: m for n, m in manifests.items() if behind is None or n in behind}
    parts = [
        _head(own, base, adapters, merged, name),
        _loading(base, adapters, merged),
        _decided(own),
        _measured(manifests, own),
        _data(own),
        _trained(own),
        _warnings(manifests),
    ]
    return "\n".join(part for part in parts if part)


def shown_name(written: str) -> str:
    """A name as the user wrote it, without the path of a machine: a local file is its own name only."""
    local = written.startswith(("/", "~", ".")) or "\\" in written
    return PurePath(written.replace("\\", "/")).name if local else written


def base_name(written: str) -> str:
    """What a release calls its base: a Hub id as it is, anything local by the name of its file or folder."""
    return written if _HUB_ID.fullmatch(written) else PurePath(written.replace("\\", "/")).name


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


def _head(own: Manifests, base: str, adapters: Sequence[str], merged: bool, name: str) -> str:
    known = licenses(own)
    front = ["---", f"base_model: {base}" if _HUB_ID.fullmatch(base) else ""]
    front += [f"library_name: {'transformers' if merged else 'peft'}", "pipeline_tag: text-generation"]
    front += ["tags: [rlhf-curation" + (", lora]" if adapters else "]")]
    front += ["license: " + (known[0] if len(known) == 1 and known[0] != "unknown" else "other"), "---"]
    what = f"`{name}`" if name else "A model"
    title = f"# {what} on {base}" if base else f"# {what}, made from scratch"
    return "\n".join(line for line in front if line) + f"\n\n{title}\n"


def _loading(base: str, adapters: Sequence[str], merged: bool) -> str:
    lines = ["## Load it", "", "```python", "from transformers import AutoModelForCausalLM, AutoTokenizer", ""]
    if merged:
        lines += ['model = AutoModelForCausalLM.from_pretrained("merged")']
        lines += ['tokenizer = AutoTokenizer.from_pretrained("merged")']
    else:
        lines += ["from peft import PeftModel", "", f'model = AutoModelForCausalLM.from_pretrained("{base}")']
        for below in adapters[:-1]:
            lines.append(f'model = PeftModel.from_pretrained(model, "{below}").merge_and_unload()')
        lines += [f'model = PeftModel.from_pretrained(model, "{adapters[-1]}")']
        lines += ['tokenizer = AutoTokenizer.from_pretrained("tokenizer")']
    lines += ["```", ""]
    if merged and adapters:
        lines += [f"The adapters that were added up are beside it, bottom up: {', '.join(adapters)}.", ""]
    return "\n".join(lines)


def who(decided_by: str) -> str:
    """Who decided, as people read it. A scorer that is not known to be a model is a rule."""
    models = {"llm_judge": "a language model (`llm_judge`)", "reward_model": "a reward model"}
    known = {"people": "people", "data set": "the data set itself, which does not say who labeled it", **models}
    return ", ".join(known.get(w, f"the rule `{w}`") for w in decided_by.split(", "))


def _preferences(manifests: Manifests) -> dict[str, Mapping[str, Any]]:
    """The steps that say which answer is better."""
    return {name: m for name, m in manifests.items() if m["output"]["kind"] == "preferences" and m.get("decided_by")}


def _decided(own: Manifests) -> str:
    found = _preferences(own)
    lines = _looked_through(own)
    head = "## Who decided what is better\n\n"
    if not found:
        return head + "\n".join(["Nobody: no preferences went into this model.", *lines]) + "\n"
    for name, manifest in found.items():
        where = ", as the data set has them" if manifest["step"] == "ingest" else ""
        rows = manifest["output"].get("rows")
        lines.append(f"- `{name}`: {rows} pairs{where}, decided by {who(manifest['decided_by'])}.")
    deciders = {w for manifest in found.values() for w in manifest["decided_by"].split(", ")}
    if "data set" in deciders and "people" not in deciders:
        lines.append("\n**No person was asked, and whether people labeled the data set is not known here.**")
    elif "people" not in deciders:
        lines.append("\n**No person labeled the data that taught this model what is better.**")
    return head + "\n".join(lines) + "\n"


def _looked_through(own: Manifests) -> list[str]:
    """The steps in which chats were rated or reviewed, a line each."""
    words = {"rate": "chats, rated by", "review": "chats that were let through by"}
    lines = []
    for name, manifest in own.items():
        if manifest["step"] in words and manifest.get("decided_by"):
            by = manifest["decided_by"]
            nobody = "" if by == "people" else " No person did."
            rows = manifest["output"].get("rows")
            lines.append(f"- `{name}`: {rows} {words[manifest['step']]} {who(by)}.{nobody}")
    return lines


def _measured(manifests: Manifests, own: Manifests) -> str:
    reports = {name: m for name, m in manifests.items() if m["step"] == "evaluate"}
    rows = [row for m in reports.values() for row in _win_rates(m)]
    lines = ["## What was measured", ""]
    if rows:
        lines += ["| policy | against | judged by | win rate [95%] | prompts |", "|---|---|---|---|---|", *rows, ""]
        lines += ["One half means no difference. Ties are worth one half.", ""]
    for manifest in reports.values():
        lines += [*_beside(manifest["metrics"]), *_accuracies(manifest["metrics"])]
    others = {n: m for n, m in _preferences(manifests).items() if n not in own}
    lines += [f"Pairs that a judge learned from, `{n}`: decided by {who(m['decided_by'])}." for n, m in others.items()]
    if len(lines) == 2:
        lines += ["Nothing: no evaluation stands behind this release."]
    return "\n".join(lines).rstrip() + "\n"


def _win_rates(manifest: Mapping[str, Any]) -> Iterator[str]:
    written = (manifest.get("sources") or {}).get("baseline", "the baseline")
    baseline = (manifest["settings"].get("names") or {}).get(written, written)
    for policy, judges in manifest["metrics"].items():
        if not isinstance(judges, Mapping):
            continue
        for judge, figures in judges.items():
            rate = figures.get("win_rate") if isinstance(figures, Mapping) else None
            if isinstance(rate, Mapping):
                by = f"{judge} ({figures['by']})" if figures.get("by") else judge
                yield f"| {policy} | {baseline} | {by} | {_interval(rate)} | {figures.get('n', '')} |"


def _beside(metrics: Mapping[str, Any]) -> list[str]:
    """What the judges do not see, a column a policy."""
    policies = {p: f for p, f in metrics.items() if isinstance(f, Mapping) and any(name in f for name in _FIGURES)}
    if not policies:
        return []
    lines = ["What the judges do not see:", "", f"| | {' | '.join(policies)} |", "|---" * (len(policies) + 1) + "|"]
    for figure, words in _FIGURES.items():
        cells = [_figure(f.get(figure)) for f in policies.values()]
        if any(cells):
            lines.append(f"| {words} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _accuracies(metrics: Mapping[str, Any]) -> list[str]:
    return [
        f"Reward model `{name}`: right on {_interval(f['accuracy'])} of {f['n']} held-out pairs, where "
        f'"the longer answer wins" is right on {_interval(f["length_accuracy"])}.\n'
        for name, f in (metrics.get("rewards") or {}).items()
    ]


def _interval(found: Mapping[str, Any]) -> str:
    return f"{found['mean']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def _figure(value: Any) -> str:
    if isinstance(value, Mapping):
        return _interval(value) if value.get("mean") is not None else ""
    return "" if value is None else f"{value:.3g}"


def _data(own: Manifests) -> str:
    rows = list(_datasets(own))
    if not rows:
        return ""
    lines = ["## Data", "", "| step | data set | licence |", "|---|---|---|"]
    lines += [f"| {d['step']} | {d['path']} | {d['license'] or 'unknown'} |" for d in rows]
    kept = []
    for name, manifest in own.items():
        entries = (manifest.get("ledger") or {}).get("entries") or []
        if manifest["step"] == "curate" and entries:
            kept.append(f"`{name}` kept {entries[-1]['kept']} of {entries[0]['made']} rows.")
    return "\n".join([*lines, "", *kept, ""] if kept else [*lines, ""])


def _trained(own: Manifests) -> str:
    lines = []
    for name, manifest in own.items():
        if manifest["output"]["kind"] == "policy" and manifest["step"] != "base":
            settings, sources = manifest["settings"], manifest.get("sources") or {}
            found = {k: sources.get(k, settings.get(k)) for k in _SHOWN}
            shown = ", ".join(f"{k} {v}" for k, v in found.items() if v is not None)
            lines.append(f"- `{name}` ({manifest['step']}): {shown}")
    return "\n".join(["## How it was trained", "", *lines, ""]) if lines else ""


def _warnings(manifests: Manifests) -> str:
    found = [f"- `{name}`: {no_path(text)}" for name, m in manifests.items() for text in m.get("warnings") or []]
    return "\n".join(["## Warnings of the steps", "", *found, ""]) if found else ""


def no_path(text: str) -> str:
    """The text with each path of a machine cut down to its last name."""
    return _PATH.sub(r"\1", text)
