"""Flags that several verbs share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlhf.recipe.load import LoadedRecipe
    from rlhf.recipe.profile import Profile
    from rlhf.recipe.store import Store


def add_recipe(parser: argparse.ArgumentParser, store: bool = True) -> None:
    """The recipe and what changes it."""
    parser.add_argument("recipe", metavar="RECIPE", help="a file, or the name of a shipped recipe (`rlhf recipes ls`)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PLACE=VALUE",
        help="change a setting: sft.learning_rate=1e-4, threads.datasets.0.path=FILE, profile.training.threads=4; "
        "may be given again",
    )
    parser.add_argument("--profile", metavar="FILE", help="where and how fast to run (default: RLHF_PROFILE)")
    if store:
        parser.add_argument(
            "--store",
            metavar="FOLDER",
            help="where artifacts and caches lie (default: RLHF_STORE, the profile's, .rlhf)",
        )


def add_output(parser: argparse.ArgumentParser) -> None:
    """How a verb speaks."""
    parser.add_argument("--json", action="store_true", help="print JSON for scripts")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more; errors come with their traceback")


def load(args: argparse.Namespace) -> LoadedRecipe:
    """The recipe that the flags mean, or all that is wrong with it."""
    from rlhf.recipe.load import load as load_recipe

    return load_recipe(args.recipe, sets=args.set, profile=args.profile)


def open_store(args: argparse.Namespace, profile: Profile) -> Store:
    """The store: flag > environment > profile > `.rlhf`."""
    from rlhf.recipe.door import open_store as opened

    return opened(args.store, profile)
