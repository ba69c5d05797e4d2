"""`rlhf label people`: who `annotator3` is. Names stand in the store's log alone, and in nothing that leaves it."""

from __future__ import annotations

import argparse
import json
from collections import Counter

from rlhf.cli import flags


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    parser.add_argument("--store", metavar="FOLDER", help="the store whose people are meant (default: as in rlhf run)")
    flags.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Prints a line a person; 0."""
    from curation.labeling.log import QUESTIONS
    from curation.labeling.question import WITHDRAWN
    from curation.labeling.votes import pseudonyms
    from rlhf.cli.table import columns
    from rlhf.recipe.caches import Labels
    from rlhf.recipe.door import open_store
    from rlhf.recipe.profile import Profile

    store = open_store(args.store, Profile())
    log = Labels(store.root / "labels")
    last = {(name, line["form"], line["record"]): line for name in QUESTIONS for line in log.read(name)}
    answers = Counter(line["annotator"] for line in last.values() if line["verdict"] != WITHDRAWN)
    names = pseudonyms(log, answers) if answers else {}
    rows = [[called, name, answers[name]] for name, called in names.items()]
    if args.json:
        print(json.dumps({"people": [dict(zip(("annotator", "name", "answers"), row, strict=True)) for row in rows]}))
    else:
        text = columns([[called, name, f"{n:,}"] for called, name, n in rows], ["annotator", "name", "answers"])
        print(text if rows else f"nobody has answered yet in {store.root}")
    return 0
