"""Questions to an Argilla server over HTTP: what fails for a moment is asked again, what fails for good is said.

A server that is restarted, busy or behind a proxy refuses or drops a connection now and then. Whatever may be asked
twice without harm is asked up to five times, each after a longer pause. A request that makes something is repeated only
where it certainly did not arrive, or where the caller can tell that it did (`Refused` says how often it was sent).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from curation.errors import UserError

PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Between one try and the next."""
PATIENCE_S = 120.0
"""How long one try may take; five hundred long records take a slow server a tenth of it."""
_BUSY = (429, 502, 503, 504)
"""Of a server or a proxy that asks to come again."""
_UNSURE = (502, 504)
"""Of a proxy whose server may have heard."""
_HINTS = {
    404: "someone deleted it in the UI, it seems; run again, which puts up what lacks an answer. What was said is kept",
    413: "a proxy in front of it takes no request of this size; raise its limit to 16 MB",
}
_BROKEN = "something in the server broke, and its log says what (`rlhf label serve` keeps server.log in its folder)"


class Refused(UserError):
    """The server understood, and said no.

    Args:
        tries: How often it was asked; after the first, an earlier try may have been heard without an answer.
    """

    def __init__(self, what: str, *, status: int, said: str, tries: int, hint: str = "") -> None:
        super().__init__(what, hint=hint)
        self.status, self.said, self.tries = status, said, tries


@dataclass(frozen=True)
class Wire:
    """A way to a server."""

    api_url: str
    api_key: str = field(repr=False)
    key_from: str
    """Where the key was taken from; stands in messages, the key never does."""
    space_token: str = field(default="", repr=False)
    """Of Hugging Face, for a server on a private Space: what stands before Argilla asks for it."""
    patience_s: float = PATIENCE_S
    pauses_s: tuple[float, ...] = PAUSES_S

    def ask(
        self,
        method: str,
        place: str,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        *,
        repeatable: bool = False,
    ) -> Any:
        """One question, and its answer.

        Args:
            repeatable: Whether a POST may be sent again when it is not known whether it was heard.

        Raises:
            Refused: the server says no.
            UserError: the server is not there, too slow, does not know the key, or is no Argilla.
        """
        import orjson

        url = f"{self.api_url}/api/v1/{place}" + (f"?{urlencode(params)}" if params else "")
        data = None if body is None else orjson.dumps(body)
        headers = {"X-Argilla-Api-Key": self.api_key, "Content-Type": "application/json"}
        if self.space_token:
            headers["Authorization"] = f"Bearer {self.space_token}"
        request = Request(url, data, headers, method=method)
        for tries, pause in enumerate((*self.pauses_s, None), 1):
            try:
                with urlopen(request, timeout=self.patience_s) as answer:
                    text = answer.read()
            except HTTPError as error:
                with error:
                    said = error.read().decode("utf-8", "replace")[:300]
                again = error.code in _BUSY and (repeatable or method != "POST" or error.code not in _UNSURE)
                if pause is None or not again:
                    raise self._no(error.code, said, f"{method} {place}", tries) from error
            except (OSError, HTTPException) as error:
                unheard = isinstance(getattr(error, "reason", error), ConnectionRefusedError)
                again = unheard or repeatable or method != "POST"
                if pause is None or not again:
                    raise self._gone(error, tries) from error
            else:
                try:
                    return orjson.loads(text) if text else None
                except ValueError as error:
                    hint = "see `api_url` in the profile"
                    raise UserError(f"what is at {self.api_url} is no Argilla server", hint=hint) from error
            time.sleep(pause)
        raise AssertionError("the last try ends in one way or another")

    def _no(self, status: int, said: str, what: str, tries: int) -> UserError:
        at = f"Argilla at {self.api_url}"
        if status == 401:
            hint = "the right one stands in the UI, under My settings"
            return UserError(f"{at} does not take the key in {self.key_from}", hint=hint)
        if status == 403:
            hint = "take the key of an owner, or of an admin of this workspace"
            return Refused(
                f"{at}: the user of {self.key_from} may not {what}", status=status, said=said, tries=tries, hint=hint
            )
        if status in _BUSY:
            hint = "nothing is lost; run again when it is up"
            return Refused(
                f"{at} is too busy ({status}), {tries} times", status=status, said=said, tries=tries, hint=hint
            )
        hint = _HINTS.get(status, _BROKEN if status >= 500 else "")
        return Refused(f"{at} refuses {what} ({status}): {said}", status=status, said=said, tries=tries, hint=hint)

    def _gone(self, error: Exception, tries: int) -> UserError:
        at, often = f"Argilla at {self.api_url}", f", {tries} times" if tries > 1 else ""
        if isinstance(getattr(error, "reason", error), TimeoutError):
            hint = "nothing is lost; run again when it has less to do"
            return UserError(f"{at} did not answer in {self.patience_s:.0f} s{often}", hint=hint)
        said = error.reason if isinstance(error, URLError) else error
        hint = "is it running? rlhf label serve starts one here; what people said is kept"
        return UserError(f"{at} does not answer{often}: {said}", hint=hint)
