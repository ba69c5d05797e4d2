"""The recipes and profiles that come with the package, by name.

In a checkout they lie in `recipes/` beside the packages, in an installed wheel in `rlhf/_recipes`.
"""

from __future__ import annotations

from pathlib import Path

import rlhf
from curation.errors import RecipeError, did_you_mean

PROFILES = "profiles"


def folder() -> Path:
    """Where the shipped recipes lie."""
    package = Path(rlhf.__file__).resolve().parent
    inside, beside = package / "_recipes", package.parent / "recipes"
    return inside if inside.is_dir() else beside


def recipes() -> dict[str, Path]:
    """Name (`quickstart`, `mini/alpaca`) -> file."""
    return {name: path for name, path in _yaml().items() if not name.startswith(f"{PROFILES}/")}


def profiles() -> dict[str, Path]:
    """Name -> file."""
    return {n.removeprefix(f"{PROFILES}/"): p for n, p in _yaml().items() if n.startswith(f"{PROFILES}/")}


def _yaml() -> dict[str, Path]:
    root = folder()
    return {p.relative_to(root).with_suffix("").as_posix(): p for p in sorted(root.rglob("*.yaml"))}


def find_recipe(written: str | Path) -> Path:
    """A recipe by file or shipped name; the file wins.

    Raises:
        RecipeError: there is neither.
    """
    return _find(written, recipes(), "recipe", "`rlhf recipes ls` lists the shipped ones")


def find_profile(written: str | Path) -> Path:
    """A profile by file or shipped name; the file wins.

    Raises:
        RecipeError: there is neither.
    """
    return _find(written, profiles(), "profile", "give the path of a YAML file")


def _find(written: str | Path, known: dict[str, Path], what: str, otherwise: str) -> Path:
    path = Path(written).expanduser()
    if path.is_file():
        return path.absolute()
    name = str(written).removesuffix(".yaml").removesuffix(".yml")
    if name in known:
        return known[name]
    if path.is_dir():
        inside = sorted(p.name for p in path.glob("*.yaml"))
        raise RecipeError(
            f"{written} is a folder, a {what} is a file", hint="in it: " + ", ".join(inside) if inside else otherwise
        )
    hint = did_you_mean(name, known)
    raise RecipeError(
        f"there is no {what} {str(written)!r}: no file of that path, and none of that name is shipped",
        hint=hint if hint.startswith("did you mean") else otherwise,
    )
