"""Auto: the format is told by the keys of a file's first records.

One file has one format. When no format recognizes the first records, nothing is guessed: the error lists the keys that
were found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, ClassVar, Literal

from curation.errors import UserError
from curation.formats.alpaca import Alpaca
from curation.formats.completion import PromptCompletion
from curation.formats.format import Format, Makes, Outcome
from curation.formats.hh import HH
from curation.formats.kto import KTO
from curation.formats.messages import Messages
from curation.formats.oasst import OASST
from curation.formats.preference import PreferencePair
from curation.formats.sharegpt import ShareGPT

_LOOKS_AT = 20
"""Records at the start of a file."""
_ORDER: tuple[type[Format], ...] = (OASST, KTO, HH, PreferencePair, ShareGPT, Messages, PromptCompletion, Alpaca)
"""The more telling first: a labelled chat is also a chat."""


class Auto(Format):
    """Whatever the first records look like."""

    makes: ClassVar[frozenset[Makes]] = frozenset({"conversations", "preferences"})

    op: Literal["auto"] = "auto"

    def rows(self, record: Any, makes: Makes = "conversations") -> Sequence[Any] | str:
        if not isinstance(record, Mapping):
            return "not_an_object"
        found = next((f for f in _ORDER if f.recognizes(record)), None)
        return found().rows(record, makes) if found else "unknown_format"  # type: ignore[call-arg]

    def outcomes(
        self, records: Iterable[tuple[int, Any]], makes: Makes, carry: Sequence[str] = ()
    ) -> Iterator[Outcome]:
        """As the format that the first records are recognized as.

        Raises:
            UserError: none is, or it cannot make what is asked for.
        """
        source = iter(records)
        first = list(islice(source, _LOOKS_AT))
        seen = [record for _, record in first if isinstance(record, Mapping)]
        if not seen:
            yield from Messages().outcomes(chain(first, source), makes, carry)
            return
        found = next((f for f in _ORDER if any(map(f.recognizes, seen))), None)
        if found is None:
            raise UserError(
                "no known format fits its first records", hint=f"keys found: {_keys(seen)}; say which `format:` it is"
            )
        if makes not in found.makes:
            name = found.model_fields["op"].default
            raise UserError(f"it looks like {name}, which cannot make {makes}", hint="say which `format:` it is")
        yield from found().outcomes(chain(first, source), makes, carry)  # type: ignore[call-arg]


def _keys(records: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(str(key) for record in records for key in record))
    return ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")
