"""What a page shows of a step's rows, picked while the step that has them runs.

A page is made from manifests alone, so that it can be made again fast, and elsewhere. What it shows of rows is small
for that reason, and put into the manifest: samples of what was dropped, counts of scores, and places on a map.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf.report.datamap import data_map
from rlhf.report.histograms import histograms
from rlhf.report.samples import dropped_samples

if TYPE_CHECKING:
    from curation.ledger import Ledger


@dataclass(frozen=True)
class Seen:
    """Two fields of a manifest."""

    examples: list[dict[str, Any]]
    pictures: dict[str, Any] = field(default_factory=dict)
    """`histograms` and `map`, where there is something to show."""


def look(kept: Path, dropped: Path | None, ledger: Ledger) -> Seen:
    """Looks at the rows of a finished step.

    Args:
        kept: Folder of the data set that the step made.
        dropped: Folder of the rows that it dropped, or None.
        ledger: Says which operators dropped rows, and in what order.
    """
    found = {"histograms": histograms(kept, dropped), "map": data_map(kept, dropped)}
    return Seen(dropped_samples(dropped, ledger.entries), {name: value for name, value in found.items() if value})
