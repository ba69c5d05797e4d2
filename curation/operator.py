"""The four things that can happen to a row, as base classes: `Mapper`, `Scorer`, `Filter`, `Selector`.

An operator is its settings (frozen, typed, no unknown keys) plus one behaviour. Each behaviour can be written row by
row, which is what a first version should do, or for a whole frame, which is what makes the built-in ones fast: give
one, and the base class answers the other. Who gives both shows by a test that they agree. No operator knows a store,
an engine or a file of rows.

On Conversations an operator sees the row. On Preferences and Candidates an operator that reads chats says `on:` which
chat it means; operators that look at the pair or at the row as a whole (`identical_pair`, `split`, `random`, `keep`)
list those row types in `rows` and need no `on`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from curation.artifact import identity
from curation.conversation import AnyRow, Conversation, canonical_json
from curation.errors import RecipeError
from curation.registry import OPERATORS, Door, lookup
from curation.settings import Settings as Settings

if TYPE_CHECKING:
    import polars as pl

On = Literal["prompt", "chosen", "rejected", "reply"]
RowKind = Literal["conversations", "candidates", "preferences"]


class Operator(Settings):
    """What all operators share. Subclass one of the four below, and give `op` a literal name."""

    revision: ClassVar[int] = 1
    """Raised by hand when the class's meaning changes: caches made by the old meaning are then not used."""
    rows: ClassVar[frozenset[str]] = frozenset({"conversations"})
    """Row kinds it works on directly. One that lists `conversations` alone works on the others through `on`."""

    takes_on: ClassVar[bool] = True
    """Whether `on` may point it at one chat of a preference or of candidates. False: it takes a chat as a whole."""

    op: str
    """Name in recipes; a subclass makes it a `Literal` with a default."""
    on: On | None = None
    """Which chat of a preference or of candidates: `prompt` alone, or the prompt with the `chosen` answer, the
    `rejected` one, or each `reply` (candidates). On conversations only `prompt`: all before the last answer."""

    @property
    def title(self) -> str:
        """Name for people: `length`, `length(chosen)`."""
        return f"{self.op}({self.on})" if self.on else self.op

    def reads(self) -> frozenset[str]:
        """Names of the scores that it needs; an operator before it or the data must bring them."""
        return frozenset()

    def writes(self) -> frozenset[str]:
        """Names of the scores that it makes."""
        return frozenset()

    def prepare(self) -> None:
        """Called once in each process before the first batch: load word lists, compile patterns, open models."""


class Mapper(Operator):
    """Edits rows, or splits them. Children name the row that they came from as `parent`.

    One that is a `Filter` too edits first, and is asked then which of the rows that it made have to go.
    """

    def map(self, row: Any) -> Sequence[Any]:
        """The row unchanged (the same object), one edited copy, or several children. Never none: a `Filter` drops."""
        _needs_one(self, Mapper, "map", "map_frame")
        from curation.frame import to_frame, to_rows, with_ids

        made = to_rows(with_ids(self.map_frame(to_frame([row], type(row)))))
        made = made if len(made) == 1 else [child.with_(parent=row.id) for child in made]
        return [row] if made == [row] else made

    def map_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """All rows at once; ids may be left stale, the engine computes them anew.

        Either the rows come back one for one, in order, or the frame that comes back has a column `row` (integer): the
        index of the row that each came from. Children, that is rows that share theirs, get it as `parent`.
        """
        import polars as pl

        from curation.frame import row_type, to_frame, to_rows

        made: list[AnyRow] = []
        origin: list[int] = []
        for i, row in enumerate(to_rows(frame)):
            out = self.map(row)
            made += out
            origin += [i] * len(out)
        return to_frame(made, row_type(frame)).with_columns(pl.Series("row", origin, dtype=pl.UInt32))


class Scorer(Operator):
    """Adds a number to each row; never drops. The same class is a curation column, a reward and a metric."""

    chunked: ClassVar[bool] = False
    """True for models: scored once over the whole table in fixed chunks (sorted by length, then id), through the score
    cache, so that batch size and engine cannot change a value."""
    chunk_size: ClassVar[int] = 16
    """Rows of one such chunk."""

    as_: str | None = Field(None, alias="as")
    """Name of the column; default: the operator's name, with `_chosen` and the like where `on` is set."""

    model_config = ConfigDict(populate_by_name=True)

    @property
    def column(self) -> str:
        """The score's name, without the `scores.` prefix."""
        name = self.op.rpartition("/")[2].rpartition(":")[2]
        return self.as_ or (f"{name}_{self.on}" if self.on else name)

    def writes(self) -> frozenset[str]:
        return frozenset({self.column})

    def score(self, conversations: list[Conversation]) -> list[float]:
        """One finite number a conversation, in order. `conversation.meta` holds what came with the prompt."""
        _needs_one(self, Scorer, "score", "score_frame")
        from curation.frame import to_frame

        return [float(x) for x in self.score_frame(to_frame(conversations, Conversation))]

    def score_frame(self, frame: pl.DataFrame) -> pl.Series:
        """The same numbers for a frame of conversations (Float64). Override for speed; a test must show equality."""
        import polars as pl

        from curation.frame import to_rows

        return pl.Series("score", self.score(to_rows(frame)), dtype=pl.Float64)


@dataclass(frozen=True, slots=True)
class TwoOrders:
    """What a judge said of two answers, asked in both orders: 1 for the first answer, 0 for the second, 0.5 for a tie.

    None where what it said could not be understood.
    """

    forth: float | None
    """When the first answer was shown first."""
    back: float | None
    """When it was shown second."""

    @property
    def outcome(self) -> float:
        """1, 0 or 0.5: an answer wins when it wins in both orders, everything else is a tie (arXiv 2306.05685)."""
        return self.forth if self.forth is not None and self.forth == self.back else 0.5

    @property
    def flipped(self) -> bool:
        """The order alone changed what the judge said."""
        return None not in (self.forth, self.back) and self.forth != self.back


class PairScorer(Scorer):
    """A scorer that can look at two answers side by side; what compares answers then asks it for that."""

    def compare(self, pairs: Sequence[tuple[Conversation, Conversation]]) -> list[TwoOrders]:
        """One verdict a pair of answers to the same prompt, in order."""
        raise NotImplementedError(f"{type(self).__name__} needs compare()")


class Filter(Operator):
    """Names the reason to drop a row, or none. One snake_case word, the same in ledger, column and test."""

    def reason(self, row: Any) -> str | None:
        """The word, or None to keep the row."""
        _needs_one(self, Filter, "reason", "reasons")
        from curation.frame import to_frame

        word: str | None = self.reasons(to_frame([row], type(row)))[0]
        return word

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        """One word or null a row (String)."""
        import polars as pl

        from curation.frame import to_rows

        return pl.Series("reason", [self.reason(row) for row in to_rows(frame)], dtype=pl.String)

    def evidence(self, frame: pl.DataFrame, reasons: pl.Series) -> pl.Series | None:
        """What speaks for the reasons, for people: a text or null a row (String); None where the word says it all.

        Asked after `reasons`, with the same frame and what that gave. It is kept with the dropped rows.
        """
        return None


class Selector(Operator):
    """Decides over the whole table, of which it sees ids, keys and scores, never the text."""

    rows: ClassVar[frozenset[str]] = frozenset({"conversations", "candidates", "preferences"})

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Columns computed batch by batch that `choose` will need: hashes, bands, `scores.*`. Never text."""
        return frame.select()

    def choose(self, table: pl.DataFrame) -> pl.Series:
        """One word or null a row, like `Filter.reasons`, for the whole table.

        `table` has `id`, `origin` (String: beginning of the digest, and index), the columns of `keys`, in no promised
        order: a rule that depends on order must sort by (id, origin) itself. Rows with equal ids are possible.
        """
        raise NotImplementedError(f"{type(self).__name__} needs choose()")

    def decide(self, table: pl.DataFrame) -> Decision:
        """What `choose` says, and columns to write into the rows that stay.

        Override to write `split`, `label` (of conversations) or scores; the names of scores must be among `writes`.
        """
        return Decision(self.choose(table))


@dataclass(frozen=True)
class Decision:
    """What a selector decided for each row of its table, in the table's order."""

    reasons: pl.Series
    """One word or null a row (String)."""
    columns: Mapping[str, pl.Series] = field(default_factory=dict)
    """Column of the rows (`split`, `label` or `scores.NAME`) -> its new values."""
    evidence: pl.Series | None = None
    """What speaks for each reason, for people (String): of which row it is a duplicate, say. None: nothing to add."""

    def part(self, start: int, length: int) -> Decision:
        """What concerns these rows."""
        columns = {name: values.slice(start, length) for name, values in self.columns.items()}
        evidence = None if self.evidence is None else self.evidence.slice(start, length)
        return Decision(self.reasons.slice(start, length), columns, evidence)


def scorer_key(scorer: Scorer) -> str:
    """Under what a scorer's numbers are cached: its settings and revision, not the name of the column."""
    settings = {k: v for k, v in identity(scorer).items() if k not in ("as_", "on")}
    return hashlib.sha256(canonical_json(settings).encode()).hexdigest()


def _needs_one(operator: Operator, base: type[Operator], by_row: str, by_frame: str) -> None:
    """Each of two methods is written in terms of the other: one of them must be overridden."""
    if getattr(type(operator), by_frame) is getattr(base, by_frame):
        raise NotImplementedError(f"{type(operator).__name__} needs {by_row}() or {by_frame}()")


class Plugin:
    """Annotation for a field that holds a plugin written as `name` or `{name: {settings}}`.

    `Annotated[Scorer, Plugin(OPERATORS, Scorer)]` accepts `words`, `{words: {...}}`, `my_pkg.ops:Shouting` or an
    instance. Errors inside keep their place.
    """

    def __init__(self, door: Door, base: type[BaseModel]) -> None:
        self.door, self.base = door, base

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda plugin: {plugin.op: plugin.model_dump(mode="json", exclude_defaults=True, exclude={"op"})}
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        return {"x-plugin": self.door.what}

    def parse(self, value: Any) -> Any:
        """The plugin that a recipe's value means.

        Raises:
            PydanticCustomError: `nested` carries the errors of the settings in its context, with their places.
        """
        if isinstance(value, self.base):
            return value
        name: Any
        settings: Any
        if isinstance(value, str):
            name, settings = value, {}
        elif isinstance(value, dict) and len(value) == 1:
            name, settings = next(iter(value.items()))
            settings = {} if settings is None else settings
        else:
            what = self.door.what
            article = "an" if what[0] in "aeiou" else "a"
            text = "{article} {what} is a name, or one name with its settings"
            raise PydanticCustomError("plugin", text, {"article": article, "what": what})
        if not isinstance(name, str):
            raise PydanticCustomError("plugin", "a name is text, got {got}", {"got": repr(name)})
        try:
            cls = lookup(self.door, name)
        except RecipeError as error:
            raise PydanticCustomError(
                "plugin", "{text}", {"text": "; ".join(filter(None, (error.what, error.hint)))}
            ) from None
        if not issubclass(cls, self.base):
            kind = self.base.__name__.lower()
            raise PydanticCustomError("plugin", "{name} is no {kind}", {"name": repr(name), "kind": kind})
        try:
            if isinstance(settings, dict):
                return cls.model_validate(settings)
            return cls.model_validate(cls.shorthand(settings) if hasattr(cls, "shorthand") else settings)
        except ValidationError as error:
            problems = error.errors(include_url=False)
            raise PydanticCustomError(
                "nested", "{name} has wrong settings", {"name": name, "errors": problems}
            ) from None


def _plugin(base: type[Operator]) -> Plugin:
    return Plugin(OPERATORS, base)


OPERATOR_FIELD = _plugin(Operator)
SCORER_FIELD = _plugin(Scorer)
