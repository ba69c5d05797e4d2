"""One self-contained HTML page a run: what changed, with an interval, and what became of every row.

The page is a pure function of the run's record and the manifests: no artifact is opened, nothing is fetched, nothing
runs in the browser. Text that comes from rows is inert twice over: Jinja2 escapes it, and a content security policy
allows no script at all.
"""

from __future__ import annotations

from rlhf.report.page import build

__all__ = ["build"]
