"""A page for each operator, `docs/operators/`: what it does, on which rows, its reasons, its settings, an example.

Written from the classes: `python -m rlhf.recipe.operators docs/operators`; a test says when that is due. Operators are
imported as `check` imports them, so no model, no Polars and no torch is loaded for it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curation.operator import Filter, Mapper, Operator, PairScorer, Scorer, Selector
from curation.registry import OPERATORS, builtin_names, lookup
from rlhf.recipe import keys, shipped
from rlhf.recipe.document import read
from rlhf.recipe.fields import described, names

EXAMPLES: dict[str, str] = {
    "condition_on_label": "- condition_on_label: {bad: An Unhelpful Answer, turns: all}",
    "blocklist": "- blocklist: {lists: [alpaca], of: questions}",
    "balance": "- balance: {by: source, max: 2000}",
    "complexity": "- complexity: {policy: rater}\n- top: {n: 1000, by: complexity}",
    "decontaminate": "- decontaminate: {benchmarks: [mt_bench.jsonl, gsm8k.jsonl]}",
    "embedding_distance": '- embedding_distance: {text: "questions of patients"}\n- keep: "embedding_distance < 0.5"',
    "evol_score": (
        "- evol_score: {complexity: {policy: rater}, quality: {policy: rater}}\n"
        "- select: {budget: 6000, by: evol_score}"
    ),
    "ifd": '- ifd: {policy: base}\n- keep: "ifd < 1"',
    "keep": '- words\n- keep: "words >= 16 and words < 2000"',
    "language": "- language: {keep: [en, vi]}",
    "language_score": '- language_score: {languages: [vi]}\n- keep: "language_score >= 0.8"',
    "length": "- length: {min_words: 4, max_chars: 4000}",
    "length_gap": "- length_gap: {max_ratio: 3}",
    "license": "- license: {allow: [apache-2.0, mit, cc-by-4.0]}",
    "llm_judge": '- llm_judge: {endpoint_model: gpt-4.1-mini, as: points}\n- keep: "points >= 7"',
    "format": '- format: {pattern: ".*#### -?[0-9,.]+"}\n- keep: "format == 1"',
    "math_answer": '- math_answer\n- keep: "math_answer == 1"',
    "margin": "- margin: {by: rating, min: 1}",
    "novelty": '- novelty: {against: older}\n- keep: "novelty > 0.2"',
    "perplexity": '- perplexity: {policy: base}\n- keep: "perplexity < 100"',
    "quality": "- complexity: {policy: p}\n- quality: {policy: p}\n- select: {budget: 6000, by: complexity * quality}",
    "random": "- random: {n: 1000}",
    "reward_model": '- reward_model: {reward: reward}\n- keep: "reward_model > 0"',
    "scores_to_labels": "- words\n- scores_to_labels: {by: words, good: 40, bad: 5}",
    "select": "- ifd: {policy: base}\n- select: {budget: 1000, by: ifd, max_similarity: 0.9}",
    "split": "- split: {test: 0.1, by: prompt}",
    "stratified": "- stratified: {n: 1000, by: [source, language]}",
    "tokens": '- tokens: {policy: base}\n- keep: "tokens <= 2048"',
    "split_long": "- split_long: {policy: base, max_length: 2048}",
    "system_prompt": "- system_prompt: {text: You answer briefly and say so when you do not know.}",
    "top": "- words\n- top: {n: 1000, by: words}",
    "toxicity": '- toxicity\n- keep: "toxicity < 0.5"',
    "turns": "- turns: {min: 2, max: 12}",
}
"""Operator -> how it stands in a recipe's `operators`; one that is not here is shown by its bare name."""

KINDS: tuple[tuple[type[Operator], str, str], ...] = (
    (Mapper, "mapper", "edits rows, or splits them"),
    (Filter, "filter", "drops rows, with a reason"),
    (PairScorer, "scorer", "adds a number to each row, and compares answers side by side; drops nothing"),
    (Scorer, "scorer", "adds a number to each row; drops nothing"),
    (Selector, "selector", "decides over the whole table"),
)

_WRITTEN = "Written from the code by `python -m rlhf.recipe.operators docs/operators`."


def pages() -> dict[str, str]:
    """File name -> text: `index.md`, and one page an operator."""
    classes = {name: lookup(OPERATORS, name) for name in builtin_names(OPERATORS)}
    users = _users()
    return {"index.md": _index(classes)} | {f"{n}.md": _page(n, c, users.get(n, [])) for n, c in classes.items()}


def _index(classes: Mapping[str, type[Operator]]) -> str:
    parts = ["# Every operator", f"What stands in `operators` of a `curate` step, one page each. {_WRITTEN}"]
    for kind, what in dict.fromkeys((kind, what) for base, kind, what in KINDS if base is not PairScorer):
        rows = [f"| [`{n}`]({n}.md) | {_first(c)} |" for n, c in sorted(classes.items()) if _kind(c)[0] == kind]
        if rows:
            parts += [f"## {kind.capitalize()}s", f"Each {what}.", "\n".join(["| name | what |", "|---|---|", *rows])]
    return "\n\n".join(parts) + "\n"


def _page(name: str, cls: type[Operator], users: list[str]) -> str:
    kind, what = _kind(cls)
    parts = [f"# `{name}`", f"A **{kind}**: it {what}.", *filter(_more_than_reasons, keys.about(cls).split("\n\n"))]
    if words := reasons(cls):
        parts += ["## Reasons", "\n".join(f"- `{word}`" for word in words)]
    parts += ["## Rows", _rows(cls)]
    own = {key: field for key, field in names(described(cls)).items() if key != "op"}
    if not _takes_on(cls):
        own.pop("on", None)
    table = [f"| `{k}` | {keys.default(f)} | {keys.meaning(f)} |" for k, f in own.items()]
    if table:
        parts += ["## Settings", "\n".join(["| key | default | what it is |", "|---|---|---|", *table])]
        if any(field.is_required() for field in own.values()):
            parts.append("A key without a default must be written.")
    parts += ["## Example", f"```yaml\noperators:\n{_indented(example(name, cls))}\n```"]
    if users:
        parts.append("Used by the recipes " + ", ".join(f"`{user}`" for user in users) + ".")
    return "\n\n".join(part for part in parts if part) + f"\n\n---\n\n[Every operator](index.md) · {_WRITTEN}\n"


def _more_than_reasons(paragraph: str) -> bool:
    """Whether a paragraph says more than a list of words, which the page has anyway."""
    return not re.fullmatch(r"Reasons?: (?:`\w+`[,. ]*(?:and )?)+", paragraph)


def _kind(cls: type[Operator]) -> tuple[str, str]:
    return next((kind, what) for base, kind, what in KINDS if issubclass(cls, base))


def _first(cls: type[Operator]) -> str:
    """The first sentence of the class's own words, as a cell of a table."""
    text = re.split(r"(?<=[.:;]) ", keys.about(cls).split("\n\n")[0], maxsplit=1)[0]
    return text.rstrip(":;").replace("|", "\\|")


def reasons(cls: type[Operator]) -> list[str]:
    """The reason words that a class's docstring names: words in code letters from `Reason` to the paragraph's end."""
    found: dict[str, None] = {}
    for paragraph in keys.about(cls).split("\n\n"):
        if said := re.search(r"\bReasons?\b.*", paragraph):
            found.update(dict.fromkeys(re.findall(r"`([a-z][a-z0-9_]*)`", said.group())))
    columns = set(names(cls))
    return [word for word in found if word not in columns]


def _rows(cls: type[Operator]) -> str:
    direct = [kind for kind in ("conversations", "candidates", "preferences") if kind in cls.rows]
    text = "Works on " + (", ".join(direct[:-1]) + " and " + direct[-1] if len(direct) > 1 else direct[0])
    others = [kind for kind in ("candidates", "preferences") if kind not in direct]
    if not _takes_on(cls) or not others:
        return text + "."
    chats = ["prompt", *(["chosen", "rejected"] if "preferences" in others else [])]
    if "candidates" in others and issubclass(cls, Filter | Mapper):
        chats.append("reply")
    return f"{text}; on {' and '.join(others)} with {', '.join(f'`on: {chat}`' for chat in chats)}."


def _takes_on(cls: type[Operator]) -> bool:
    return "conversations" in cls.rows and cls.takes_on


def example(name: str, cls: type[Operator]) -> str:
    """How it stands in a recipe.

    Raises:
        LookupError: it needs settings, and no example says which.
    """
    if name in EXAMPLES:
        return EXAMPLES[name]
    try:
        cls.model_validate({})
    except ValidationError as error:
        raise LookupError(f"{name} needs settings: write an example into {__name__}.EXAMPLES") from error
    return f"- {name}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _users() -> dict[str, list[str]]:
    """Operator -> the shipped recipes whose own text names it."""
    found: dict[str, list[str]] = {}
    for recipe, path in shipped.recipes().items():
        for name in dict.fromkeys(_named(read(path)[0].plain())):
            found.setdefault(name, []).append(recipe)
    return found


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "operators" and isinstance(item, list):
                yield from (str(next(iter(o))) if isinstance(o, Mapping) else str(o) for o in item)
            else:
                yield from _named(item)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item)


def write(folder: Path) -> None:
    """Writes all pages; a page of an operator that is gone is removed."""
    made = pages()
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/operators"))
