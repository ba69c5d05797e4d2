"""`rlhf report`: the page of a recipe's last run, written again."""

from __future__ import annotations

import argparse
import json

from rlhf.cli import flags


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    flags.add_recipe(parser)
    parser.add_argument("--open", action="store_true", help="show it in the browser")
    flags.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the place of the page; 0."""
    from curation.errors import UserError
    from rlhf.cli import page as pages

    loaded = flags.load(args)
    store = flags.open_store(args, loaded.profile)
    last = store.last_run(loaded.name)
    if last is None:
        raise UserError(f"{loaded.name} has not run in {store.root} yet", hint=f"rlhf run {args.recipe}")
    page = pages.write(store, last[0])
    print(json.dumps({"page": str(page)}) if args.json else page)
    if args.open:
        import webbrowser

        webbrowser.open(page.as_uri())
    return 0
