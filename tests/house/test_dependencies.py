"""What the code imports is declared, what is declared is imported, and every version is pinned for `make venv`."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {name: [Requirement(r) for r in rs] for name, rs in PROJECT["optional-dependencies"].items()}
CORE = [Requirement(r) for r in PROJECT["dependencies"]]
PINS = {
    canonicalize_name(name): pinned
    for name, pinned in re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
}
BROUGHT = {"pydantic-core", "fsspec"}
"""Other halves of a declared one: pydantic asks for one version of its core, datasets reads through fsspec."""


def imported(*folders: str) -> set[str]:
    """Distributions whose modules are imported anywhere in the folders, at the top of a module or inside a function."""
    modules: set[str] = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    owners = packages_distributions()
    modules -= {"curation", "rlhf", *sys.stdlib_module_names}
    return {canonicalize_name(name) for module in modules for name in owners.get(module, ())}


def names(requirements: list[Requirement]) -> set[str]:
    return {canonicalize_name(r.name) for r in requirements}


def test_what_the_packages_import_is_declared_and_the_reverse() -> None:
    extras = names([r for rs in EXTRAS.values() for r in rs])
    assert imported("curation", "rlhf") - extras - BROUGHT == names(CORE)


def test_what_the_tests_import_is_declared() -> None:
    assert imported("tests", "benchmarks") <= names(CORE) | names(EXTRAS["dev"]) | BROUGHT


def test_every_version_is_pinned() -> None:
    """Each declared requirement and all that it brings, as far as it is installed here."""
    found: set[str] = set()
    todo = [*CORE, *EXTRAS["dev"]]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        todo += map(Requirement, distribution(name).requires or ())
    assert found <= PINS.keys()
    assert {name: version(name).partition("+")[0] for name in found} == {name: PINS[name] for name in found}


def test_the_extras_are_pinned_and_fit_their_pins() -> None:
    for requirement in [*CORE, *(r for rs in EXTRAS.values() for r in rs)]:
        assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)]), requirement
