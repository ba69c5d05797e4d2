"""Argilla's filters and orders as SQL over Argilla's own tables: nothing is copied, so nothing can drift.

Tables and columns are those of Argilla 2.8: `records` (`metadata` is JSON), `responses` (`values` is JSON: question ->
{"value": ...}), `suggestions` (`value` and `score` are JSON), `questions`. Ids are 32 hex digits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from argilla_server.search_engine.base import (
    AndFilter,
    Filter,
    MetadataFilterScope,
    Order,
    RecordFilterScope,
    ResponseFilterScope,
    SuggestionFilterScope,
    TermsFilter,
)

_COLUMNS = {name: f"r.{name}" for name in ("id", "external_id", "status", "inserted_at", "updated_at")}


def hex_id(value: Any) -> str:
    """An id as the database has it."""
    return value.hex if isinstance(value, UUID) else UUID(str(value)).hex


class Where:
    """A condition on `records r`, and the values that it speaks of."""

    def __init__(self, dataset: Any) -> None:
        self.values: dict[str, Any] = {"dataset": hex_id(dataset.id)}
        self.parts = ["r.dataset_id = :dataset"]
        self.shrinks = False
        """Whether it leaves a person's own queue, which gets shorter with each answer."""

    def bind(self, value: Any) -> str:
        """A place for a value."""
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"

    def among(self, select: str, values: Sequence[str]) -> None:
        """Records whose ids this gives, with a `?` for each value."""
        for value in values:
            select = select.replace("?", self.bind(value), 1)
        self.parts.append(f"r.id IN ({select})")

    def add(self, given: Filter) -> None:
        """What a filter lets through."""
        self.parts.append(self._filter(given))

    @property
    def sql(self) -> str:
        return " AND ".join(self.parts)

    def order(self, order: Order) -> tuple[str, str]:
        """(what is sorted by, which way); records without a value come last, whichever way it goes."""
        way = "DESC" if _plain(order.order) == "desc" else "ASC"
        return self._sorted_by(order.scope), f"{way} NULLS LAST"

    # Filters

    def _filter(self, given: Filter) -> str:
        if isinstance(given, AndFilter):
            return "(" + (" AND ".join(map(self._filter, given.filters)) or "1") + ")"
        scope = given.scope
        if isinstance(scope, RecordFilterScope):
            name = _plain(scope.property)
            if isinstance(given, TermsFilter):  # text, so that an index can be used
                values = [_hex_or_none(v) if name == "id" else str(_plain(v)) for v in given.values]
                return f"{_COLUMNS[name]} IN (SELECT value FROM json_each({self.bind(json.dumps(values))}))"
            return self._compare(_COLUMNS[name], given)
        if isinstance(scope, MetadataFilterScope):
            place = self.bind(path_in_json(scope.metadata_property))
            one = self._compare(f"json_extract(r.metadata, {place})", given)
            each = f"EXISTS (SELECT 1 FROM json_each(r.metadata, {place}) m WHERE {self._compare('m.value', given)})"
            return f"CASE json_type(r.metadata, {place}) WHEN 'array' THEN {each} ELSE {one} END"
        if isinstance(scope, SuggestionFilterScope):
            return self._suggestion(scope, given)
        if isinstance(scope, ResponseFilterScope):
            return self._response(scope, given)
        raise ValueError(f"no such scope: {scope}")

    def _compare(self, expression: str, given: Filter) -> str:
        if isinstance(given, TermsFilter):
            values = self.bind(json.dumps([_plain(v) for v in given.values]))
            # As text: a given on ratings sends "3" for the number 3.
            return f"CAST({expression} AS TEXT) IN (SELECT CAST(value AS TEXT) FROM json_each({values}))"
        bounds = [(">=", given.ge), ("<=", given.le)]
        return "(" + (" AND ".join(f"{expression} {s} {self.bind(b)}" for s, b in bounds if b is not None) or "1") + ")"

    def _suggestion(self, scope: SuggestionFilterScope, given: Filter) -> str:
        name = _plain(scope.property)
        inside = name in ("value", "score")
        tables = "suggestions s JOIN questions q ON q.id = s.question_id"
        if inside:
            tables += f", json_each({_values('s', name)}) e"
        asked = f"s.record_id = r.id AND q.name = {self.bind(scope.question)}"
        held = self._compare("e.value" if inside else f"s.{name}", given)
        return f"EXISTS (SELECT 1 FROM {tables} WHERE {asked} AND {held})"

    def _response(self, scope: ResponseFilterScope, given: Filter) -> str:
        whose = "p.record_id = r.id" + self._mine(scope)
        if scope.question:
            each = f'json_each(p."values", {self.bind(path_in_json(scope.question, "value"))}) e'
            # A ranking is a list of objects; what is filtered by is the value in each.
            value = "CASE e.type WHEN 'object' THEN json_extract(e.value, '$.value') ELSE e.value END"
            return f"EXISTS (SELECT 1 FROM responses p, {each} WHERE {whose} AND {self._compare(value, given)})"
        wanted = [str(_plain(v)) for v in given.values]
        parts = []
        mine = self._mine(scope).replace(" AND ", "WHERE ", 1)
        if "pending" in wanted:
            self.shrinks = scope.user is not None
            parts.append(f"r.id NOT IN (SELECT p.record_id FROM responses p {mine})")
        if given := [v for v in wanted if v != "pending"]:
            held = f"p.status IN (SELECT value FROM json_each({self.bind(json.dumps(given))}))"
            parts.append(f"r.id IN (SELECT p.record_id FROM responses p {mine or 'WHERE 1'} AND {held})")
        return "(" + (" OR ".join(parts) or "1") + ")"

    def _mine(self, scope: ResponseFilterScope) -> str:
        return f" AND p.user_id = {self.bind(hex_id(scope.user.id))}" if scope.user else ""

    # Orders

    def _sorted_by(self, scope: Any) -> str:
        if isinstance(scope, RecordFilterScope):
            return _COLUMNS[_plain(scope.property)]
        if isinstance(scope, MetadataFilterScope):
            return f"json_extract(r.metadata, {self.bind(path_in_json(scope.metadata_property))})"
        if isinstance(scope, SuggestionFilterScope):
            name = _plain(scope.property)
            value = f"json_extract({_values('s', name)}, '$')" if name in ("value", "score") else f"s.{name}"
            asked = f"s.record_id = r.id AND q.name = {self.bind(scope.question)}"
            return f"(SELECT max({value}) FROM suggestions s JOIN questions q ON q.id = s.question_id WHERE {asked})"
        if isinstance(scope, ResponseFilterScope):
            whose = "p.record_id = r.id" + self._mine(scope)
            value = f"max(p.{_plain(scope.property)})"
            if scope.question:
                value = f'avg(json_extract(p."values", {self.bind(path_in_json(scope.question, "value"))}))'
            return f"(SELECT {value} FROM responses p WHERE {whose})"
        raise ValueError(f"no such scope: {scope}")


def path_in_json(*keys: str) -> str:
    """A place in JSON as SQLite writes it."""
    return "$" + "".join('."' + key.replace('"', "") + '"' for key in keys)


def _values(table: str, column: str) -> str:
    """A column of JSON that may be null."""
    return f"coalesce({table}.{column}, 'null')"


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _hex_or_none(value: Any) -> str:
    """The id as the database has it; what is none is found nowhere."""
    try:
        return hex_id(value)
    except ValueError:
        return ""
