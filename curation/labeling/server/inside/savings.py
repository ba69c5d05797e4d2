"""Work that Argilla does anew for each record, though nothing has changed: done once.

Its results are the same to the byte. Together this was nine tenths of what a push costs, and half of a submit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from argilla_server.contexts import webhooks
from argilla_server.models import database
from argilla_server.webhooks.v1 import records, responses
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

_KNOWN, _MEMBERS = "someone listens", "members"
"""What a session keeps of what it has looked up: Argilla opens one for each request."""


def use() -> None:
    """Puts them in the place of Argilla's own."""
    records.build_record_event = _if_heard(records.build_record_event)
    responses.build_response_event = _if_heard(responses.build_response_event)
    database.TypeAdapter = _adapter
    database.User.is_member = _member(database.User.is_member)


class _Unheard:
    """An event that nobody wants to know of."""

    async def notify(self, db: AsyncSession) -> list[Any]:
        return []


def _if_heard(build: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Argilla describes records and answers in full for its webhooks, and then finds that there are none.

    Here it looks first, once a request.
    """

    async def built(db: AsyncSession, event: Any, about: Any) -> Any:
        if _KNOWN not in db.info:
            db.info[_KNOWN] = bool(await webhooks.list_enabled_webhooks(db))
        return await build(db, event, about) if db.info[_KNOWN] else _Unheard()

    return built


def _member(look: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
    """Argilla asks whether a person belongs to a workspace for each metadata value of each record that it shows them.

    Here it asks once a request.
    """

    async def is_member(self: Any, workspace_id: UUID) -> bool:
        known: dict[Any, bool] = self.current_async_session.info.setdefault(_MEMBERS, {})
        if (self.id, workspace_id) not in known:
            known[self.id, workspace_id] = await look(self, workspace_id)
        return known[self.id, workspace_id]

    return is_member


_adapters: dict[int, tuple[Any, TypeAdapter[Any]]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Argilla compiles a validator each time it reads the settings of a question or of a metadata property."""
    if id(kind) not in _adapters:
        _adapters[id(kind)] = (kind, TypeAdapter(kind))  # with the kind, so that its id stays its own
    return _adapters[id(kind)][1]
