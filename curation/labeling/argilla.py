"""Any Argilla server, ours or another: items go out as records, and what people say comes back.

A server is only where people look. What they said is true when it lies in the log; a record's id is the code of what is
shown, so that pushing twice adds nothing and text never changes under an id. Everything goes over Argilla's REST: the
SDK's own reading loses ranks, and pushes fifty records a second.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from curation.errors import UserError
from curation.labeling.log import Given
from curation.labeling.question import SKIP, Misread, Question, Shown, Verdict
from curation.labeling.server.home import WORKSPACE
from curation.labeling.showing import inert, readable
from curation.labeling.wire import Refused, Wire

if TYPE_CHECKING:
    from curation.conversation import Message

KEY = "ARGILLA_API_KEY"
"""Environment variable of the key; it is written nowhere else."""
SPACE_TOKEN = "ARGILLA_SPACE_TOKEN"
"""Environment variable of a Hugging Face token that may read the private Space that the server runs on."""
_VERSIONS = ("2.8.",)
_PUSHED_AT_ONCE = 200
_CHARACTERS_AT_ONCE = 4_000_000
_PULLED_AT_ONCE = 500
_ROUNDS = 3
"""How often the records of a data set are gone through for those that were passed over."""
_MOST_TURNS = 500
"""Messages that Argilla takes in one chat."""
_LONGEST_TURN = 20_000
"""Characters that it takes in one message."""
LONGEST_GUIDELINES = 10_000
"""Characters of the guidelines that it takes; those of a form have no bound."""
_LONGEST_ROLE = 20
_EMPTY = "(empty)"
NOTE = "note"
SUGGESTED = "-suggested"
"""End of the name of a data set in which people see what a model says."""


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
            hint = (
                "rlhf label serve starts one here, and rlhf label finds it while it runs; "
                "rlhf run goes by `labeling: {backend: argilla, api_url: URL}` in the profile"
            )
            raise UserError("it is not known where the Argilla server is", hint=hint)
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
        hasty = replace(connection.wire, pauses_s=connection.wire.pauses_s[:2])  # it may simply not run
        version = str((hasty.ask("GET", "version") or {}).get("version", ""))
        if not version.startswith(_VERSIONS):
            hint = f"this speaks to Argilla {' and '.join(v + 'x' for v in _VERSIONS)}; rlhf label serve starts one"
            raise UserError(f"Argilla at {self.api_url} is version {version or 'unknown'}", hint=hint)
        connection.me = connection.ask("GET", "me")
        found = {w["name"]: w["id"] for w in connection.ask("GET", "me/workspaces")["items"]}
        if self.workspace not in found:
            names = ", ".join(sorted(found)) or "none"
            hint = f"yours: {names}; name one in the profile (`labeling: {{workspace: ...}}`), or make it in the UI"
            raise UserError(f"Argilla at {self.api_url} has no workspace {self.workspace!r} for you", hint=hint)
        connection.workspace = found[self.workspace]
        return connection


class Connection:
    """A server that answered."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.wire = Wire(server.api_url, server.api_key, KEY, os.environ.get(SPACE_TOKEN, ""))
        self.me: dict[str, Any] = {}
        self.workspace = ""

    def ask(self, method: str, place: str, body: Any = None, params: Mapping[str, Any] | None = None) -> Any:
        """One question (`Wire.ask`)."""
        return self.wire.ask(method, place, body, params)

    def board(self, name: str, question: Question, guidelines: str, min_submitted: int) -> Board:
        """The data set of this name, made where it is not there."""
        found = next((d for d in self._listed() if d["name"] == name), None)
        if found is None:
            found = self._make(name, question, guidelines, min_submitted)
        elif found["status"] != "ready":  # it was made by a run that did not live to publish it
            self.ask("DELETE", f"datasets/{found['id']}")
            found = self._make(name, question, guidelines, min_submitted)
        elif found["distribution"]["min_submitted"] != min_submitted:
            distribution = {"strategy": "overlap", "min_submitted": min_submitted}
            self.ask("PATCH", f"datasets/{found['id']}", {"distribution": distribution})
        asks = {q["name"]: q for q in self.ask("GET", f"datasets/{found['id']}/questions")["items"]}
        for wanted in question.questions:
            there = asks.get(wanted["name"])
            if there is None or there["settings"]["type"] != wanted["settings"]["type"]:
                hint = "someone else made it; rename it in the UI and run again, which makes a new one. Nothing is lost"
                what = f"the data set {name!r} in Argilla has no question {wanted['name']!r} like ours"
                raise UserError(what, hint=hint)
        return Board(self, found["id"], name, {q: str(made["id"]) for q, made in asks.items()})

    def boards(self, pattern: re.Pattern[str]) -> list[Board]:
        """The published data sets with such names."""
        ready = (d for d in self._listed() if d["status"] == "ready" and pattern.fullmatch(d["name"]))
        return [Board(self, d["id"], d["name"]) for d in ready]

    def _listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", "me/datasets", params={"workspace_id": self.workspace})["items"]
        return found

    def _make(self, name: str, question: Question, guidelines: str, min_submitted: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "name": name,
            "workspace_id": self.workspace,
            "distribution": {"strategy": "overlap", "min_submitted": min_submitted},
            "allow_extra_metadata": False,
        }
        if guidelines.strip():
            body["guidelines"] = inert(guidelines)[:LONGEST_GUIDELINES]
        made: dict[str, Any] = self.ask("POST", "datasets", body)
        place = f"datasets/{made['id']}"
        chat = {"type": "chat", "use_markdown": True}
        for name_, title in question.fields.items():
            self.ask("POST", f"{place}/fields", {"name": name_, "title": title, "required": True, "settings": chat})
        note = {"name": NOTE, "title": "Why? (if you like)", "required": False, "settings": {"type": "text"}}
        for asked in (*question.questions, note):
            self.ask("POST", f"{place}/questions", dict(asked))
        self.ask("PUT", f"{place}/publish")
        return made

    def people(self) -> dict[str, str]:
        """User id -> name, as far as this key may see."""
        found = {self.me["id"]: self.me["username"]}
        place = "users" if self.me.get("role") == "owner" else f"workspaces/{self.workspace}/users"
        with contextlib.suppress(Refused):  # an id stands for whoever this key may not see
            found |= {user["id"]: user["username"] for user in self.ask("GET", place)["items"]}
        return found


@dataclass(frozen=True)
class Board:
    """A data set of one question."""

    connection: Connection
    id: str
    name: str
    questions: Mapping[str, str] = field(default_factory=dict)
    """Name -> Argilla's id of it; empty where nothing is pushed."""

    @property
    def url(self) -> str:
        """Where people go."""
        return f"{self.connection.server.api_url}/dataset/{self.id}/annotation-mode"

    @property
    def suggests(self) -> bool:
        """Whether people see there what a model says."""
        return self.name.endswith(SUGGESTED)

    def push(self, records: Sequence[Shown], suggested: Mapping[str, Verdict] | None = None) -> None:
        """Adds records, none of which may be there already.

        Args:
            suggested: Item -> what a model says of it.
        """
        items: list[dict[str, Any]] = []
        size = 0
        for shown in records:
            item = self._item(shown, (suggested or {}).get(shown.item.id))
            more = sum(len(m["content"]) for chat in item["fields"].values() for m in chat)
            if items and (len(items) == _PUSHED_AT_ONCE or size + more > _CHARACTERS_AT_ONCE):
                self._add(items)
                items, size = [], 0
            items.append(item)
            size += more
        if items:
            self._add(items)

    def _add(self, items: Sequence[dict[str, Any]]) -> None:
        place = f"datasets/{self.id}/records/bulk"
        try:
            self.connection.wire.ask("POST", place, {"items": items}, repeatable=True)
        except Refused as error:
            # All of a call are added or none: if they are there, an earlier try was heard and its answer was lost.
            if error.tries == 1 or "same external ids" not in error.said:
                raise

    def _item(self, shown: Shown, suggested: Verdict | None) -> dict[str, Any]:
        fields = {name: chat(messages) for name, messages in shown.question.shows(shown).items()}
        values = dict(shown.question.prefilled(shown))
        if suggested is not None:
            values |= shown.question.suggestion(shown, suggested)
        stands = [{"question_id": self.questions[name], "value": value} for name, value in values.items()]
        return {"external_id": shown.code, "fields": fields, **({"suggestions": stands} if stands else {})}

    def pages(self, shown: Mapping[str, Shown], names: Mapping[str, str]) -> Iterator[Page]:
        """What people say now, a page of records at a time.

        Args:
            shown: Code -> what it shows; what people say of other records is passed over.
            names: User id -> name.
        """
        for records in self.records():
            page = Page({record["external_id"] or "" for record in records})
            for record in records:
                if (code := record["external_id"]) in shown:
                    self._read(shown[code], record.get("responses") or [], names, page)
            yield page

    def _read(self, shown: Shown, responses: Sequence[Mapping[str, Any]], names: Mapping[str, str], page: Page) -> None:
        for response in responses:
            who, values = said_in(response, names)
            verdict: Verdict | None = None
            try:
                if response["status"] == "discarded":
                    verdict = SKIP
                elif response["status"] == "submitted":
                    verdict = shown.question.read(shown, values)
            except Misread as error:
                page.problems.append(f"{self.name}: what {who} says of record {shown.code}: {error}")
                page.unclear.add((form_of(self.name, who), shown.code))
            if verdict is not None:
                note = str(values.get(NOTE) or "")
                at = str(response.get("inserted_at") or "")
                page.given.append(Given(shown, who, verdict, note, form_of(self.name, who), self.suggests, at))

    def records(self) -> Iterator[list[dict[str, Any]]]:
        """Each record with its responses once, as REST lists it, a page at a time.

        Records of the same moment may change places between two pages, on a server that keeps no order among them:
        what was passed over is read in another round.
        """
        seen: set[str] = set()
        for _ in range(_ROUNDS):
            offset = 0
            while True:
                params = {"limit": _PULLED_AT_ONCE, "offset": offset, "include": "responses"}
                page = self.connection.ask("GET", f"datasets/{self.id}/records", params=params)
                new = [item for item in page["items"] if item["id"] not in seen]
                yield new
                seen.update(item["id"] for item in new)
                offset += len(page["items"])
                if len(page["items"]) < _PULLED_AT_ONCE:
                    break
            if len(seen) >= (page.get("total") or 0):
                return


@dataclass
class Page:
    """What some records of a data set hold."""

    codes: set[str]
    given: list[Given] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What cannot be understood, one line each."""
    unclear: set[tuple[str, str]] = field(default_factory=set)
    """(form, code) of these."""


def said_in(response: Mapping[str, Any], names: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Who answered, and the value that they gave to each question.

    Args:
        names: User id -> name; whoever is in none is called after the id.
    """
    who = names.get(response["user_id"], f"user-{str(response['user_id'])[:8]}")
    return who, {name: (one or {}).get("value") for name, one in (response.get("values") or {}).items()}


def form_of(board: str, who: str) -> str:
    """What the log calls the place where one person answers: each has a form of their own."""
    return f"argilla:{board}:{who}"


def chat(messages: Sequence[Message]) -> list[dict[str, str]]:
    """As Argilla takes chats: inert, a long message in several, and of a chat that is longer than it shows, the end.

    What is left out is said where it is missing.
    """
    pieces: list[dict[str, str]] = []
    for m in messages:
        text = inert(readable(m))
        text = text if text.strip() else _EMPTY  # Argilla takes no empty message
        role = m.role[:_LONGEST_ROLE] or "user"
        cuts = range(0, len(text), _LONGEST_TURN)
        pieces += [{"role": role, "content": text[at : at + _LONGEST_TURN]} for at in cuts]
    if not pieces:
        return [{"role": "system", "content": _EMPTY}]
    if len(pieces) <= _MOST_TURNS:
        return pieces
    left_out = pieces[: len(pieces) - _MOST_TURNS + 1]
    before = "\n\n".join(f"[{piece['role']}]\n{piece['content']}" for piece in left_out)
    said = f"[... {max(len(before) - _LONGEST_TURN, 0):,} characters before this are not shown ...]\n\n"
    begin = before[-(_LONGEST_TURN - len(said)) :] if len(before) > _LONGEST_TURN else before
    return [{"role": "system", "content": (said if begin != before else "") + begin}, *pieces[len(left_out) :]]
