"""Auto: the format is told by the keys of a file's first records, and said, with what spoke for it.

The first records decide what a file is. A record that has none of that format's keys and all of another's is read as
the other, so that a file in which two sets were poured together loses nothing; a record that has some of them belongs
to the file's format and is refused where it is broken. When no format fits the first records, nothing is guessed: the
error lists the keys that were found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, groupby, islice
from typing import Any, ClassVar, Literal

from curation.errors import UserError
from curation.formats.alpaca import Alpaca
from curation.formats.completion import PromptCompletion, Prompts
from curation.formats.format import Format, Lost, Makes, Outcome, Reader, Spelling
from curation.formats.hh import HH
from curation.formats.kto import KTO
from curation.formats.messages import Messages
from curation.formats.oasst import OASST
from curation.formats.preference import PreferencePair
from curation.formats.ratings import Ratings
from curation.formats.sharegpt import ShareGPT
from curation.formats.transcript import Transcript

ORDER: tuple[type[Format], ...] = (
    OASST,
    KTO,
    HH,
    PreferencePair,
    Ratings,
    ShareGPT,
    Messages,
    PromptCompletion,
    Alpaca,
    Prompts,
    Transcript,
)
"""The more telling first: a labelled chat is also a chat."""

_Waiting = list[tuple[type[Format], int, Any]]


class Auto(Format):
    """Whatever the first records look like."""

    revision: ClassVar[int] = 2
    makes: ClassVar[frozenset[Makes]] = frozenset({"conversations", "candidates", "preferences"})
    looks_at: ClassVar[int] = 100

    op: Literal["auto"] = "auto"

    def scores(self, makes: Makes) -> frozenset[str]:
        return frozenset().union(*(_built(kind).scores(makes) for kind in ORDER if makes in kind.makes))

    def rows(self, record: Any, makes: Makes = "conversations") -> Sequence[Any] | str:
        if not isinstance(record, Mapping):
            return "not_an_object"
        found = recognized(record)
        return _built(found).rows(record, makes) if found else "unknown_format"

    def reader(self, first: Sequence[Any], makes: Makes) -> Reader:
        """Reads the file as the format that its first records are recognized as, others in between as theirs.

        Raises:
            UserError: none is, or it cannot make what is asked for.
        """
        seen = [record for record in first if isinstance(record, Mapping)]
        if not seen:
            return _Nothing(Messages(), name=self.op)
        main = main_format(seen, makes)
        return Told(main, next(filter(None, map(main.evidence, seen)), ""))

    def outcomes(
        self, records: Iterable[tuple[int, Any]], makes: Makes, carry: Sequence[str] = ()
    ) -> Iterator[Outcome]:
        source = iter(records)
        first = list(islice(source, self.looks_at))
        reader = self.reader([record for _, record in first], makes)
        yield from reader.outcomes(chain(first, source), makes, carry)
        yield from reader.end(makes, carry)


class _Nothing(Reader):
    """Of a file that begins with no record: each of those that follow says what is wrong with it."""

    @property
    def spellings(self) -> tuple[Spelling, ...]:
        return ()


class Told(Reader):
    """Of a file whose format was recognized."""

    def __init__(self, main: type[Format], evidence: str) -> None:
        super().__init__(_built(main), evidence=evidence)
        self.main = main
        self._aside: _Waiting = []
        self._said: set[type[Format]] = set()

    def outcomes(self, records: Iterable[tuple[int, Any]], makes: Makes, carry: Sequence[str]) -> Iterator[Outcome]:
        def own() -> Iterator[tuple[int, Any]]:
            for index, record in records:
                other = _other(self.main, record)
                if other is None:
                    yield index, record
                else:
                    self._aside.append((other, index, record))

        for outcome in self.format.outcomes(own(), makes, carry):
            yield self._named(self.main, outcome, self.evidence)
            yield from self._others(makes, carry, last=False)
        yield from self._others(makes, carry, last=False)

    def end(self, makes: Makes, carry: Sequence[str]) -> Iterator[Outcome]:
        yield from self._others(makes, carry, last=True)

    def _others(self, makes: Makes, carry: Sequence[str], *, last: bool) -> Iterator[Outcome]:
        """Reads what was put aside, formats that need the whole file at its end alone."""
        ready = [one for one in self._aside if last or not one[0].whole]
        self._aside = [one for one in self._aside if not last and one[0].whole]
        ready.sort(key=lambda one: (ORDER.index(one[0]), one[1]))
        for kind, group in groupby(ready, key=lambda one: one[0]):
            found = [(index, record) for _, index, record in group]
            evidence = kind.evidence(found[0][1])
            if makes not in kind.makes:
                lost = [Lost(index, f"cannot_make_{makes}", record) for index, record in found]
                yield self._named(kind, Outcome(lost=lost), evidence)
                continue
            for outcome in _built(kind).outcomes(found, makes, carry):
                yield self._named(kind, outcome, evidence)

    def _named(self, kind: type[Format], outcome: Outcome, evidence: str) -> Outcome:
        """The outcome with the name of its format, the first of each with what spoke for it."""
        first = kind not in self._said
        self._said.add(kind)
        return replace(outcome, format=_name(kind), evidence=evidence if first else "")


def recognized(record: Mapping[str, Any]) -> type[Format] | None:
    """The most telling format that a record looks like."""
    return next((kind for kind in ORDER if kind.evidence(record)), None)


def main_format(records: Sequence[Mapping[str, Any]], makes: Makes) -> type[Format]:
    """The format of a file that begins with these records.

    Raises:
        UserError: none fits, or the one that fits cannot make what is asked for.
    """
    found = next((kind for kind in ORDER if any(map(kind.evidence, records))), None)
    if found is None:
        hint = (
            f"keys found: {_keys(records)}; say which `format:` it is, and under `columns:` what it calls its columns"
        )
        raise UserError("no known format fits its first records", hint=hint)
    if makes not in found.makes:
        raise UserError(f"it looks like {_name(found)}, which cannot make {makes}", hint="say which `format:` it is")
    return found


def _other(main: type[Format], record: Any) -> type[Format] | None:
    """The format of a record that is none of the main format's; None for one that is, or that nothing recognizes."""
    if not isinstance(record, Mapping) or not main.telling.isdisjoint(record) or main.evidence(record):
        return None
    found = recognized(record)
    return None if found is main else found


def _built(kind: type[Format]) -> Format:
    return kind()  # type: ignore[call-arg]  # `op` has a default in every subclass


def _name(kind: type[Format]) -> str:
    return str(kind.model_fields["op"].default)


def _keys(records: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(str(key) for record in records for key in record))
    return ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")
