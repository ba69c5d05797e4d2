"""What a run came to: who won, as judged by whom, two answers side by side, what went wrong, where the page lies."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf.cli.table import colored, filled, width
from rlhf.recipe.headline import accuracy, duration, interval, rewards

if TYPE_CHECKING:
    from rlhf.recipe.load import LoadedRecipe
    from rlhf.recipe.manifest import Manifest
    from rlhf.recipe.run import Outcome, RunResult
    from rlhf.recipe.store import Store

_GUTTER = "  |  "
_ANSWER_LINES = 8


def print_json(loaded: LoadedRecipe, store: Store, result: RunResult, page: Path | None) -> None:
    """The shape of `show`, with how the run ended."""
    steps = {
        name: {**step_json(loaded.steps[name].step, o.state, o.manifest, store), **_reason(o)}
        for name, o in result.outcomes.items()
    }
    found = {
        "recipe": loaded.name,
        "exit_code": result.exit_code,
        "steps": steps,
        "record": str(result.record) if result.record else None,
        "page": str(page) if page else None,
    }
    print(json.dumps(found, indent=1, ensure_ascii=False))


def _reason(outcome: Outcome) -> dict[str, str]:
    return {k: v for k, v in (("message", outcome.message), ("hint", outcome.hint)) if v}


def step_json(step: str, state: str, manifest: Manifest | None, store: Store) -> dict[str, Any]:
    """One step as scripts read it."""
    return {
        "step": step,
        "state": state,
        "digest": manifest.output.digest if manifest else None,
        "path": str(store.artifact(manifest.output.digest)) if manifest else None,
        "counts": counts(manifest) if manifest else {},
        "metrics": manifest.metrics if manifest else {},
    }


def counts(manifest: Manifest) -> dict[str, Any]:
    """Rows of a data set, its parts, and what was left out on the way; empty for a model."""
    made = manifest.output
    if made.rows is None:
        return {}
    found: dict[str, Any] = {"rows": made.rows, "parts": made.parts}
    if manifest.ledger:
        found["dropped"] = manifest.ledger.dropped()
        found["malformed"] = {r.source: r.malformed for r in manifest.ledger.readings if r.malformed}
    return found


def print_text(loaded: LoadedRecipe, store: Store, result: RunResult, page: Path | None, verbose: bool) -> None:
    """For people."""
    for name, outcome in result.outcomes.items():
        for warning in outcome.manifest.warnings if outcome.manifest and outcome.state == "done" and verbose else []:
            sys.stderr.write(filled(f"warning: {name}: {warning}", sys.stderr) + "\n")
    verdicts = [line for _, m in evaluations(result.manifests) for line in verdict_lines(m)]
    if verdicts:
        print("\n" + "\n".join(map(filled, verdicts)))
    examples = [found for _, m in evaluations(result.manifests) if (found := side_by_side(m))]
    print("".join(examples[-1:]), end="")
    for name, outcome in result.outcomes.items():
        if outcome.state in ("failed", "gated", "waiting"):
            print("\n" + _trouble(name, outcome))
    took = sum(o.seconds for o in result.outcomes.values())
    ran = sum(o.seconds > 0 for o in result.outcomes.values())
    cached = sum(o.state == "cached" for o in result.outcomes.values())
    print(f"\n{ran} step{'s' * (ran != 1)} ran in {duration(took)}, {cached} cached")
    if page:
        print(f"page: {page}")


def _trouble(name: str, outcome: Outcome) -> str:
    words = {
        "failed": "failed",
        "gated": "made its artifact, but its gate does not hold",
        "waiting": "waits for people",
    }
    color = "yellow" if outcome.state == "waiting" else "red"
    lines = [colored(f"{name} {words[outcome.state]}", color) + (f": {outcome.message}" if outcome.message else "")]
    if outcome.hint:
        lines.append(f"  {outcome.hint}")
    if outcome.state == "waiting":
        lines.append("  then run the same command again")
    if outcome.trace:
        lines.append(outcome.trace.rstrip())
    return "\n".join(lines)


def evaluations(manifests: Mapping[str, Manifest]) -> Iterator[tuple[str, Manifest]]:
    """The evaluations among the artifacts."""
    for name, manifest in manifests.items():
        if manifest.output.kind == "evaluation":
            yield name, manifest


def verdict_lines(manifest: Manifest) -> list[str]:
    """`dpo against sft: win rate 0.77 [0.70, 0.83], judged by brevity (a rule), 64 prompts`: a line a judge."""
    from rlhf.report.verdicts import ONE_PERSON, comparisons

    baseline = manifest.sources.get("baseline", "the baseline")
    judges = {str(j.get("as_") or j.get("op")): str(j.get("op")) for j in manifest.settings.get("judges") or []}
    lines = [
        f"{c.policy} against {c.baseline}: win rate {interval(c.rate)}, judged by {c.judge}"
        + (f" ({c.by})" if c.by != c.judge else "")
        + "".join(f", {note}" for note in c.notes[:1])
        for c in comparisons(manifest.metrics, baseline, judges)
        if c.by != ONE_PERSON
    ]
    lines += [
        f"{name} agrees with people on {interval(found['agreement'])} of {found['n']} pairs, kappa "
        f"{interval(found['kappa'])}; people with one another {interval(found['people'])}, length alone "
        f"{interval(found['length_agreement'])}"
        for name, found in (manifest.metrics.get("calibration") or {}).items()
    ]
    return lines + [f"{name} ranks pairs rightly: {accuracy(found)}" for name, found in rewards(manifest.metrics)]


def side_by_side(manifest: Manifest) -> str:
    """The first example in which the answers differ: the prompt, then the answers in columns."""
    for example in manifest.examples:
        answers = example.get("answers")
        if isinstance(answers, Mapping) and len(set(answers.values())) > 1:
            return _columns(str(example.get("prompt", "")), {str(k): str(v) for k, v in answers.items()})
    return ""


def _columns(prompt: str, answers: Mapping[str, str]) -> str:
    whole = min(width(), 120)
    names = list(answers)[:2]
    each = (whole - len(_GUTTER)) // len(names)
    blocks = [_wrapped(answers[name], each) for name in names]
    height = max(map(len, blocks))
    lines = ["", *(colored(line, "dim") for line in _wrapped(f"asked: {prompt}", whole)[:3])]
    lines.append(_GUTTER.join(colored(f"{name:<{each}}", "bold") for name in names).rstrip())
    for i in range(height):
        lines.append(_GUTTER.join(f"{block[i] if i < len(block) else '':<{each}}" for block in blocks).rstrip())
    return "\n".join(lines) + "\n"


def _wrapped(text: str, wide: int) -> list[str]:
    """Lines of a cell; control characters of a row's text do nothing here."""
    inert = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    lines = [part for line in inert.strip().split("\n") for part in (textwrap.wrap(line, wide) or [""])]
    return lines if len(lines) <= _ANSWER_LINES else [*lines[: _ANSWER_LINES - 1], "[...]"]
