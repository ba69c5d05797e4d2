"""Many records put up in one call: what Argilla has just written it does not read again, nor build for nothing.

Argilla's own way stays as it is: the same checks in the same order, the same rows in one transaction, the same answer.
Four of its pieces are replaced by ones that give the same. Together they were half of what a record costs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from argilla_server.api.schemas.v1.chat import ChatFieldValue
from argilla_server.bulk import records_bulk
from argilla_server.contexts import distribution
from argilla_server.models import Response, Suggestion, Vector
from argilla_server.validators.records import RecordCreateValidator
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload
from sqlalchemy.orm.attributes import set_committed_value

_encoded: Callable[[Any], Any] = records_bulk.jsonable_encoder
_checked: Callable[[Any, Any], Awaitable[None]] = RecordCreateValidator.validate


def use() -> None:
    """Puts them in the place of Argilla's own."""
    records_bulk.jsonable_encoder = _plain
    records_bulk._preload_records_relationships_before_index = _keep_the_rest
    distribution.unsafe_update_records_status = _keep_responses_and_count
    RecordCreateValidator.validate = _check


def _plain(fields: Any) -> Any:
    """The fields of a record as JSON; Argilla looks at each message of a chat as at a thing that it has never seen."""
    chats = {
        name: [{"role": message.role, "content": message.content} for message in value]
        for name, value in (fields or {}).items()
        if isinstance(value, list) and all(type(message) is ChatFieldValue for message in value)
    }
    others = _encoded({name: "" if name in chats else value for name, value in (fields or {}).items()})
    return {name: chats.get(name, value) for name, value in others.items()}


async def _check(record: Any, dataset: Any) -> None:
    """Argilla makes a row of each record first; suggestions and answers alone are held against it."""
    if record.suggestions or record.responses:
        await _checked(record, dataset)
    else:
        RecordCreateValidator._validate_fields(record.fields, dataset)
        RecordCreateValidator._validate_metadata(record.metadata, dataset)
        RecordCreateValidator._validate_vectors(record.vectors, dataset)


async def _keep_responses_and_count(db: AsyncSession, records: Sequence[Any]) -> None:
    """Argilla reads whole records to count their answers; here the answers alone are read, and kept for later."""
    given = await _of_each(db, records, select(Response).options(selectinload(Response.user)), Response)
    for record in records:
        set_committed_value(record, "responses", given[record.id])
        set_committed_value(record, "responses_submitted", [one for one in given[record.id] if one.is_submitted])
        await distribution._update_record_status(db, record)


async def _keep_the_rest(db: AsyncSession, records: Sequence[Any]) -> None:
    """What belongs to records, besides their answers, read without the records."""
    for name, kind, asked in (
        ("suggestions", Suggestion, select(Suggestion).options(selectinload(Suggestion.question))),
        ("vectors", Vector, select(Vector)),
    ):
        found = await _of_each(db, records, asked, kind)
        for record in records:
            set_committed_value(record, name, found[record.id])


async def _of_each(db: AsyncSession, records: Sequence[Any], asked: Select[Any], kind: Any) -> dict[Any, list[Any]]:
    """Record -> its rows, in the order in which Argilla's relationships have them."""
    found: dict[Any, list[Any]] = {record.id: [] for record in records}
    for row in await db.scalars(asked.where(kind.record_id.in_(found)).order_by(kind.inserted_at)):
        found[row.record_id].append(row)
    return found
