"""A recipe that nobody wrote: files to read and operators to send them through, as `rlhf curate` is asked for.

Operators come from a curate step of a recipe (a preset) or from a list of the user's. They keep the places where they
were written, so that whatever is wrong with one names its own file and line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curation.artifact import Ref, pointers
from curation.errors import RecipeError, did_you_mean
from curation.operator import Operator
from rlhf.recipe import shipped
from rlhf.recipe.document import Node, parse, read
from rlhf.recipe.load import LoadedRecipe, examined, extended
from rlhf.recipe.problem import Place, RecipeProblems


def loaded_for(
    files: Sequence[str],
    *,
    preset: str | None = None,
    operators: str | None = None,
    format: str = "auto",
    makes: str | None = None,
    license: str = "",
    sets: Sequence[str] = (),
    profile: str | Path | None = None,
    name: str = "curated",
) -> LoadedRecipe:
    """A recipe with the steps `rows` and `curated`.

    Args:
        files: What to read; relative paths count from the working directory.
        preset: A recipe, by name or file, or `RECIPE.STEP`; else
        operators: a YAML file with a list of operators, or such a list.
        format: Name of a format, or a format with its settings in YAML.
        makes: `conversations` or `preferences`; None: what the preset's step is given, else conversations.
        sets: As of `--set`.

    Raises:
        RecipeError: there is no such preset, or it has no curate step.
        RecipeProblems: everything that is wrong, at once.
    """
    found = _preset(preset) if preset is not None else _Found(_list(str(operators)))
    flag = Place(flag="FILE")
    entries = [
        _map(
            {"path": Node(file, flag), "format": parse(format, Place(flag="--format")), "license": Node(license, flag)}
        )
        for file in files
    ]
    rows = {"step": "ingest", "makes": makes or found.makes, "datasets": Node(entries, flag)}
    curated = {"step": "curate", "data": "rows", "operators": found.operators}
    steps = {**found.others, "rows": _map(rows), "curated": _map(curated)}
    top: dict[str, Any] = {"recipe": name, "steps": _map(steps)}
    if found.seed is not None:
        top["seed"] = found.seed
    here = Path.cwd() / f"{name}.yaml"
    loaded, problems = examined(_map(top), {}, here, sets=sets, profile=profile)
    if problems and found.base is not None:  # operators may look at the model that the preset starts from
        loaded, problems = examined(_map({**top, "base": found.base}), {}, here, sets=sets, profile=profile)
        if not problems and not _asks_base(loaded):
            keys = {**found.base.keys, "weights": flag}
            base = Node({**found.base.value, "weights": Node(False, flag)}, found.base.place, keys)
            loaded, problems = examined(_map({**top, "base": base}), {}, here, sets=sets, profile=profile)
    if problems:
        raise RecipeProblems(problems)
    return loaded


def _asks_base(loaded: LoadedRecipe) -> bool:
    """Whether an operator asks the base model itself, and not its tokenizer alone."""
    operators: Sequence[Operator] = getattr(loaded.steps["curated"], "operators", ())
    return any(
        getattr(operator, "asks_model", True) and isinstance(pointer, Ref) and pointer.step == "base"
        for operator in operators
        for _, pointer, _ in pointers(operator)
    )


class _Found:
    """Operators, and what of their recipe they may need."""

    def __init__(
        self,
        operators: Node,
        makes: str = "conversations",
        base: Node | None = None,
        seed: Node | None = None,
        others: dict[str, Node] | None = None,
    ) -> None:
        self.operators, self.makes, self.base, self.seed = operators, makes, base, seed
        self.others = others or {}
        """Steps that the operators name: benchmarks to look for, models that rate."""


def _preset(written: str) -> _Found:
    """The operators of a recipe's first curate step, or of the one that is named."""
    try:
        path, step = shipped.find_recipe(written), ""
    except RecipeError:
        name, dot, step = written.rpartition(".")
        if not dot or step in ("yaml", "yml"):
            raise _unknown(written) from None
        try:
            path = shipped.find_recipe(name)
        except RecipeError:
            raise _unknown(written) from None
    tree, _ = extended(path)
    steps = tree.get("steps")
    written_steps: dict[str, Node] = steps.value if steps and isinstance(steps.value, dict) else {}
    with_operators = {n: s for n, s in written_steps.items() if _text(s, "step") == "curate" and s.get("operators")}
    if not with_operators:
        raise RecipeError(f"the recipe {written!r} has no curate step", hint=f"with one: {', '.join(presets())}")
    if step and step not in with_operators:
        raise RecipeError(f"the recipe has no curate step {step!r}", hint=did_you_mean(step, with_operators))
    chosen = with_operators[step or next(iter(with_operators))]
    operators = chosen.get("operators")
    if operators is None:
        raise RecipeError(f"the step {step!r} has no operators", hint="name another step, or write some into it")
    others = _named(operators, {n: s for n, s in written_steps.items() if n not in ("rows", "curated")})
    return _Found(operators, _makes(chosen, written_steps), tree.get("base"), tree.get("seed"), others)


def _named(node: Node, steps: dict[str, Node]) -> dict[str, Node]:
    """The steps that are named anywhere below a node, and those that these name, what is needed first."""
    values = node.value.values() if isinstance(node.value, dict) else node.value if isinstance(node.value, list) else ()
    found: dict[str, Node] = {}
    for value in values:
        found |= _named(value, steps)
    name = node.value.partition(".")[0] if isinstance(node.value, str) else ""
    if name in steps:
        found |= {**_named(steps[name], {n: s for n, s in steps.items() if n != name}), name: steps[name]}
    return found


def presets() -> list[str]:
    """Names of the shipped recipes with a curate step."""
    found = []
    for name, path in shipped.recipes().items():
        tree, _ = extended(path)
        steps = tree.get("steps")
        if steps and isinstance(steps.value, dict) and any(_text(s, "step") == "curate" for s in steps.value.values()):
            found.append(name)
    return found


def _unknown(written: str) -> RecipeError:
    known = presets()
    near = did_you_mean(written, known)
    listed = f"presets: {', '.join(known)}"
    hint = f"{near} {listed}" if near.startswith("did you mean") else f"{listed}; or the path of a recipe"
    return RecipeError(f"there is no preset {written!r}", hint=hint)


def _makes(step: Node, steps: dict[str, Node]) -> str:
    """What the data of a curate step are, followed back to where they are read."""
    seen: set[str] = set()
    while step.get("data"):
        data = step.value["data"].value
        first = data[0].value if isinstance(data, list) and data else data
        name = str(first).partition(".")[0]
        if name in seen or name not in steps:
            break
        seen.add(name)
        step = steps[name]
        if _text(step, "step") == "compare":
            return "preferences"
    return "preferences" if _text(step, "makes") == "preferences" else "conversations"


def _text(node: Node, name: str) -> str:
    found = node.get(name)
    return str(found.value) if found else ""


def _list(written: str) -> Node:
    """A list of operators from a file, or written out."""
    path = Path(written).expanduser()
    plain = "\n" not in written and not written.lstrip().startswith(("[", "-"))
    if plain and not path.is_file():
        raise RecipeError(
            f"there is no file {written}", hint='or write the list itself: --operators "[normalize, roles]"'
        )
    node = read(path.absolute())[0] if plain else parse(written, Place(flag="--operators"))
    if isinstance(node.value, dict) and node.get("operators"):
        node = node.value["operators"]
    if not isinstance(node.value, list):
        hint = "write `- normalize` and the like, one below the other"
        raise RecipeError(f"--operators takes a list of operators, not {type(node.value).__name__}", hint=hint)
    return node


def _map(values: dict[str, Any]) -> Node:
    nodes = {k: v if isinstance(v, Node) else Node(v, Place(flag="rlhf curate")) for k, v in values.items()}
    return Node(nodes, Place(flag="rlhf curate"), {k: n.place for k, n in nodes.items()})
