"""A file as chunks of UTF-8: gzip and zstd unpacked, UTF-16 and 32 transcoded, up to where it breaks off.

What a file is, its first bytes say; names lie. A byte order mark is taken off. Bytes that are no UTF-8 pass through,
because one bad record must not stop a file: the reader of records refuses that record alone. Unpacking is bounded: a
small file that would unpack to more than any text does is refused and not read to its end.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from curation.errors import UserError

_READ = 1 << 20
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
MAX_UNPACKED = 1 << 32
"""Bytes that may come out of any packed file."""
MAX_RATIO = 250
"""How many times as large as it is a packed file may become beyond that. Packed text becomes 3 to 30 times as large."""
_UNPACK = "unpack or convert it: json, jsonl, csv, parquet or arrow, plain, gzip or zstd"
_OTHER = {
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "an empty zip archive",
    _GZIP: "packed twice",
    _ZSTD: "packed twice",
    b"PAR1": "a Parquet file inside a packed one",
    b"ARROW1": "an Arrow file inside a packed one",
    b"FEA1": "an old Feather file",
    b"\xfd7zXZ": "packed with xz",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x04\x22\x4d\x18": "packed with lz4",
    b"SQLite format 3": "a SQLite database",
    b"%PDF-": "a PDF",
    b"\x89PNG": "an image (PNG)",
    b"\xff\xd8\xff": "an image (JPEG)",
    b"\x80\x04": "a Python pickle, which is not read because it can run code",
    b"\x80\x05": "a Python pickle, which is not read because it can run code",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"Obj\x01": "an Avro file",
    b"\x89HDF": "an HDF5 file",
    b"\x7fELF": "a program",
}
_OTHER_IN_LETTERS = {  # that a text could begin with too: what follows tells
    b"BZh": "packed with bzip2",
    b"GIF8": "an image (GIF)",
    b"RIFF": "a sound, a film or an image (RIFF)",
    b"ID3": "a sound (MP3)",
    b"GGUF": "a model (GGUF)",
    b"ORC": "an ORC file",
}
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")
_MARKS = (  # longer ones first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Stream:
    """The bytes of one file, once.

    Attributes:
        size: Bytes on the disk.
        read: Of these, how many have been read.
        broke_off: The file ends in the middle, or what is packed in it is damaged.
        bytes_lost: Packed bytes after the place where unpacking failed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.read, self.broke_off, self.bytes_lost = 0, False, 0

    def chunks(self) -> Iterator[bytes]:
        """The content, in order.

        Raises:
            UserError: it is a kind of file that cannot be read.
        """
        source = self._unpacked()
        head = b""
        for chunk in source:
            head += chunk
            if len(head) >= 4096:
                break
        _refuse(head)
        mark, encoding = _encoding(head)
        if encoding == "utf-8":
            yield head[len(mark) :]
            yield from source
            return
        decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        yield decoder.decode(head[len(mark) :]).encode("utf-8", "replace")
        for chunk in source:
            yield decoder.decode(chunk).encode("utf-8", "replace")
        yield decoder.decode(b"", final=True).encode("utf-8", "replace")

    def head(self, size: int = 4096) -> bytes:
        """The first bytes as they will come out, without moving on."""
        other = Stream(self.path)
        found = b""
        for chunk in other.chunks():
            found += chunk
            if len(found) >= size:
                break
        return found[:size]

    def _raw(self, size: int) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while chunk := file.read(size):
                self.read += len(chunk)
                yield chunk

    def _unpacked(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            magic = file.read(4)
        if magic.startswith(_GZIP):
            yield from self._inflated(lambda: zlib.decompressobj(wbits=31), zlib.error, 1 << 14)
        elif magic == _ZSTD:
            import zstandard

            yield from self._inflated(
                lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError, 1 << 10
            )
        else:
            yield from self._raw(_READ)

    def _inflated(self, new: Callable[[], Any], failure: type[Exception], feed: int) -> Iterator[bytes]:
        """The content of all members (frames) of a packed file.

        Args:
            feed: Packed bytes unpacked at once: bounds how much a highly compressed file can grow to in one step.
        """
        member, inside, done, made = new(), False, 0, 0
        for chunk in self._raw(feed):
            while chunk:
                before = member.copy() if hasattr(member, "copy") else None
                inside = True
                try:
                    out = member.decompress(chunk)
                except failure:
                    out, good = _until_failure(before, chunk, failure) if before else (b"", 0)
                    self.broke_off, self.bytes_lost = True, self.size - done - good
                    yield out
                    return
                rest = member.unused_data if member.eof else b""
                done += len(chunk) - len(rest)
                made += len(out)
                if made > MAX_UNPACKED and made > MAX_RATIO * self.size:
                    raise UserError(
                        f"its {self.size:,} bytes unpack to more than {made:,}, as no text does",
                        hint="if that is meant, unpack it yourself and give the plain file",
                    )
                yield out
                if member.eof:
                    member, inside, chunk = new(), False, rest.lstrip(b"\0")  # tapes pad with zeros
                    done += len(rest) - len(chunk)
                else:
                    chunk = b""
        self.broke_off = inside


def _until_failure(member: Any, chunk: bytes, failure: type[Exception]) -> tuple[bytes, int]:
    """What comes out of a damaged chunk before it fails, and how many of its bytes that took."""
    out: list[bytes] = []
    for i in range(len(chunk)):
        try:
            out.append(member.decompress(chunk[i : i + 1]))
        except failure:
            return b"".join(out), i
    return b"".join(out), len(chunk)


def _encoding(head: bytes) -> tuple[bytes, str]:
    """(byte order mark, encoding). Without a mark, zeros beside ASCII tell UTF-16 and 32 from UTF-8."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return mark, encoding
    return b"", _BY_ZEROS.get(bytes(byte == 0 for byte in head[:4]), "utf-8")


_BY_ZEROS = {  # of the first four bytes, which are zero
    b"\0\1\1\1": "utf-32-le",
    b"\1\1\1\0": "utf-32-be",
    b"\0\1\0\1": "utf-16-le",
    b"\1\0\1\0": "utf-16-be",
}
_CONTROLS = bytes(range(8)) + bytes(range(14, 32))


def _refuse(head: bytes) -> None:
    """Raises for what is plainly no text.

    Raises:
        UserError: with what it is, as far as the first bytes tell.
    """
    is_text = len(head[:64].translate(None, _CONTROLS)) == len(head[:64])
    for magic, what in (_OTHER if is_text else {**_OTHER, **_OTHER_IN_LETTERS}).items():
        if head.startswith(magic):
            raise UserError(f"it is {what}", hint=_UNPACK)
    if head[257:262] == b"ustar":
        raise UserError("it is a tar archive", hint=_UNPACK)
    if head.startswith(b"version https://git-lfs"):
        raise UserError("it is a Git LFS pointer, not the data", hint="fetch the data: git lfs pull")
    if head[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGES):
        raise UserError(
            "it is a web page (HTML or XML), not the data",
            hint="a download that asks for a login or an agreement gives such a page: get the file itself",
        )
    zeros = _encoding(head)[1] != "utf-8"
    opens = head.lstrip()[:1] in (b"{", b"[")  # then it is JSON, and what is no text in it costs a record
    if not zeros and not opens and len(head.translate(None, _CONTROLS)) < 0.9 * len(head):
        raise UserError("it is a binary file", hint=f"what is no text cannot be read; {_UNPACK}")
