"""What a format is: it takes a raw record apart into rows, or says in one word why it cannot.

A format is pure. It opens no file and knows no path: records come in as plain Python values (whatever a JSON, Parquet
or CSV reader makes), rows go out. Most formats look at one record at a time and override `parse`; one whose rows need
several records (the flat messages of a tree) overrides `outcomes`, which sees all records of a file. Either way every
record ends up used or refused with a reason, which is what the ledger's first sum rests on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from curation.conversation import AnyRow
from curation.formats.fields import Refused, plain
from curation.settings import Settings

Makes = Literal["conversations", "candidates", "preferences"]
Ties = Literal["", "tree", "record"]
"""Nothing; a `tree` in its `meta`; it must be looked at as a record."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A record that gave no row."""

    index: int
    reason: str
    """One snake_case word."""
    record: Any = None


@dataclass(frozen=True, slots=True)
class Spelling:
    """The keys of a plain chat: `{"id": ..., TURNS: [{WHO: "human", SAYS: "Hi"}, ...]}`."""

    turns: str
    who: str
    says: str


SPEAKING = (("from", "value"), ("role", "content"))
"""What turns call who speaks and what is said."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one record, or of several that belong together."""

    rows: Sequence[tuple[int, AnyRow]] = ()
    """(index of the record it came from, row)."""
    used: int = 0
    """Records that are in the rows."""
    lost: Sequence[Lost] = ()
    """Records that are in none."""
    left_out: Mapping[str, int] | None = None
    """Reason -> parts of a used record that are in no row: the deleted messages of a tree, say. In no sum."""
    format: str = ""
    """Name of the format that the records were read as, where `auto` found it."""
    evidence: str = ""
    """What spoke for that format, once a file."""


class Format(Settings):
    """What all formats share. Subclass it, give `op` a literal name, and write `parse`."""

    revision: ClassVar[int] = 1
    """Raised by hand when the same record comes to mean other rows."""
    makes: ClassVar[frozenset[Makes]] = frozenset({"conversations"})
    """What its records can be made into."""
    reads: ClassVar[frozenset[str]] = frozenset()
    """Keys of a record that it takes for itself; other columns can be carried along in `meta`."""
    telling: ClassVar[frozenset[str]] = frozenset()
    """Keys that a record of another format does not have. For `auto`: a record with one of them stays with the format
    of its file, however broken it is."""
    spellings: ClassVar[tuple[Spelling, ...]] = ()
    """How a chat is spelled whose record holds nothing but that and an id: lines like that are read a block at a time
    (`curation.formats.plain`). A test shows that this comes to the same rows as `parse`."""
    looks_at: ClassVar[int] = 0
    """Records at the start of a file that `reader` wants to see."""
    whole: ClassVar[bool] = False
    """Its rows need records from anywhere in the file, so it reads all of them before it gives any."""
    decided_by: ClassVar[str] = ""
    """Who decided its preferences, where the format itself says so: `people`."""

    op: str
    """Name in recipes; a subclass makes it a `Literal` with a default."""

    @classmethod
    def evidence(cls, record: Mapping[str, Any]) -> str:
        """What in a record speaks for this format, in words for people; empty when nothing does. For `auto`."""
        return ""

    @property
    def ties(self) -> Ties:
        """What becomes of a plain chat whose id is that of a piece (`curation.formats.parts`)."""
        return ""

    def reader(self, first: Sequence[Any], makes: Makes) -> Reader:
        """What reads a file that begins with these records.

        Raises:
            UserError: nothing can.
        """
        return Reader(self)

    def scores(self, makes: Makes) -> frozenset[str]:
        """Names of the scores that its rows may bring along: ratings, say."""
        return frozenset()

    def parse(self, record: Mapping[str, Any], makes: Makes) -> Sequence[AnyRow]:
        """The rows of one record, at least one.

        Raises:
            Refused: it gives none, with the reason.
        """
        raise NotImplementedError(f"{type(self).__name__} needs parse() or outcomes()")

    def rows(self, record: Any, makes: Makes = "conversations") -> Sequence[AnyRow] | str:
        """The rows of one record, or the reason why there are none. Never raises over what a record holds."""
        if not isinstance(record, Mapping):
            return "not_an_object"
        try:
            return self.parse(record, makes)
        except Refused as refused:
            return refused.reason
        except RecursionError:
            return "too_deep"

    def outcomes(
        self, records: Iterable[tuple[int, Any]], makes: Makes, carry: Sequence[str] = ()
    ) -> Iterator[Outcome]:
        """What becomes of the records of one file, given with their indices, in order.

        Args:
            carry: Columns to keep in `meta`, unless the format takes them for itself.
        """
        carry = [name for name in carry if name not in self.reads]
        for index, record in records:
            found = self.rows(record, makes)
            if not isinstance(found, str) and carry:
                found = with_columns(found, record, carry)
            if isinstance(found, str):
                yield Outcome(lost=(Lost(index, found, record),))
            else:
                yield Outcome(rows=[(index, row) for row in found], used=1)


class Reader:
    """Reads one file, whose records may come in several parts, between which plain chats were read by themselves.

    Attributes:
        format: Whose records they are.
        name: What the ledger calls them.
        evidence: What speaks for that, where `auto` found it.
    """

    def __init__(self, format: Format, name: str = "", evidence: str = "") -> None:
        self.format, self.name, self.evidence = format, name or format.op, evidence

    @property
    def spellings(self) -> tuple[Spelling, ...]:
        """How plain chats are spelled; none where there are no such."""
        return self.format.spellings

    @property
    def ties(self) -> Ties:
        return self.format.ties

    def outcomes(self, records: Iterable[tuple[int, Any]], makes: Makes, carry: Sequence[str]) -> Iterator[Outcome]:
        """What becomes of the records of one part; see `Format.outcomes`."""
        return self.format.outcomes(records, makes, carry)

    def end(self, makes: Makes, carry: Sequence[str]) -> Iterator[Outcome]:
        """What is left when all parts were read."""
        return iter(())


def with_columns(rows: Sequence[AnyRow], record: Mapping[str, Any], carry: Sequence[str]) -> Sequence[AnyRow] | str:
    """The rows with columns of their record in `meta`, or the reason why those cannot be kept."""
    try:
        extra = {name: plain(record[name]) for name in carry if record.get(name) is not None}
    except Refused as refused:
        return refused.reason
    return [row.with_(meta={**row.meta, **extra}) for row in rows]
