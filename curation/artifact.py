"""What a step makes, and how settings point at it.

The **kinds** are the types of the edges of a recipe: `Ref[RewardModel]` accepts a step that makes a `RewardModel` and
nothing else, so wiring is checked before anything runs. `Policy` and `RewardModel` are siblings on purpose.

A setting that points outside itself is **bound** before it is used: a `Ref` to the folder of the step's artifact, an
`InputFile` to a file beside the recipe. Binding adds `path` (where it lies now, in no hash) and `digest` (what it
holds, in every hash). Code in `curation` sees bound settings only and never a store.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, get_args

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from curation.errors import UserError
from curation.settings import UNLESS_DEFAULT


class Kind:
    """What an artifact is. Subclasses are never instantiated; they name types of edges."""

    name: ClassVar[str] = "artifact"


class Rows(Kind):
    """Any of the three data sets."""

    name = "rows"


class Conversations(Rows):
    name = "conversations"


class Candidates(Rows):
    name = "candidates"


class Preferences(Rows):
    name = "preferences"


class Policy(Kind):
    """A causal language model: full weights, or an adapter and the digests of what it stands on."""

    name = "policy"


class RewardModel(Kind):
    """A sequence classifier with one output: full weights, or an adapter with its head."""

    name = "reward model"


class Evaluation(Kind):
    name = "evaluation"


class Release(Kind):
    name = "release"


KINDS: dict[str, type[Kind]] = {
    k.name: k for k in (Conversations, Candidates, Preferences, Policy, RewardModel, Evaluation, Release)
}

K = TypeVar("K", bound=Kind)


class Bound:
    """A pointer in the settings. `str(pointer)` is what the user wrote."""

    __slots__ = ("digest", "path", "written")

    def __init__(self, written: str, path: Path | None = None, digest: str = "") -> None:
        self.written, self.path, self.digest = written, path, digest

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and str(self) == str(other) and self.digest == getattr(other, "digest", "")

    def __hash__(self) -> int:
        return hash((type(self), self.written, self.digest))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.written!r})"

    def __str__(self) -> str:
        return self.written

    @property
    def folder(self) -> Path:
        """Where it lies; only for bound pointers."""
        if self.path is None:
            raise RuntimeError(f"{self.written!r} was used before it was bound")
        return self.path

    def identity(self) -> str:
        """What enters a key: the content, never the place."""
        if not self.digest:
            raise RuntimeError(f"{self.written!r} has no digest yet")
        return self.digest

    def bound(self, path: Path, digest: str) -> Self:
        """The same pointer, tied to a place and its content."""
        return type(self)(self.written, path, digest)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        kinds = get_args(source)

        def parse(value: Any) -> Any:
            if isinstance(value, cls):
                return value
            if not isinstance(value, str) or not value.strip():
                raise PydanticCustomError(
                    "pointer", "expected {what}, got {got}", {"what": cls.what(kinds), "got": repr(value)}
                )
            return cls.parsed(value.strip(), kinds)

        return core_schema.no_info_plain_validator_function(
            parse,
            serialization=core_schema.plain_serializer_function_ser_schema(str),
            metadata={"pydantic_js_functions": [lambda *_: {"type": "string", "description": cls.what(kinds)}]},
        )

    @classmethod
    def parsed(cls, written: str, kinds: tuple[Any, ...]) -> Self:
        """The pointer that the text means; `kinds` are the arguments of the annotation."""
        return cls(written)

    @classmethod
    def what(cls, kinds: tuple[Any, ...]) -> str:
        """What a value must be, for messages and the JSON Schema."""
        return "text"


class Ref(Bound, Generic[K]):
    """The name of a step whose artifact is of kind K; `curated.test` names one split of a data set.

    The kinds that are accepted are those of the annotation (`Ref[Policy]`, `Ref[Rows]`).
    """

    __slots__ = ("accepts",)

    def __init__(
        self, written: str, path: Path | None = None, digest: str = "", accepts: tuple[type[Kind], ...] = (Kind,)
    ) -> None:
        super().__init__(written, path, digest)
        self.accepts = accepts

    @property
    def step(self) -> str:
        return self.written.partition(".")[0]

    @property
    def part(self) -> str | None:
        """The split that was asked for, or None."""
        return self.written.partition(".")[2] or None

    def identity(self) -> str:
        return super().identity() + (f".{self.part}" if self.part else "")

    def bound(self, path: Path, digest: str) -> Self:
        return type(self)(self.written, path, digest, self.accepts)

    @classmethod
    def parsed(cls, written: str, kinds: tuple[Any, ...]) -> Self:
        return cls(written, accepts=tuple(k for k in kinds if isinstance(k, type)) or (Kind,))

    @classmethod
    def what(cls, kinds: tuple[Any, ...]) -> str:
        names = " or ".join(k.name for k in kinds if isinstance(k, type) and issubclass(k, Kind))
        return f"the name of a step that makes {names or 'an artifact'}"


class InputFile(Bound):
    """A file that the settings name, relative to the recipe's folder: guidelines, a rubric, a template, a list."""

    @classmethod
    def what(cls, kinds: tuple[Any, ...]) -> str:
        return "the path of a file, relative to the recipe"

    def text(self) -> str:
        return self.folder.read_text(encoding="utf-8")


@dataclass(frozen=True)
class Surroundings:
    """What binding needs to know: where relative paths count from, how to hash, which folders Refs stand for."""

    here: Path
    """The recipe's folder (or the working directory, for values given on the command line)."""
    hash_file: Callable[[Path], str]
    """sha256 of a file; callers may remember it by path, size, time and inode."""
    refs: Mapping[str, tuple[Path, str]] = field(default_factory=dict)
    """Step name -> (folder, digest) of its artifact."""
    online: bool = True
    """False: no network may be asked. What only a network could say (the newest commit) is then left open."""

    def locate(self, written: str) -> Path:
        """The place that a written path means: `package:NAME/FILE`, absolute, `~`, or relative to `here`.

        Raises:
            UserError: nothing is there, or the package is not installed.
        """
        if written.startswith("package:"):
            return packaged(written)
        path = Path(os.path.expanduser(written))
        path = path if path.is_absolute() else self.here / path
        if not path.exists():
            raise UserError(f"there is no {written}", hint=f"looked for {path}")
        return path


def packaged(written: str) -> Path:
    """The place of `package:NAME/FILE`: a file inside an installed package, found without importing the package.

    Raises:
        UserError: the package is not installed, or has no such file.
    """
    name, _, rest = written.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"package {name!r} of {written} is not installed", hint=f"pip install {name.replace('_', '-')}")
    path = Path(spec.submodule_search_locations[0]) / rest
    if not path.exists():
        raise UserError(f"package {name!r} holds no {rest!r}", hint=f"looked in {path.parent}")
    return path


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def file_state(path: Path) -> tuple[int, int, int, int]:
    """What changes whenever a file is written: size, both times and inode. Nobody sets the time of the last change.

    A digest that was made of a file in this state is its digest still, so that large files are hashed once.
    """
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def hash_folder(path: Path, hash_one: Callable[[Path], str] = hash_file) -> str:
    """One digest for all files below a folder: their relative names and contents."""
    files = sorted(p for p in path.rglob("*") if p.is_file())
    lines = [f"{p.relative_to(path).as_posix()}\n{hash_one(p)}\n" for p in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def pointers(
    model: BaseModel, prefix: tuple[str | int, ...] = ()
) -> list[tuple[tuple[str | int, ...], Bound, BaseModel]]:
    """Every pointer in a settings object, at any depth: (place, pointer, the settings object that owns it)."""
    found: list[tuple[tuple[str | int, ...], Bound, BaseModel]] = []

    def walk(value: Any, place: tuple[str | int, ...], owner: BaseModel) -> None:
        if isinstance(value, Bound):
            found.append((place, value, owner))
        elif isinstance(value, BaseModel):
            for name in type(value).model_fields:
                walk(getattr(value, name), (*place, name), value)
        elif isinstance(value, list | tuple):
            for i, item in enumerate(value):
                walk(item, (*place, i), owner)
        elif isinstance(value, dict):
            for key, item in value.items():
                walk(item, (*place, key), owner)

    walk(model, (), model)
    return found


M = TypeVar("M", bound=BaseModel)


def bind(model: M, around: Surroundings) -> M:
    """A copy of the settings in which every pointer knows its place and its digest.

    A settings class that owns a pointer whose meaning depends on its neighbours (a model and its revision, a data set
    and its files) defines `bind_pointer(name, pointer, around) -> Bound`; it is asked first.

    Raises:
        UserError: a file is missing, or a step that is pointed at has no artifact.
    """

    def one(value: Any, owner: BaseModel, name: str) -> Any:
        if isinstance(value, Bound):
            own: Callable[..., Bound] | None = getattr(owner, "bind_pointer", None)
            if own is not None and not isinstance(value, Ref):
                return own(name, value, around)
            if isinstance(value, Ref):
                if value.step not in around.refs:
                    raise UserError(
                        f"step {value.step!r} has made nothing yet",
                        hint=f"run it first: rlhf run RECIPE --until {value.step}",
                    )
                return value.bound(*around.refs[value.step])
            path = around.locate(value.written)
            return value.bound(path, hash_folder(path, around.hash_file) if path.is_dir() else around.hash_file(path))
        if isinstance(value, BaseModel):
            return bind(value, around)
        if isinstance(value, list | tuple):
            return type(value)(one(v, owner, name) for v in value)
        if isinstance(value, dict):
            return {k: one(v, owner, name) for k, v in value.items()}
        return value

    changes = {name: one(getattr(model, name), model, name) for name in type(model).model_fields}
    return model.model_copy(update=changes)


def identity(model: BaseModel) -> dict[str, Any]:
    """What the settings mean, as plain JSON: pointers by content, plugins with their `revision`. The input of keys.

    A field with its default enters like any other: a default that changes changes the meaning. Left out are fields that
    a class lists in `not_identity` (a name for people, say), and those marked `UNLESS_DEFAULT` that have their default.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, Bound):
            return value.identity()
        if isinstance(value, BaseModel):
            return identity(value)
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        if isinstance(value, dict):
            return {str(k): plain(v) for k, v in value.items()}
        if isinstance(value, float) and value.is_integer():
            return int(value)  # 1 and 1.0 are the same setting
        if value is None or isinstance(value, str | int | float | bool):
            return value
        raise TypeError(f"{type(value).__name__} has no stable form: {value!r}")

    left_out: frozenset[str] = getattr(type(model), "not_identity", frozenset())

    def enters(name: str) -> bool:
        field = type(model).model_fields[name]
        quiet = UNLESS_DEFAULT in field.metadata and getattr(model, name) == field.get_default(
            call_default_factory=True
        )
        return name not in left_out and not quiet

    settings = {n: plain(getattr(model, n)) for n in sorted(type(model).model_fields) if enters(n)}
    revision = getattr(type(model), "revision", None)
    return {**settings, "revision": revision} if isinstance(revision, int) else settings
