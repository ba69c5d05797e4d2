"""Reads a profile: a file or a shipped name, what `--set profile...` changes in it, and its paths made absolute."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rlhf.recipe import belongs, shipped
from rlhf.recipe.document import Node, read
from rlhf.recipe.explain import validated
from rlhf.recipe.overrides import Change, apply
from rlhf.recipe.problem import Place, Problem
from rlhf.recipe.profile import Profile
from rlhf.recipe.rebase import is_relative, origin_of


def load_profile(written: str | Path | None, asked: Sequence[Change]) -> tuple[Profile, list[Problem]]:
    """The profile (the defaults where something is wrong with it) and what is wrong with it.

    Args:
        written: A file or a shipped name; None: `RLHF_PROFILE`, else the defaults.
        asked: What `--set profile...` changes.

    Raises:
        RecipeError: there is no such profile, or it is no YAML.
    """
    written = written or os.environ.get("RLHF_PROFILE") or None
    tree = Node({}, Place())
    if written:
        tree, _ = read(shipped.find_profile(written))
        if tree.value is None:
            tree = Node({}, tree.place)
        if not isinstance(tree.value, dict):
            return Profile(), [Problem("a profile is a map of names", tree.place)]
    if asked:
        under = Node({"steps": tree}, tree.place)
        under = apply(under, [Change(("steps", *c.path[1:]), c.node, c.flag) for c in asked])
        tree = under.value["steps"]
    found, problems, _ = validated(
        Profile, tree.plain(), tree, (), lambda key, _value, cls: belongs.in_profile(key, cls)
    )
    if not isinstance(found, Profile):
        return Profile(), problems
    return _with_places(found, tree), problems


def _with_places(profile: Profile, tree: Node) -> Profile:
    """The profile with its paths made absolute: they count from the file that they are written in."""

    def absolute(value: str | None, *path: str) -> str | None:
        if not value or not is_relative(value):
            return value
        return str(origin_of(tree.find(path).node.place) / value)

    training, labeling = profile.training, profile.labeling
    accelerate = absolute(training.accelerate_config, "training", "accelerate_config")
    return profile.model_copy(
        update={
            "store": absolute(profile.store, "store"),
            "training": training.model_copy(update={"accelerate_config": accelerate}),
            "labeling": labeling.model_copy(update={"folder": absolute(labeling.folder, "labeling", "folder")}),
        }
    )
