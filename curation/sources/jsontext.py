"""Records out of JSON text of any length: one a line, the elements of an array, or objects one after the other.

The text is read in chunks and never held whole. A record that is no JSON is handed on as `Broken`, with the reason, and
the next one is looked for: at the next line, or, inside an array, behind the bracket that closes the element. Where the
brackets of a broken element lead astray (a quote is missing, say), the next element is found by how elements begin:
records of one file start with the same key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

MAX_RECORD = 1 << 28
"""Bytes of the longest record."""
_ASTRAY = 1 << 24
"""An element that is still open after so many bytes may be broken: look whether others begin inside it."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that could not be read."""

    reason: str
    """`not_json`, `duplicate_key`, `not_utf8`, `too_deep`, `too_long`, `cut_off` ..."""
    raw: bytes


@dataclass
class Break:
    """Where and how a text ends before its time; filled while it is read."""

    broke_off: bool = False
    bytes_lost: int = 0


def value(raw: bytes) -> Any:
    """The value, or `Broken`. What strict JSON forbids but exports contain is accepted: NaN, control characters.

    An object that names a key twice, with different values, is broken: nobody can tell which one counts. An integer of
    any length stays as it is.
    """
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    else:
        if not _doubtful(raw, found):
            return found
    try:
        return json.loads(raw.decode(), strict=False, object_pairs_hook=_object)
    except UnicodeDecodeError:
        return Broken("not_utf8", raw)
    except RecursionError:
        return Broken("too_deep", raw)
    except _TwoValues:
        return Broken("duplicate_key", raw)
    except ValueError:
        return Broken("not_json", raw)


def _doubtful(raw: bytes, found: Any) -> bool:
    """Whether the fast reader may have lost something: a key that stands there twice, digits of a long integer.

    Keys are counted in the text and in the value. What looks like a key and is none (a text that begins with a colon),
    or may not look like one (a backslash at its end), makes a record doubtful, which costs time and nothing else.
    """
    keys, left = 0, [found]
    while left:
        one = left.pop()
        kind = type(one)
        if kind is dict:
            keys += len(one)
            left += one.values()
        elif kind is list:
            left += one
        elif kind is float and not -_EXACT < one < _EXACT:
            return True
    return b'\\\\"' in raw or keys != sum(raw.count(mark) - raw.count(b"\\" + mark) for mark in (b'":', b'" :'))


_EXACT = 2.0**63
"""The fast reader makes floats of longer integers."""


class _TwoValues(ValueError):
    """A key of an object has two values."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, one in pairs:
        if key in found and not _alike(found[key], one):
            raise _TwoValues(key)
        found[key] = one
    return found


def _alike(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b


def lines(chunks: Iterator[bytes], end: Break) -> Iterator[Any]:
    """One value (or `Broken`) a line; blank lines are none."""
    for line, whole in _split(chunks):
        if not line.strip():
            continue
        if len(line) > MAX_RECORD:
            yield Broken("too_long", line)
            continue
        found = value(line)
        if isinstance(found, Broken) and b"\r" in line.strip():
            yield from _returns(line, whole, end)
        elif isinstance(found, Broken) and not whole and not line.rstrip().endswith(b"}"):
            end.broke_off, end.bytes_lost = True, end.bytes_lost + len(line)
            yield Broken("cut_off", line)
        else:
            yield found


def _returns(line: bytes, whole: bool, end: Break) -> Iterator[Any]:
    """The records of what is no record as a whole, split at carriage returns, which end lines on old machines.

    Within a text they are written as an escape; where one stands as it is, the pieces are no records either, and the
    line is one broken record.
    """
    pieces = [piece for piece in line.split(b"\r") if piece.strip()]
    found = [value(piece) for piece in pieces]
    good = sum(not isinstance(one, Broken) for one in found)
    if 2 * good < len(found):
        yield Broken("not_json", line)
        return
    if isinstance(found[-1], Broken) and not whole and not pieces[-1].rstrip().endswith(b"}"):
        end.broke_off, end.bytes_lost = True, end.bytes_lost + len(pieces[-1])
        found[-1] = Broken("cut_off", pieces[-1])
    yield from found


def _split(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """(line, whether it ended with a line feed). Of a line that is far too long only the beginning is kept."""
    pieces: list[bytes] = []
    held = 0
    for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        if held <= MAX_RECORD:
            pieces.append(first)
            held += len(first)
        for line in rest:
            yield b"".join(pieces), True
            pieces, held = [line], len(line)
    yield b"".join(pieces), False


_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]|"', re.DOTALL)
"""What finds the end of an element: whole strings and brackets. A quote alone opens a string that is not closed yet."""
_SCALAR = re.compile(rb'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s,\[\]{}"])++', re.DOTALL)
_BETWEEN = re.compile(rb"[\s,\]]*+")
_FIRST_KEY = re.compile(rb'\{\s*("(?:[^"\\]|\\.)*")\s*:')


class Elements:
    """The elements of an array, or values one after the other: iterate to get each, or `Broken`."""

    def __init__(self, chunks: Iterator[bytes], end: Break) -> None:
        self._chunks, self._end = chunks, end
        self._text = b""
        self._at = 0
        """Where the next element is looked for; all before it is done."""
        self._dry = False
        self._closed = False
        """The last thing seen was the end of the array."""
        self._begins: re.Pattern[bytes] | None = None
        """How an element begins."""

    def __iter__(self) -> Iterator[Any]:
        array = self._skip() and self._text[self._at : self._at + 1] == b"["
        self._at += array
        self._closed = False
        while self._skip():
            self._closed = False
            yield from self._element()
        if array and not self._closed:
            self._end.broke_off = True

    def _more(self) -> bool:
        """Adds a chunk (or several: long elements take longer steps) to the text; False at the end of it."""
        if self._dry:
            return False
        kept = self._text[self._at :]
        pieces, size = [kept], 0
        for chunk in self._chunks:
            pieces.append(chunk)
            size += len(chunk)
            if size and size >= len(kept):
                break
        else:
            self._dry = True
        self._text, self._at = b"".join(pieces), 0
        return size > 0

    def _skip(self) -> bool:
        """Moves to the next element, over spaces, commas and closing brackets; False when there is none."""
        while True:
            if found := _BETWEEN.match(self._text, self._at):
                self._at = found.end()
                self._closed = self._closed or b"]" in found[0]
            if self._at < len(self._text):
                return True
            if not self._more():
                return False

    def _element(self) -> Iterator[Any]:
        opens = self._text[self._at : self._at + 1]
        size = self._bracketed() if opens in (b"{", b"[") else self._scalar()
        if size is None:
            yield from self._unclosed()
            return
        raw = self._text[self._at : self._at + size]
        found = value(raw)
        if not isinstance(found, Broken):
            self._at += size
            if self._begins is None:
                self._begins = _beginning(raw)
            yield found
            return
        begins = self._begins or _beginning(raw)
        other = begins.search(raw, 1) if begins and found.reason == "not_json" else None
        if other:
            raw = raw[: other.start()]
        self._at += len(raw)
        yield Broken(found.reason, raw.rstrip(b", \n\r\t"))

    def _bracketed(self) -> int | None:
        """Length of the element that opens here; None when the text ends (or seems to go astray) before it closes."""
        depth, at, looked = 0, 0, _ASTRAY
        while True:
            for token in _TOKEN.finditer(self._text, self._at + at):
                mark = token[0]
                if mark == b'"':
                    at = token.start() - self._at
                    break
                at = token.end() - self._at
                if mark in (b"{", b"["):
                    depth += 1
                elif mark in (b"}", b"]"):
                    depth -= 1
                    if depth == 0:
                        return at
            held = len(self._text) - self._at
            if held > looked:
                begins = self._begins or _beginning(self._text[self._at : self._at + 4096])
                if held > MAX_RECORD or (begins and begins.search(self._text, self._at + 1)):
                    return None
                looked *= 2
            if not self._more():
                return None

    def _scalar(self) -> int | None:
        """Length of a value that is neither object nor array (or of stray characters)."""
        while True:
            found = _SCALAR.match(self._text, self._at)
            stop = found.end() if found else self._at
            open_string = self._text[stop : stop + 1] == b'"'
            if not (stop == len(self._text) or open_string):
                break
            if len(self._text) - self._at > MAX_RECORD:
                return None
            if not self._more():
                break
        size = stop - self._at
        if size == 0 and open_string:
            return None
        return max(size, 1)

    def _unclosed(self) -> Iterator[Broken]:
        """An element that does not end: up to where the next one begins, else the rest of the text is lost."""
        begins = self._begins or _beginning(self._text[self._at : self._at + 4096])
        other = begins.search(self._text, self._at + 1) if begins else None
        if other:
            raw = self._text[self._at : other.start()]
            self._at = other.start()
            yield Broken("not_json", raw.rstrip(b", \n\r\t"))
            return
        raw = self._text[self._at :]
        self._end.broke_off, self._end.bytes_lost = True, self._end.bytes_lost + len(raw)
        reason = "cut_off"
        if not self._dry:  # too long to be held
            reason = "too_long"
            self._end.bytes_lost += sum(map(len, self._chunks))
            self._dry = True
        self._text, self._at = b"", 0
        yield Broken(reason, raw)


def _beginning(raw: bytes) -> re.Pattern[bytes] | None:
    """What the beginning of another element looks like, judged by the first key of this one."""
    key = _FIRST_KEY.match(raw)
    return re.compile(rb"\{\s*" + re.escape(key[1]) + rb"\s*:") if key else None
