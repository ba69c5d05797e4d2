"""Finds personal data of chosen kinds in a text: all spans, none over another, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from curation.operators.pii_contacts import addresses, emails, phones
from curation.operators.pii_keys import ASSIGNED, BEGINNINGS, keys
from curation.operators.pii_numbers import cards, ibans, identities, wallets
from curation.operators.pii_spans import Found

KINDS = ("key", "email", "iban", "national_id", "card", "phone", "ip", "wallet", "name")
"""In the order in which a place that two could claim is given away."""
_DIGITS = r"\d(?:[ \xA0().\-/]{0,2}\d){6}"
_SUSPECT = {
    "key": rf"{BEGINNINGS}|://[^\s/@]+:[^\s/@]+@|{ASSIGNED}[\"'\]]{{0,2}}\s{{0,3}}(?:[:=]|is\s|là\s)",
    "email": r"\w@\w",
    "iban": r"[A-Z]{2}\d{2}[ -]?[A-Z0-9]{4}",
    "national_id": rf"{_DIGITS}|[A-Z]{{4,6}}\d\d",
    "card": _DIGITS,
    "phone": _DIGITS,
    "ip": r"\d\.\d{1,3}\.\d{1,3}\.\d|:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]",
    "name": r"\p{L}",
    "wallet": r"0x[0-9a-fA-F]{40}|bc1|[13][A-Za-z0-9]{25}",
}


@dataclass(frozen=True)
class Finder:
    """What is looked for."""

    kinds: frozenset[str]
    regions: tuple[str, ...] = ()
    """Whose numbers are known without their country's code."""
    countries: tuple[str, ...] = ()
    """Whose identity numbers are known."""
    people: Callable[[str], Iterator[Found]] | None = None
    """Finds names of people."""

    @property
    def suspect(self) -> str:
        """A text without a match (in Rust's regex syntax) holds nothing of these kinds."""
        return "|".join(dict.fromkeys(_SUSPECT[kind] for kind in self._kinds()))

    def find(self, texts: Iterable[str]) -> dict[str, list[Found]]:
        """Text -> everything in it, in order, for the texts in which there is something.

        Which kinds a text may hold at all is asked of all texts at once: finders are much slower than that.
        """
        import polars as pl

        known = pl.Series("text", list(dict.fromkeys(texts)), dtype=pl.String)
        known = known.filter(known.str.contains(self.suspect))
        may_hold = {kind: known.str.contains(_SUSPECT[kind]).to_list() for kind in self._kinds()}
        found: dict[str, list[Found]] = {}
        for i, text in enumerate(known):
            taken: list[Found] = []
            for kind in self._kinds():
                for f in self._of(kind, text) if may_hold[kind][i] else ():
                    if all(f.end <= t.start or t.end <= f.start for t in taken):
                        taken.append(f)
            if taken:
                found[text] = sorted(taken, key=lambda f: f.start)
        return found

    def _kinds(self) -> list[str]:
        return [kind for kind in KINDS if kind in self.kinds]

    def _of(self, kind: str, text: str) -> Iterator[Found]:
        if kind == "phone":
            return phones(text, self.regions)
        if kind == "national_id":
            return identities(text, self.countries)
        if kind == "name":
            return self.people(text) if self.people else iter(())
        return _FINDERS[kind](text)


_FINDERS = {"key": keys, "email": emails, "iban": ibans, "card": cards, "ip": addresses, "wallet": wallets}


def counted(found: Sequence[Found]) -> str:
    """How many of each kind, for people; the data themselves stay out of it."""
    counts = {kind: sum(f.kind == kind for f in found) for kind in KINDS}
    return ", ".join(f"{n} {kind}" for kind, n in counts.items() if n)
