"""Which Argilla is meant: the one that is named, the profile's, or the one that runs here."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlhf.recipe.store import Store


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Where the server is, and where things are kept."""
    parser.add_argument(
        "--api-url", metavar="URL", help="the Argilla server (default: the profile's, else the one here)"
    )
    parser.add_argument(
        "--workspace", metavar="NAME", help="whose data sets are meant (default: the profile's, else rlhf)"
    )
    parser.add_argument("--profile", metavar="FILE", help="where and how fast to run (default: RLHF_PROFILE)")
    parser.add_argument(
        "--store", metavar="FOLDER", help="where answers are kept (default: RLHF_STORE, the profile's, .rlhf)"
    )


def open_store(args: argparse.Namespace) -> Store:
    """The store that the flags mean."""
    from rlhf.recipe import door
    from rlhf.recipe.problem import RecipeProblems
    from rlhf.recipe.profiles import load_profile

    profile, problems = load_profile(args.profile, [])
    if problems:
        raise RecipeProblems(problems)
    return door.open_store(args.store, profile)


def sets(args: argparse.Namespace, store: Store) -> list[str]:
    """The server as changes of the profile. One that runs here is found, and so is its key, which is its user's alone.

    Raises:
        RecipeProblems: the profile is wrong.
    """
    from curation.labeling.argilla import KEY
    from curation.labeling.server.home import Home
    from rlhf.recipe.profiles import load_profile

    profile, _ = load_profile(args.profile, [])
    how = profile.labeling
    url = args.api_url or how.api_url
    home = Home(Path(os.environ.get("RLHF_LABEL_HOME") or store.root / "argilla"))
    running = home.running()
    if running and (url is None or url.rstrip("/") == running.url):
        url = running.url
        if owner := home.owner():
            os.environ.setdefault(KEY, owner.api_key)
    found = ["profile.labeling.backend=argilla"]
    found += [f"profile.labeling.api_url={json.dumps(url)}"] if url else []
    found += [f"profile.labeling.workspace={json.dumps(args.workspace)}"] if args.workspace else []
    return found
