"""`rlhf recipes`: list, show or copy the recipes that come with this package."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

from rlhf.cli import flags


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    ls = actions.add_parser("ls", help="name each recipe and say what to expect of it")
    show = actions.add_parser("show", help="print a recipe")
    cp = actions.add_parser("cp", help="copy a recipe and the files that it needs into a folder, to change them")
    for action in (show, cp):
        action.add_argument("name", metavar="NAME")
    cp.add_argument("folder", metavar="FOLDER", nargs="?", default=".", help="default: the working directory")
    for action in (ls, show, cp):
        flags.add_output(action)


def run(args: argparse.Namespace) -> int:
    """Does one of the three; 0."""
    return {"ls": _ls, "show": _show, "cp": _cp}[args.action](args)


def _ls(args: argparse.Namespace) -> int:
    from rlhf.cli.table import columns
    from rlhf.recipe import shipped
    from rlhf.recipe.document import head_comment

    found = {name: head_comment(path.read_text(encoding="utf-8")) for name, path in shipped.recipes().items()}
    if args.json:
        print(
            json.dumps(
                {"recipes": {n: {"path": str(shipped.recipes()[n]), "about": c} for n, c in found.items()}}, indent=1
            )
        )
        return 0
    print(columns([[name, " ".join(comment.split())] for name, comment in found.items()]))
    return 0


def _show(args: argparse.Namespace) -> int:
    from rlhf.recipe import shipped

    path = shipped.find_recipe(args.name)
    text = path.read_text(encoding="utf-8")
    print(json.dumps({"name": args.name, "path": str(path), "text": text}) if args.json else text, end="")
    return 0


def _cp(args: argparse.Namespace) -> int:
    from curation.errors import UserError
    from rlhf.recipe import shipped
    from rlhf.recipe.problem import shown

    root, target = shipped.folder(), Path(args.folder)
    path = shipped.find_recipe(args.name)
    if root not in path.parents:
        raise UserError(f"{args.name} is a file of your own", hint="`rlhf recipes ls` lists those that can be copied")
    wanted = _needed(path, root)
    taken = [f for f in wanted if (target / f.relative_to(root)).exists()]
    if taken:
        there = ", ".join(shown(target / f.relative_to(root)) for f in taken)
        raise UserError(f"{there}: already there", hint="remove it, or name another folder: nothing was copied")
    copied: list[Path] = []
    for file in wanted:
        place = target / file.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
        copied.append(place)
    if args.json:
        print(json.dumps({"copied": [str(p) for p in copied]}, indent=1))
        return 0
    for place in copied:
        print(place)
    print(f"\nnext: rlhf run {copied[0]}")
    return 0


def _needed(recipe: Path, root: Path) -> list[Path]:
    """The recipe, what it extends, and the shipped files that their settings name."""
    from curation.artifact import Ref, pointers
    from rlhf.recipe.load import load
    from rlhf.recipe.rebase import is_relative

    loaded = load(recipe)
    files = [recipe]
    if isinstance(extends := loaded.settings.get("extends"), str):
        files.append(Path(os.path.normpath(recipe.parent / extends)))
    for step in loaded.steps.values():
        for _, pointer, _ in pointers(step):
            if isinstance(pointer, Ref) or not is_relative(pointer.written):
                continue
            found = Path(os.path.normpath(loaded.here / pointer.written))
            if found.is_file() and root in found.parents:
                files.append(found)
    return list(dict.fromkeys(files))
