"""Personal data in chats: e-mail addresses, telephone numbers, cards, identity numbers, keys. Redacted, or dropped.

A model learns by heart what it reads often, so what names or opens one person's account has no place in training data.
Everything here is found by shape and checked by what the data must be: check digits, the plan of a country's telephone
numbers, a domain's ending, randomness. Names of people have no such check: they are looked for only where the recipe
asks, by a model (`curation.operators.pii_names`).

Nearly every text is let through by one pattern; only rows that hold something of the shape are looked at by finders.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from curation.artifact import InputFile
from curation.conversation import Candidates, Conversation, Preference, canonical_json
from curation.errors import did_you_mean
from curation.operator import Filter, Mapper
from curation.operators.rewriting import CHATS
from curation.settings import UNLESS_DEFAULT

if TYPE_CHECKING:
    import polars as pl

    from curation.operators.pii_find import Finder
    from curation.operators.pii_spans import Found

Kind = Literal["email", "phone", "ip", "iban", "card", "national_id", "key", "wallet", "name"]


class Pii(Mapper, Filter):
    """Puts a placeholder such as `[EMAIL]` in the place of personal data, or drops rows that hold some.

    What is nobody's stays: addresses at `example.com`, private networks, test cards of payment services, keys of
    manuals. Texts and arguments of tool calls are looked at, `meta` is not.

    Reasons, with `action: drop` only, the first that applies: `key`, `email`, `iban`, `national_id`, `card`, `phone`,
    `ip`, `wallet`, `name`.
    """

    rows: ClassVar[frozenset[str]] = frozenset({"conversations", "candidates", "preferences"})
    op: Literal["pii"] = "pii"
    action: Literal["redact", "drop"] = "redact"
    """`redact` edits the texts, `drop` drops the row."""
    kinds: tuple[Kind, ...] = ("email", "phone", "ip", "iban", "card", "national_id", "key")
    """What is looked for. `key`: keys, tokens and passwords. `wallet` (addresses of Bitcoin and Ethereum, which many
    chats discuss as public data) and `name` (names of people, by `names_model`) only where they are named."""
    regions: tuple[str, ...] = ("VN", "US", "GB")
    """Countries (ISO 3166-1 alpha-2) whose telephone numbers are known as people write them at home (`0912 345 678`).
    With their country's code, numbers of all countries are known. Each one more costs time and finds a little more that
    is none."""
    identities: tuple[str, ...] | None = None
    """Countries whose national identity numbers are looked for (VN: CCCD, and CMND where it is called so; US: social
    security numbers). None: all 35 that are known."""
    placeholder: str = "[{kind}]"
    """What stands in the place of data; `{kind}` is the kind in capital letters."""
    names_model: Annotated[InputFile | None, UNLESS_DEFAULT] = None
    """For `name`: a spaCy pipeline that knows people, a folder or an installed one (`package:en_core_web_sm/`). It
    reads one language, misses some names and takes other words for names. Needs the extra `names` (presidio)."""
    numbered: bool = False
    """Whether placeholders count (`[EMAIL_1]`, `[EMAIL_2]`): the same data have the same number all through a row."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if not self.kinds:
            raise PydanticCustomError("kinds", "pii has nothing to look for")
        if ("name" in self.kinds) != (self.names_model is not None):
            raise PydanticCustomError("names", "`kinds: [..., name]` and `names_model: FOLDER` belong together")
        for country in self.identities or ():
            from curation.operators.pii_numbers import IDENTITIES

            if country not in IDENTITIES:
                text = f"no identity numbers of {country!r} are known; {did_you_mean(country, IDENTITIES)}"
                raise PydanticCustomError("country", "{text}", {"text": text})
        for region in self.regions:
            if len(region) != 2 or not region.isascii() or not region.isupper():
                raise PydanticCustomError(
                    "region", "{region} is no country: two capital letters, such as VN", {"region": repr(region)}
                )
        if self.placeholder.replace("{kind}", "").count("{") or "{kind}" not in self.placeholder:
            raise PydanticCustomError(
                "placeholder", "a placeholder holds {kind} once, and no other braces", {"kind": "{kind}"}
            )
        return self

    @cached_property
    def _finder(self) -> Finder:
        from curation.operators.pii_find import Finder
        from curation.operators.pii_numbers import IDENTITIES

        countries = tuple(IDENTITIES) if self.identities is None else self.identities
        people = None
        if self.names_model is not None:
            from curation.operators.pii_names import names

            people = names(self.names_model.folder)
        return Finder(frozenset(self.kinds), self.regions, countries, people)

    def map_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        from curation.frame import row_type, to_frame

        if self.action == "drop":
            return frame
        places, rows, found = self._looked_at(frame)
        edited = {i: new for i, row in zip(places, rows, strict=True) if (new := self._redacted(row, found)) is not row}
        if not edited:
            return frame
        columns = [c for c in CHATS if c in frame.columns]
        made = to_frame(edited.values(), row_type(frame)).select(columns)
        return _updated(frame, list(edited), made)

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        from curation.operators.pii_find import KINDS

        return self._dropped(frame, lambda found: min((f.kind for f in found), key=KINDS.index)).alias("reason")

    def evidence(self, frame: pl.DataFrame, reasons: pl.Series) -> pl.Series:
        from curation.operators.pii_find import counted

        return self._dropped(frame, counted).alias("evidence")

    def _dropped(self, frame: pl.DataFrame, say: Callable[[list[Found]], str]) -> pl.Series:
        """What is said of the rows that hold something, where such rows go; null for the others."""
        import polars as pl

        said: list[str | None] = [None] * len(frame)
        if self.action == "drop":
            places, rows, found = self._looked_at(frame)
            for place, row in zip(places, rows, strict=True):
                held = [f for text in _texts(row) for f in found.get(text, ())]
                said[place] = say(held) if held else None
        return pl.Series(said, dtype=pl.String)

    def _looked_at(self, frame: pl.DataFrame) -> tuple[list[int], list[Any], dict[str, list[Found]]]:
        """The rows that may hold something, where they are, and what is in their texts."""
        from curation.frame import to_rows

        places = self._suspects(frame)
        rows = to_rows(frame[places])
        return places.to_list(), rows, self._finder.find(text for row in rows for text in _texts(row))

    def _suspects(self, frame: pl.DataFrame) -> pl.Series:
        """Which rows have a text that may hold something."""
        import polars as pl

        item = pl.element().struct
        suspect = self._finder.suspect
        seen = item.field("content").str.contains(suspect) | item.field("extra").str.contains(suspect).fill_null(False)
        columns = [c for c in CHATS if c in frame.columns]
        rows = frame.select(pl.any_horizontal(pl.col(c).list.eval(seen).list.any() for c in columns).alias("any"))
        return rows["any"].arg_true()

    def _redacted(self, row: Any, found: Mapping[str, list[Found]]) -> Any:
        """The row without personal data; the same object if it holds none."""
        numbers: dict[tuple[str, str], int] = {}

        def name(f: Found) -> str:
            if not self.numbered:
                return f.kind.upper()
            known = sum(kind == f.kind for kind, _ in numbers)
            return f"{f.kind.upper()}_{numbers.setdefault((f.kind, f.value), known + 1)}"

        def without(text: str) -> str:
            pieces, at = [], 0
            for f in found.get(text, ()):
                pieces += [text[at : f.start], self.placeholder.replace("{kind}", name(f))]
                at = f.end
            return "".join([*pieces, text[at:]])

        return _edited(row, without)


def _updated(frame: pl.DataFrame, places: list[int], made: pl.DataFrame) -> pl.DataFrame:
    """The frame with the columns of `made` in these rows."""
    import polars as pl

    at: list[int | None] = [None] * len(frame)
    for new, place in enumerate(places):
        at[place] = new
    index = pl.Series("at", at, dtype=pl.UInt32)
    new_values = (pl.coalesce(pl.lit(made[c]).gather(pl.lit(index)), pl.col(c)).alias(c) for c in made.columns)
    return frame.with_columns(new_values)


def _edited(row: Any, edit: Callable[[str], str]) -> Any:
    """The row with each of its texts edited, arguments of tool calls included."""

    def of(item: Any) -> Any:
        content, extra = edit(item.content), _in_json(item.extra, edit)
        return item if (content, extra) == (item.content, item.extra) else replace(item, content=content, extra=extra)

    names = {field.name for field in fields(row)}
    parts = {name: tuple(map(of, getattr(row, name))) for name in CHATS if name in names}
    return row if all(parts[name] == getattr(row, name) for name in parts) else row.with_(**parts)


def _in_json(extra: str | None, edit: Callable[[str], str]) -> str | None:
    if extra is None:
        return None

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return edit(value)
        if isinstance(value, list):
            return [walk(v) for v in value]
        return {k: walk(v) for k, v in value.items()} if isinstance(value, dict) else value

    known = json.loads(extra)
    new = walk(known)
    return extra if new == known else canonical_json(new)


def _texts(row: Conversation | Candidates | Preference) -> list[str]:
    """Every text of a row."""
    seen: list[str] = []

    def note(text: str) -> str:
        seen.append(text)
        return text

    _edited(row, note)
    return seen
