"""Any Argilla server, ours or another: pairs go out as records, and what people say comes back.

A server is only where people look. What they said is true when it lies in the log; a record's id is the code of what is
shown, so that pushing twice adds nothing and text never changes under an id. Everything goes over Argilla's REST: the
SDK's own reading loses ranks, and pushes fifty records a second.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from curation.errors import UserError
from curation.labeling.server.home import WORKSPACE
from curation.labeling.tasks import Given, Shown

if TYPE_CHECKING:
    from curation.conversation import Message

KEY = "ARGILLA_API_KEY"
"""Environment variable of the key; it is written nowhere else."""
CHOICES = (("a", "A is better"), ("b", "B is better"), ("tie", "equally good"))
_PATIENCE_S = 180
_PUSHED_AT_ONCE = 200
_PULLED_AT_ONCE = 500
_MOST_TURNS = 500
"""Messages that Argilla takes in one chat."""
_LONGEST_TURN = 20_000
"""Characters that it takes in one message."""
_LONGEST_GUIDELINES = 10_000


@dataclass(frozen=True)
class Server:
    """A server, and whose data sets are meant."""

    api_url: str
    workspace: str
    api_key: str = field(repr=False)

    @classmethod
    def of(cls, api_url: str | None, workspace: str | None) -> Server:
        """As the profile and the environment name it.

        Raises:
            UserError: the address or the key is missing.
        """
        if not api_url:
            hint = "set `labeling: {backend: argilla, api_url: URL}` in the profile; rlhf label serve starts one here"
            raise UserError("the profile does not say where the Argilla server is", hint=hint)
        key = os.environ.get(KEY)
        if not key:
            hint = "it stands in the UI under My settings, and `rlhf label serve` shows that of the owner"
            raise UserError(f"{KEY} is not set", hint=hint)
        return cls(api_url.rstrip("/"), workspace or WORKSPACE, key)

    def connect(self) -> Connection:
        """Looks that the server is there, lets us in, and has the workspace.

        Raises:
            UserError: it is not, does not, or has not.
        """
        connection = Connection(self)
        connection.me = connection.ask("GET", "me")
        found = {w["name"]: w["id"] for w in connection.ask("GET", "me/workspaces")["items"]}
        if self.workspace not in found:
            names = ", ".join(sorted(found)) or "none"
            hint = f"yours: {names}; set `workspace:` in the profile, or make it in the UI"
            raise UserError(f"Argilla at {self.api_url} has no workspace {self.workspace!r} for you", hint=hint)
        connection.workspace = found[self.workspace]
        return connection


class Connection:
    """A server that answered."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.me: dict[str, Any] = {}
        self.workspace = ""

    def ask(self, method: str, place: str, body: Any = None, params: Mapping[str, Any] | None = None) -> Any:
        """One question.

        Raises:
            UserError: the server is not there, does not know the key, or refuses; what it said is in the message.
        """
        url = f"{self.server.api_url}/api/v1/{place}" + (f"?{urlencode(params)}" if params else "")
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Argilla-Api-Key": self.server.api_key, "Content-Type": "application/json"}
        at = f"Argilla at {self.server.api_url}"
        try:
            with urlopen(Request(url, data, headers, method=method), timeout=_PATIENCE_S) as answer:
                text = answer.read()
        except HTTPError as error:
            said = error.read().decode("utf-8", "replace")[:300]
            if error.code in (401, 403):
                hint = "look it up in the UI under My settings"
                raise UserError(f"{at} does not take the key in {KEY}", hint=hint) from error
            raise Refused(f"{at} refuses {method} {place} ({error.code}): {said}") from error
        except TimeoutError as error:
            raise UserError(f"{at} did not answer in {_PATIENCE_S} s", hint="nothing is lost; run again") from error
        except (URLError, OSError, HTTPException) as error:
            hint = "is it running? rlhf label serve starts one here; what people said is kept"
            raise UserError(f"{at} does not answer: {error}", hint=hint) from error
        try:
            return json.loads(text) if text else None
        except ValueError as error:
            hint = "see `api_url` in the profile"
            raise UserError(f"what is at {self.server.api_url} is no Argilla server", hint=hint) from error

    def board(self, name: str, guidelines: str, min_submitted: int) -> Board:
        """The data set of this name, made where it is not there."""
        listed = self.ask("GET", "me/datasets", params={"workspace_id": self.workspace})["items"]
        found = next((d for d in listed if d["name"] == name), None)
        if found is None:
            found = self._make(name, guidelines, min_submitted)
        elif found["status"] != "ready":  # it was made by a run that did not live to publish it
            self.ask("DELETE", f"datasets/{found['id']}")
            found = self._make(name, guidelines, min_submitted)
        elif found["distribution"]["min_submitted"] != min_submitted:
            distribution = {"strategy": "overlap", "min_submitted": min_submitted}
            self.ask("PATCH", f"datasets/{found['id']}", {"distribution": distribution})
        return Board(self, found["id"], name, self._question(found["id"], name))

    def _make(self, name: str, guidelines: str, min_submitted: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "name": name,
            "workspace_id": self.workspace,
            "distribution": {"strategy": "overlap", "min_submitted": min_submitted},
            "allow_extra_metadata": False,
        }
        if guidelines.strip():
            body["guidelines"] = guidelines[:_LONGEST_GUIDELINES]
        made: dict[str, Any] = self.ask("POST", "datasets", body)
        place = f"datasets/{made['id']}"
        chat = {"type": "chat", "use_markdown": True}
        for name_, title in (("prompt", "Prompt"), ("answer_a", "Answer A"), ("answer_b", "Answer B")):
            self.ask("POST", f"{place}/fields", {"name": name_, "title": title, "required": True, "settings": chat})
        options = [{"value": value, "text": text, "description": None} for value, text in CHOICES]
        choice = {"type": "label_selection", "options": options, "visible_options": len(options)}
        better = {"name": "better", "title": "Which answer is better?", "required": True, "settings": choice}
        note = {"name": "note", "title": "Why? (if you like)", "required": False, "settings": {"type": "text"}}
        for question in (better, note):
            self.ask("POST", f"{place}/questions", question)
        self.ask("PUT", f"{place}/publish")
        return made

    def _question(self, dataset: str, name: str) -> str:
        """The name of the question that is ours, whatever it is called by now."""
        values = {value for value, _ in CHOICES}
        for question in self.ask("GET", f"datasets/{dataset}/questions")["items"]:
            options = question["settings"].get("options") or []
            if question["settings"]["type"] == "label_selection" and {o["value"] for o in options} == values:
                return str(question["name"])
        hint = (
            "someone changed it in the UI; rename it there and run again, which makes a new one. What was said is kept"
        )
        raise UserError(f"the data set {name!r} in Argilla does not ask which answer is better", hint=hint)

    def people(self) -> dict[str, str]:
        """User id -> name, as far as this key may see."""
        found = {self.me["id"]: self.me["username"]}
        place = "users" if self.me.get("role") == "owner" else f"workspaces/{self.workspace}/users"
        with contextlib.suppress(Refused):  # an id stands for whoever this key may not see
            found |= {user["id"]: user["username"] for user in self.ask("GET", place)["items"]}
        return found


class Refused(UserError):
    """The server understood, and said no."""


@dataclass(frozen=True)
class Board:
    """A data set of pairs."""

    connection: Connection
    id: str
    name: str
    question: str

    @property
    def url(self) -> str:
        """Where people go."""
        return f"{self.connection.server.api_url}/dataset/{self.id}/annotation-mode"

    def push(self, records: Sequence[Shown]) -> None:
        """Adds records, none of which may be there already."""
        for begin in range(0, len(records), _PUSHED_AT_ONCE):
            items = [_item(shown) for shown in records[begin : begin + _PUSHED_AT_ONCE]]
            self.connection.ask("POST", f"datasets/{self.id}/records/bulk", {"items": items})

    def answers(self, shown: Mapping[str, Shown]) -> tuple[list[Given], set[str]]:
        """(what people say now, the codes of all records that are there).

        Args:
            shown: Code -> what it shows; what people say of other records is passed over.
        """
        names = self.connection.people()
        given: list[Given] = []
        there: set[str] = set()
        for code, responses in self._records():
            there.add(code)
            if code not in shown:
                continue
            for response in responses:
                who = names.get(response["user_id"], f"user-{str(response['user_id'])[:8]}")
                values = response.get("values") or {}
                side = (values.get(self.question) or {}).get("value")
                note = str((values.get("note") or {}).get("value") or "")
                form = form_of(self.name, who)
                if response["status"] == "discarded":
                    given.append(Given(shown[code], who, "skip", note, form))
                elif response["status"] == "submitted" and side in ("a", "b", "tie"):
                    given.append(Given(shown[code], who, shown[code].verdict(side), note, form))
        return given, there

    def _records(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """(code, responses) of each record."""
        offset = 0
        while True:
            params = {"limit": _PULLED_AT_ONCE, "offset": offset, "include": "responses"}
            items = self.connection.ask("GET", f"datasets/{self.id}/records", params=params)["items"]
            for item in items:
                yield item["external_id"] or "", item.get("responses") or []
            if len(items) < _PULLED_AT_ONCE:
                return
            offset += len(items)


def form_of(board: str, who: str) -> str:
    """What the log calls the place where one person answers: each has a form of their own."""
    return f"argilla:{board}:{who}"


def _item(shown: Shown) -> dict[str, Any]:
    a, b = shown.sides
    fields = {"prompt": _chat(shown.comparison.prompt), "answer_a": _chat([a]), "answer_b": _chat([b])}
    return {"external_id": shown.code, "fields": fields}


def _chat(messages: Sequence[Message]) -> list[dict[str, str]]:
    """As Argilla shows chats: a long message in several, and of a very long chat the end of what came before."""
    pieces = [
        {"role": m.role, "content": m.content[at : at + _LONGEST_TURN] or "(empty)"}
        for m in messages
        for at in range(0, max(len(m.content), 1), _LONGEST_TURN)
    ]
    if len(pieces) <= _MOST_TURNS:
        return pieces
    left_out = pieces[: len(pieces) - _MOST_TURNS + 1]
    before = "\n\n".join(f"[{piece['role']}]\n{piece['content']}" for piece in left_out)
    return [{"role": "system", "content": before[-_LONGEST_TURN:]}, *pieces[len(left_out) :]]
