"""A watched run that sleeps until it is time to look, or until somebody answers on a server of ours.

Each answer of `rlhf label serve` says how many the server has taken since its start (`ANSWERS`, a header). Asking for
the version costs the server no look into its database, so a sleeper can ask twice a second. Another Argilla says no
such thing, and a server that is away says nothing: then the sleep is a plain one. It is a hint and no more. What was
answered is what the next look reads.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.request import urlopen

ANSWERS = "x-rlhf-answers"
"""Header of a server of ours: a number that changes with each answer."""
_EVERY_S = 0.5
_PATIENCE_S = 2.0


@dataclass
class Bell:
    """At one server; None: at none, such as where people fill in files."""

    api_url: str | None
    heard: str | None = field(init=False)
    """What the server said last."""

    def __post_init__(self) -> None:
        self.heard = self._listen()

    def wait(self, seconds: float, least: float = 0.0) -> float:
        """Sleeps so long, or until there is an answer that was not there when the last sleep ended.

        Args:
            least: Sleeps so long whatever is answered, so that looking never takes most of a server's time.

        Returns:
            The seconds slept.
        """
        began = time.monotonic()
        ends = began + seconds
        time.sleep(min(least, seconds))
        while (left := ends - time.monotonic()) > 0:
            if self.heard is None:
                time.sleep(left)
            elif self._listen() not in (self.heard, None):
                break
            else:
                time.sleep(min(_EVERY_S, left))
        self.heard = self._listen()
        return time.monotonic() - began

    def _listen(self) -> str | None:
        if self.api_url is None:
            return None
        try:
            with urlopen(f"{self.api_url.rstrip('/')}/api/v1/version", timeout=_PATIENCE_S) as answer:
                said: str | None = answer.headers.get(ANSWERS)
                return said
        except (OSError, HTTPException, ValueError):
            return None
