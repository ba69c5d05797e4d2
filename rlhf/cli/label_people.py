"""`rlhf label people`: who `annotator3` is, and how everybody gets on, at any time and also while a run waits.

Names stand in the store's log alone, and in nothing that leaves it; this prints them for whoever can read the log.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from rlhf.cli import flags

if TYPE_CHECKING:
    from curation.labeling.log import Book
    from curation.labeling.panel import Panel


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    parser.add_argument("--store", metavar="FOLDER", help="the store whose people are meant (default: as in rlhf run)")
    flags.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Prints a line a person; 0."""
    from curation.labeling.log import Book
    from curation.labeling.panel import flagged
    from curation.labeling.votes import pseudonyms
    from rlhf.recipe.caches import Labels
    from rlhf.recipe.door import open_store
    from rlhf.recipe.profile import Profile

    store = open_store(args.store, Profile())
    log = Labels(store.root / "labels")
    panel = _panel(Book(log))
    names = pseudonyms(log, panel.answers) if panel.answers else {}
    found = panel.figures(names)
    real = {called: name for name, called in names.items()}
    if args.json:
        people = [{"annotator": called, "name": real[called], **row} for called, row in found["people"].items()]
        print(json.dumps({"people": people, "agreement": found["agreement"]}, indent=1))
    elif not panel.answers:
        print(f"nobody has answered yet in {store.root}")
    else:
        print(_table(found["people"], real))
        if words := flagged(found):
            print(f"\n{words}. No answer is dropped for that: look, and decide")
    return 0


def _panel(book: Book) -> Panel:
    """Everybody's answers to all that was ever asked here. Agreement is about choices and rankings."""
    from curation.labeling.panel import Panel
    from curation.labeling.question import SKIP, WITHDRAWN
    from curation.labeling.tasks import as_ranks
    from curation.labeling.timing import paces_of

    lines = [line for lines in book.lines.values() for line in lines]
    last = {(line["item"], line["guidelines"], line["annotator"]): line for line in lines}
    said = [line for line in last.values() if line["verdict"] != WITHDRAWN]
    rankings: dict[str, dict[str, Any]] = {}
    for line in said:
        verdict = tuple(line["verdict"]) if isinstance(line["verdict"], list) else line["verdict"]
        if ranks := as_ranks(verdict):
            rankings.setdefault(f"{line['item']}/{line['guidelines']}", {})[line["annotator"]] = ranks
    return Panel.of_rankings(
        rankings,
        answers=Counter(line["annotator"] for line in said),
        skips=Counter(line["annotator"] for line in said if line["verdict"] == SKIP),
        paces=paces_of(book, {line["item"] for line in said}),
    )


def _table(people: dict[str, Any], real: dict[str, str]) -> str:
    from rlhf.cli.table import columns
    from rlhf.report.words import duration, interval

    def row(called: str, found: dict[str, Any]) -> list[str]:
        kappa = interval(found["kappa"]) if "kappa" in found else ""
        pace = duration(found["seconds"]) if "seconds" in found else ""
        fast = f"{found['too_fast']} of {found['timed']}" if found.get("timed") else ""
        return [called, real[called], f"{found['answers']:,}", kappa, pace, fast]

    head = ["annotator", "name", "answers", "kappa with others", "pace", "too fast"]
    return columns([row(called, found) for called, found in people.items()], head)
