"""Who said what of a pair, as a label artifact keeps it: `annotator1`, `annotator2` ... and never a name.

The numbers come from the log of people, an append-only list in the order in which they were first heard. So a person
keeps the number in every step and every run of a store, and only who can read the store's log knows who it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import count
from typing import TYPE_CHECKING

from curation.conversation import Preference

if TYPE_CHECKING:
    from curation.labeling.log import Log

PEOPLE = "people"
"""Name of the list in the log."""
_FORM = re.compile(r"annotator[1-9]\d*")
WORDS = ("chosen", "rejected", "tie")
"""What a vote can be, in terms of the pair as it stands; `skip` is none."""


def pseudonyms(log: Log, people: Iterable[str]) -> dict[str, str]:
    """Person -> `annotator3`, for everybody who was ever heard. Those who are new are put on the list."""
    # A line that is there already is not written again, so two runs at once give nobody two numbers.
    log.append([{"question": PEOPLE, "annotator": name} for name in sorted(set(people))])
    found: dict[str, str] = {}
    for name in dict.fromkeys(line["annotator"] for line in log.read(PEOPLE)):
        free = (called for n in count(1) if (called := f"annotator{n}") not in found.values())
        # Whoever is called like the form that they filled in keeps that, where nobody has it yet.
        found[name] = name if _FORM.fullmatch(name) and name not in found.values() else next(free)
    return found


def votes_of(pair: Preference) -> dict[str, str]:
    """Pseudonym -> `chosen`, `rejected` or `tie`; empty where the pair does not say who voted how."""
    kept = pair.meta.get("votes")
    if not isinstance(kept, Mapping):
        return {}
    return {str(who): word for who, word in kept.items() if word in WORDS}
