"""What a person was handed of a queue that gets shorter as they answer it, so that none of it is passed over.

Argilla's UI asks for its next page by number: as many records on as it holds and believes unanswered. An answer on its
way makes that number one too large, and a record is passed over. It stands before all that the UI holds, so the next
number is too small: the UI gets a record twice, loses count, and says that nothing is left while something is.

Here, as long as a person goes on through the same queue, what they were handed comes first, in that order, and the rest
after it: a record that was passed over stands where the next page begins. Where a page would be empty and something
was never handed out, that is the page. The first page begins anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

_QUEUES = 512
"""That are remembered, of all people together; those that were asked for longest ago are forgotten."""
_RECORDS = 1000
"""Of one queue, the last ones. People leave few behind them unanswered."""


@dataclass
class Handed:
    """To one person, of one queue."""

    what: Hashable = None
    """The filters and the order of the queue."""
    records: list[str] = field(default_factory=list)
    """Their ids, in the order in which they were handed out."""
    count: int = 0
    """How many there have been, forgotten ones too."""

    def add(self, records: Sequence[str]) -> None:
        """Notes a page."""
        known = set(self.records)
        new = [record for record in records if record not in known]
        self.records = [*self.records, *new][-_RECORDS:]
        self.count += len(new)


_handed: OrderedDict[tuple[str, str], Handed] = OrderedDict()


def handed(person: str, dataset: str, what: Hashable, offset: int) -> Handed:
    """What this person was handed of this queue so far; nothing where they begin it, or another one."""
    known = _handed.pop((person, dataset), None)
    if known is None or offset == 0 or known.what != what:
        known = Handed(what)
    _handed[person, dataset] = known
    while len(_handed) > _QUEUES:
        _handed.popitem(last=False)
    return known
