"""The search engine that Argilla's server asks, without a search server: SQL over the server's own tables.

Argilla calls it after its own commit, so whatever it reads is there. Each question has a connection of its own: a
request already holds one of Argilla's pool, and a second one from there stalls the server at 24 people.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

from argilla_server.enums import MetadataPropertyType, SimilarityOrder
from argilla_server.search_engine.base import (
    FloatMetadataMetrics,
    IntegerMetadataMetrics,
    SearchEngine,
    SearchResponseItem,
    SearchResponses,
    TermsMetrics,
    TextQuery,
)
from argilla_server.settings import settings

from .handed import handed
from .similar import nearest
from .texts import Texts
from .where import Where, hex_id, path_in_json

NAME = "embedded"


def database() -> Path:
    """The file of Argilla's database."""
    return Path(settings.database_url.partition("///")[2].partition("?")[0])


@cache
def texts() -> Texts:
    """The index beside it."""
    return Texts(Path(settings.home_path) / "search.db")


@SearchEngine.register(NAME)
class Embedded(SearchEngine):
    """Answers from the tables; keeps nothing but the full text."""

    @classmethod
    async def new_instance(cls) -> Embedded:
        return cls()

    async def close(self) -> None:
        """Nothing is held open."""

    async def ping(self) -> bool:
        return True

    async def info(self) -> dict[str, Any]:
        return {"name": NAME, "version": {"number": sqlite3.sqlite_version}}

    # What Argilla tells

    async def create_index(self, dataset: Any) -> None:
        """The tables are the index."""

    async def configure_metadata_property(self, dataset: Any, metadata_property: Any) -> None:
        """The tables are the index."""

    async def configure_index_vectors(self, vector_settings: Any) -> None:
        """The tables are the index."""

    async def delete_index(self, dataset: Any) -> None:
        await asyncio.to_thread(texts().forget, dataset=hex_id(dataset.id))

    async def index_records(self, dataset: Any, records: Iterable[Any]) -> None:
        pictures = {field.name for field in dataset.fields if field.is_image}
        said = [(hex_id(r.id), {k: v for k, v in r.fields.items() if k not in pictures}) for r in records]
        if said:
            await asyncio.to_thread(texts().put, hex_id(dataset.id), said)

    async def delete_records(self, dataset: Any, records: Iterable[Any]) -> None:
        await asyncio.to_thread(texts().forget, records=[hex_id(r.id) for r in records])

    async def partial_record_update(self, record: Any, **update: Any) -> None:
        """Of a record's own columns, which are read where they lie."""

    async def update_record_response(self, response: Any) -> None:
        """Read where it lies."""

    async def delete_record_response(self, response: Any) -> None:
        """Read where it lies."""

    async def update_record_suggestion(self, suggestion: Any) -> None:
        """Read where it lies."""

    async def delete_record_suggestion(self, suggestion: Any) -> None:
        """Read where it lies."""

    # What Argilla asks

    async def search(
        self,
        dataset: Any,
        query: Any = None,
        filter: Any = None,
        sort: Sequence[Any] | None = None,
        offset: int = 0,
        limit: int = 100,
        user_id: Any = None,
    ) -> SearchResponses:
        """Records of a data set.

        Without an order, each person (`user_id`) goes through them in an order of their own, but first through what
        others have begun: so that records get their last answer early, not all of them late. What they have in hand
        keeps its place (`handed`).
        """
        where = Where(dataset)
        await self._narrow(where, dataset, query, filter)
        if sort:
            keys = [*map(where.order, sort), ("r.inserted_at", ""), ("r.id", "")]
        elif user_id:
            turn = UUID(str(user_id)).int % 11 + 18  # ids are random: a part of them orders as well as any shuffle
            given = "(SELECT count(*) FROM responses b WHERE b.record_id = r.id AND b.status = 'submitted')"
            keys = [(given, "DESC"), (f"substr(r.id, {turn})", ""), ("r.id", "")]
        else:
            keys = [("r.inserted_at", ""), ("r.id", "")]
        columns = ", ".join(f"{key} AS k{n}" for n, (key, _) in enumerate(keys))
        order = ", ".join(f"k{n} {way}" for n, (_, way) in enumerate(keys))
        mine = None
        if user_id and where.shrinks:
            what = (where.sql, str(where.values), str(keys))
            mine = handed(str(user_id), where.values["dataset"], what, offset)
        held = where.bind(json.dumps(mine.records if mine else []))
        hits = (
            f"WITH hits AS MATERIALIZED (SELECT r.id AS id, {columns} FROM records r WHERE {where.sql}), "
            f"held AS MATERIALIZED (SELECT value AS id, key AS place FROM json_each({held}))"
        )
        page = "SELECT id, (SELECT count(*) FROM hits) FROM hits LEFT JOIN held USING (id)"
        of_page = f"ORDER BY place NULLS LAST, {order} LIMIT {int(limit)}"
        found = await _ask(f"{hits} {page} {of_page} OFFSET {int(offset)}", where.values)
        if not found and mine and mine.records and offset <= mine.count:
            found = await _ask(f"{hits} {page} WHERE place IS NULL {of_page}", where.values)
        if not found:  # none, or the page lies behind the last one
            found = await _ask(f"{hits} SELECT NULL, count(*) FROM hits", where.values)
        if mine:
            mine.add([record for record, _ in found if record])
        items = [SearchResponseItem(record_id=UUID(record), score=None) for record, _ in found if record]
        return SearchResponses(items=items, total=found[0][1])

    async def similarity_search(
        self,
        dataset: Any,
        vector_settings: Any,
        value: list[float] | None = None,
        record: Any = None,
        query: Any = None,
        filter: Any = None,
        max_results: int = 100,
        order: Any = SimilarityOrder.most_similar,
        threshold: float | None = None,
    ) -> SearchResponses:
        if bool(value) == bool(record):
            raise ValueError("Must provide either vector value or record to compute the similarity search")
        vector = value or record.vector_value_by_vector_settings(vector_settings)
        if not vector:
            raise ValueError("Cannot find a vector value to apply with provided info")
        where = Where(dataset)
        await self._narrow(where, dataset, query, filter)
        if record is not None:
            where.parts.append(f"r.id != {where.bind(hex_id(record.id))}")
        kind = where.bind(hex_id(vector_settings.id))
        rows = await _ask(
            "SELECT r.id, v.value FROM records r JOIN vectors v ON v.record_id = r.id "
            f"WHERE v.vector_settings_id = {kind} AND {where.sql}",
            where.values,
        )
        least = order == SimilarityOrder.least_similar
        found = await asyncio.to_thread(nearest, rows, vector, max_results, threshold, least)
        items = [SearchResponseItem(record_id=UUID(one), score=score) for one, score in found]
        return SearchResponses(items=items, total=len(items))

    async def get_dataset_progress(self, dataset: Any) -> dict[str, int]:
        if dataset.is_draft:
            return {}
        rows = await _ask(
            "SELECT status, count(*) FROM records WHERE dataset_id = :dataset GROUP BY status",
            {"dataset": hex_id(dataset.id)},
        )
        return {"total": sum(n for _, n in rows), **dict(rows)}

    async def get_dataset_user_progress(self, dataset: Any, user: Any) -> dict[str, int]:
        if dataset.is_draft:
            return {}
        rows = await _ask(
            "SELECT p.status, count(*) FROM responses p JOIN records r ON r.id = p.record_id "
            "WHERE r.dataset_id = :dataset AND p.user_id = :user GROUP BY p.status",
            {"dataset": hex_id(dataset.id), "user": hex_id(user.id)},
        )
        return {"total": sum(n for _, n in rows), **dict(rows)}

    async def compute_metrics_for(self, metadata_property: Any) -> Any:
        source = "FROM records r, json_each(r.metadata, :path) m WHERE r.dataset_id = :dataset AND m.value IS NOT NULL"
        values = {"dataset": hex_id(metadata_property.dataset_id), "path": path_in_json(metadata_property.name)}
        if metadata_property.type == MetadataPropertyType.terms:
            rows = await _ask(f"SELECT m.value, count(*) {source} GROUP BY 1 ORDER BY 2 DESC, 1", values)
            terms = [TermsMetrics.TermCount(term=str(term), count=n) for term, n in rows]
            return TermsMetrics(total=sum(n for _, n in rows), values=terms)
        ((low, high),) = await _ask(f"SELECT min(m.value), max(m.value) {source}", values)
        whole = metadata_property.type == MetadataPropertyType.integer
        return (IntegerMetadataMetrics if whole else FloatMetadataMetrics)(min=low, max=high)

    async def _narrow(self, where: Where, dataset: Any, query: Any, filter: Any) -> None:
        """Leaves what was typed into the search bar, and what the filters let through."""
        if query is not None:
            asked = query if isinstance(query, TextQuery) else TextQuery(q=query)
            said = await asyncio.to_thread(texts().condition, hex_id(dataset.id), asked.field, asked.q, "search.")
            if said is not None:
                where.among(*said)
        if filter is not None:
            where.add(filter)


async def _ask(sql: str, values: Mapping[str, Any]) -> list[Any]:
    return await asyncio.to_thread(_rows, sql, values)


_open = threading.local()


def _rows(sql: str, values: Mapping[str, Any]) -> list[Any]:
    """Each thread keeps its connection, which sees the last commit whenever it asks."""
    if not hasattr(_open, "connection"):
        connection = sqlite3.connect(f"file:{quote(str(database()))}?mode=ro", uri=True, timeout=30)
        connection.execute("ATTACH ? AS search", (f"file:{quote(str(texts().path))}?mode=ro",))
        for name in ("main", "search"):
            connection.execute(f"PRAGMA {name}.mmap_size = {1 << 31}")
        _open.connection = connection
    found: list[Any] = _open.connection.execute(sql, dict(values)).fetchall()
    return found
