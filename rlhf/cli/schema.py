"""`rlhf schema`: the JSON Schema of recipes, for editors."""

from __future__ import annotations

import argparse
import json

from rlhf.cli import flags


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    flags.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the schema; 0."""
    from rlhf.recipe.schema import recipe_schema

    print(json.dumps(recipe_schema(), indent=1, ensure_ascii=False))
    return 0
