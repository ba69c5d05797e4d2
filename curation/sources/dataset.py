"""A data set entry of a recipe: TRL's names for where the data are, and ours for what they are.

Binding ties an entry to content. Files here are known by the sha256 of what is in them; a data set on the Hub by its
commit, which is looked up when the recipe names a branch or nothing. So the key of a step changes when the data do, and
neither when a file moves nor when it is called something else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from curation.artifact import Bound, Surroundings, file_state
from curation.conversation import canonical_json
from curation.errors import UserError
from curation.formats import Format
from curation.operator import Plugin
from curation.registry import FORMATS
from curation.settings import Settings
from curation.sources import choose, hub
from curation.sources.files import kind_by_name

_LOADERS = ("json", "csv", "parquet")
"""What `datasets.load_dataset` takes as `path` when `data_files` says where the files are."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to read."""

    name: str
    """As people know it: relative to the folder or repository, else as it was written."""
    path: Path
    digest: str
    """sha256 of its content."""
    state: tuple[int, ...]
    """What `curation.artifact.file_state` said just before it was hashed."""

    @classmethod
    def hashed(cls, name: str, path: Path, hash_file: Callable[[Path], str]) -> Self:
        """The file as it is now."""
        state = file_state(path)
        return cls(name, path, hash_file(path), state)


class Data(Bound):
    """Where data are: a file, a folder, `package:NAME/FILE`, or the name of a data set on the Hub."""

    __slots__ = ("commit", "files")

    def __init__(self, written: str, path: Path | None = None, digest: str = "") -> None:
        super().__init__(written, path, digest)
        self.files: tuple[SourceFile, ...] = ()
        """Bound to files here: these."""
        self.commit = ""
        """Bound to the Hub: this commit."""

    def tied(
        self, digest: str, *, path: Path | None = None, files: Sequence[SourceFile] = (), commit: str = ""
    ) -> Self:
        """The same pointer, bound."""
        made = type(self)(self.written, path, digest)
        made.files, made.commit = tuple(files), commit
        return made

    @classmethod
    def what(cls, kinds: tuple[Any, ...]) -> str:
        return "a file, a folder, package:NAME/FILE, or the name of a data set on the Hub"


class Dataset(Settings):
    """One entry of `datasets`."""

    not_identity: ClassVar[frozenset[str]] = frozenset({"name", "data_dir", "data_files", "split", "revision"})
    """They choose files, and the digest is that of the files."""

    path: Data
    """A file or folder (relative to the recipe), `package:NAME/FILE`, or a data set on the Hub."""
    name: str | None = None
    """Configuration of the data set, where its card lists several. Files alone have none."""
    data_dir: str | None = None
    """Folder inside the data set to look in."""
    data_files: str | list[str] | dict[str, str | list[str]] | None = None
    """Patterns of files inside the data set (`*` in a folder, `**` across), or split -> patterns. None: by its card, or
    by the names of its files."""
    split: str = "train"
    """Which split to read. A single file has none: it is read whole."""
    revision: str | None = None
    """Of a data set on the Hub. Only a full commit hash always means the same data; None: the main branch as it is now.
    Not used for files."""
    columns: list[str] | dict[str, str] | None = None
    """Columns to read. Those that the format does not need are kept in `meta` (a reference answer, say). A map says
    what the data call them: `{prompt: question, completion: answer}`. None: those that the format needs."""
    fraction: float | None = Field(None, gt=0)
    """Share of the mixture, as in TRL: for all entries or for none; they count relative to each other, and the mixture
    is as large as the data allow. A single entry gives this share of itself. Which rows are taken, a hash decides."""
    format: Annotated[Format, Plugin(FORMATS, Format)] = Field("auto", validate_default=True)
    """What a record looks like: `sharegpt`, `alpaca` ..., with settings `{oasst: {top_k: 1}}`. `auto` tells it by the
    keys of the first records."""
    license: str = ""
    """SPDX id of the data's licence, carried from row to model card. Empty: not stated."""
    weight: float = Field(1.0, gt=0)
    """What a row counts beside those of other entries: `weight` of a preference, `meta.weight` of a conversation, for
    trainers and operators that look at it. No row is ever repeated."""

    def bind_pointer(self, name: str, pointer: Bound, around: Surroundings) -> Bound:
        """The pointer tied to the content that this entry means now.

        Raises:
            UserError: nothing is there, or nothing that fits.
        """
        if not isinstance(pointer, Data):
            raise RuntimeError(f"{name} is no pointer to data")
        base = self.local(around)
        if base is None:
            return self._to_hub(pointer, around.online)
        files = [SourceFile.hashed(shown, path, around.hash_file) for shown, path in self._files(base)]
        digests = sorted(f.digest for f in files)  # so that names do not matter
        digest = digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
        return pointer.tied(digest, path=base, files=files)

    def local(self, around: Surroundings) -> Path | None:
        """The file or folder that `path` means; None when it is the name of a data set on the Hub.

        Reads no data and asks no network.

        Raises:
            UserError: it is neither, or there is no such file.
        """
        written = self.path.written
        if written in _LOADERS and self.data_files is not None and not (around.here / written).exists():
            return around.here
        try:
            return around.locate(written)
        except UserError:
            if written.startswith("package:") or kind_by_name(Path(written).name) or not hub.could_be_name(written):
                raise
            return None

    def _files(self, base: Path) -> list[tuple[str, Path]]:
        """(name for people, place) of the files here that the entry means."""
        written = self.path.written
        if base.is_file():
            if self.data_files or self.data_dir:
                raise UserError(
                    f"{written} is a file, so there are no files in it", hint="leave out `data_files` and `data_dir`"
                )
            return [(self.title, base)]
        if written in _LOADERS:
            return [(Path(shown).name, path) for shown, path in self._named_files(base)]
        names = [p.relative_to(base).as_posix() for p in base.rglob("*") if p.is_file()]
        return [(shown, base / shown) for shown in self._chosen(names, hub.card_of(base))]

    def _named_files(self, here: Path) -> list[tuple[str, Path]]:
        """The files of `path: json, data_files: ...`: patterns count from the recipe's folder."""
        patterns = self.data_files or []
        if isinstance(patterns, dict):
            if self.split not in patterns:
                raise UserError(f"`data_files` has no split {self.split!r}", hint=f"it has {', '.join(patterns)}")
            patterns = patterns[self.split]
        found: dict[str, Path] = {}
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            full = Path(pattern).expanduser()
            full = full if full.is_absolute() else here / full
            fixed = full
            while re.search(r"[*?\[]", str(fixed)):
                fixed = fixed.parent
            paths = [full] if fixed == full else sorted(fixed.glob(str(full.relative_to(fixed))))
            paths = [p for p in paths if p.is_file()]
            if not paths:
                raise UserError(f"there is no file {pattern}", hint=f"looked for {full}")
            found.update({str(p): p for p in paths})
        return list(found.items())

    def _chosen(self, names: Sequence[str], card: Mapping[str, Any]) -> list[str]:
        try:
            return choose.chosen(
                names,
                split=self.split,
                data_files=self.data_files,
                data_dir=self.data_dir,
                config=self.name,
                card=card,
            )
        except UserError as error:
            raise UserError(error.what, where=self.path.written, hint=error.hint) from error

    def _to_hub(self, pointer: Data, online: bool) -> Data:
        at = self.revision
        if not hub.is_commit(at):
            at = hub.commit(pointer.written, at) if online else "unread"
        asked = [pointer.written, self.name, self.data_dir, self.data_files, self.split]
        rest = hashlib.sha256(canonical_json(asked).encode()).hexdigest()[:16]
        return pointer.tied(f"{at}.{rest}", commit=str(at))

    def files(self) -> list[SourceFile]:
        """The files to read, each with its digest; those of the Hub are fetched.

        Raises:
            UserError: the Hub cannot be reached, or has no file that fits.
        """
        if not self.path.commit:
            return list(self.path.files)
        from curation.artifact import hash_file

        found = hub.fetched(self.path.written, self.path.commit, self._chosen)
        return [SourceFile.hashed(name, path, hash_file) for name, path in found]

    @property
    def named(self) -> dict[str, str] | None:
        """What the format calls a column -> what the data call it; None for all columns as they are."""
        return dict(zip(self.columns, self.columns, strict=True)) if isinstance(self.columns, list) else self.columns

    @property
    def title(self) -> str:
        """Name for people, without the folders of an absolute path."""
        written = self.path.written
        return Path(written).name if Path(written).is_absolute() else written

    def pinned(self) -> bool:
        """Whether the (bound) entry will always mean the same data, as far as its own words tell."""
        return not self.path.commit or self.revision == self.path.commit
