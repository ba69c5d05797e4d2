"""YAML text as a tree that remembers its lines, so that every later complaint can name one.

The dialect is YAML 1.2's core schema and nothing else: `2e-4` is a number, `no` and `2024-01-01` are text, a key that
occurs twice is an error, a tag (`!!python/...`) is refused. Anchors and aliases are fine, `<<` merges an aliased map.
The events come from ruamel.yaml; the tree is ours, because it must survive `extends` and `--set` with its places.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.errors import RecipeError
from rlhf.recipe.problem import Place, Problem, RecipeProblems, shown

if TYPE_CHECKING:
    from ruamel.yaml.events import Event

MAX_BYTES = 1_000_000
"""A recipe is read whole, by people too; what is larger is some other file."""
MAX_NODES = 50_000
"""With aliases counted as often as they are used: a few lines of nested aliases can stand for billions of nodes."""
MAX_DEPTH = 60

Path_ = tuple[str | int, ...]

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]{1,100}|0o[0-7]{1,100}|0x[0-9a-fA-F]{1,100}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass
class Node:
    """A value and where it was written."""

    value: Any
    """None, bool, int, float or str; a list of nodes; a dict of nodes by name."""
    place: Place
    keys: dict[str, Place] = field(default_factory=dict)
    """For a map: where each name was written."""
    size: int = 1
    """Nodes below and here, aliases counted as often as they are used."""

    def plain(self) -> Any:
        """The value as plain Python data."""
        if isinstance(self.value, dict):
            return {k: v.plain() for k, v in self.value.items()}
        return [v.plain() for v in self.value] if isinstance(self.value, list) else self.value

    def get(self, name: str) -> Node | None:
        """The node under a name of a map; None where there is none (or no map)."""
        return self.value.get(name) if isinstance(self.value, dict) else None

    def find(self, path: Path_) -> Found:
        """The deepest node on a path, and how to name it.

        Parts of the path that the text does not hold are passed over: validation adds some (the tag of a union, the
        index of a list that was written as one value, the name of a field that a short form left out), and leaves out
        the name of an operator over its settings.
        """
        node, place = self, self.place
        shown: list[str | int] = []
        for i, part in enumerate(path):
            if isinstance(node.value, dict) and part not in node.value and len(node.value) == 1:
                name, inner = next(iter(node.value.items()))  # an operator: {name: {settings}}
                if isinstance(inner.value, dict) and part in inner.value:
                    node = inner
                    shown.append(name)
            if isinstance(node.value, dict) and part in node.value:
                place = node.keys.get(str(part), node.value[part].place)
                node = node.value[part]
            elif isinstance(node.value, list) and isinstance(part, int) and -1 < part < len(node.value):
                node = node.value[part]
                place = node.place
            elif not (isinstance(part, str) and isinstance(node.value, dict) and i == len(path) - 1):
                continue
            shown.append(part)
        return Found(node, place, tuple(shown))


@dataclass(frozen=True)
class Found:
    """Where a path leads in a tree."""

    node: Node
    """The deepest one that the text holds."""
    place: Place
    """The line to name."""
    path: Path_
    """The part of the path that the user wrote (and the last name, written or not)."""

    @property
    def dotted(self) -> str:
        """`steps.sft.learning_rate`."""
        return ".".join(map(str, self.path))


def read(file: Path) -> tuple[Node, str]:
    """The tree and the text of a YAML file.

    Raises:
        RecipeProblems: it is no YAML, or uses what is refused; all duplicate keys and tags are named at once.
        RecipeError: it cannot be read.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise RecipeError(
                f"{shown(file)} is larger than {MAX_BYTES // 1000} kB", hint="is it really the recipe, or the data?"
            )
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RecipeError(
            f"{shown(file)} cannot be read: {error.strerror}", hint="name a file that you may read"
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{shown(file)} is no text in UTF-8", hint="is it really the recipe?") from error
    return parse(text, Place(file)), text


def parse(text: str, origin: Place) -> Node:
    """The tree of a YAML text; an empty text is null. Raises as `read` does."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="safe", pure=True)
    try:
        return _Composer(iter(yaml.parse(text)), origin).document()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(filter(None, (error.context, error.problem)))
        hint = "YAML is indented with spaces, not tabs" if "\\t" in what else ""
        raise RecipeProblems([Problem(f"not YAML: {what}", _at(origin, mark), hint=hint)]) from None
    except YAMLError as error:
        line = _control_character(text)
        what = str(error).strip().splitlines()[0]
        place = Place(origin.file, line) if origin.file else origin
        raise RecipeProblems([Problem(f"not YAML: {what}", place, hint="is it really the recipe?")]) from None


def scalar(text: str) -> Any:
    """What a plain scalar means in YAML 1.2's core schema."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return int(text, 8 if "0o" in text else 16 if "0x" in text else 10)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def head_comment(text: str) -> str:
    """The comment that opens a file, without the `#`."""
    lines = []
    for line in text.removeprefix("\ufeff").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("#").removeprefix(" ").rstrip())
    return "\n".join(lines)


def merged(below: Node, above: Node) -> Node:
    """`above` laid over `below`: maps key by key, everything else (lists too) replaced."""
    if not (isinstance(below.value, dict) and isinstance(above.value, dict)):
        return above
    value = dict(below.value)
    for name, node in above.value.items():
        value[name] = merged(value[name], node) if name in value else node
    return Node(value, above.place, {**below.keys, **above.keys}, 1 + sum(n.size for n in value.values()))


def _at(origin: Place, mark: Any) -> Place:
    return Place(origin.file, mark.line + 1) if origin.file and mark else origin


def _control_character(text: str) -> int:
    """The line of the first character that YAML does not allow; 0 if there is none."""
    found = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text)
    return text.count("\n", 0, found.start()) + 1 if found else 0


def _refused(tag: str) -> str:
    return f"the tag {tag.replace('tag:yaml.org,2002:', '!!')} is refused"


class _Composer:
    """Builds the tree from parser events."""

    def __init__(self, events: Iterator[Event], origin: Place) -> None:
        self.events, self.origin = events, origin
        self.anchors: dict[str, Node | None] = {}  # None: under construction
        self.problems: list[Problem] = []

    def document(self) -> Node:
        """The one document of the text."""
        root = Node(None, Place(self.origin.file, 1) if self.origin.file else self.origin)
        documents = 0
        for event in self.events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    self.complain("a second document starts here", event, "one recipe is one file")
                    break
            elif kind not in ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent"):
                root = self.node(event, 0)
        if self.problems:
            raise RecipeProblems(self.problems)
        return root

    def next(self) -> Any:  # ruamel.yaml's events declare no attributes
        return next(self.events)

    def complain(self, what: str, event: Any, hint: str = "") -> None:
        self.problems.append(Problem(what, _at(self.origin, event.start_mark), hint=hint))

    def stop(self, what: str, event: Any, hint: str = "") -> RecipeProblems:
        self.complain(what, event, hint)
        return RecipeProblems(self.problems)

    def node(self, event: Any, depth: int) -> Node:
        """The node that starts with this event."""
        place = _at(self.origin, event.start_mark)
        if depth > MAX_DEPTH:
            raise self.stop(f"nested deeper than {MAX_DEPTH} levels", event)
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self.aliased(event)
        if event.tag is not None:
            self.complain(_refused(event.tag), event, "write the value without it; quotes make text")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        if kind == "SequenceStartEvent":
            node = Node([], place)
            while type(item := self.next()).__name__ != "SequenceEndEvent":
                self.add(node, self.node(item, depth + 1), event)
        elif kind == "MappingStartEvent":
            node = self.map(event, place, depth)
        else:
            plain = event.style is None and event.tag is None
            node = Node(scalar(event.value) if plain else event.value, place)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def aliased(self, event: Any) -> Node:
        if event.anchor not in self.anchors:
            raise self.stop(f"the alias *{event.anchor} has no anchor &{event.anchor} before it", event)
        node = self.anchors[event.anchor]
        if node is None:
            raise self.stop(f"the alias *{event.anchor} stands inside of what it names", event)
        return node

    def add(self, parent: Node, child: Node, event: Any, name: str | None = None) -> None:
        parent.size += child.size
        if parent.size > MAX_NODES:
            raise self.stop(f"with its aliases spelled out this is more than {MAX_NODES} values", event)
        if name is None:
            parent.value.append(child)
        else:
            parent.value[name] = child

    def map(self, event: Any, place: Place, depth: int) -> Node:
        node = Node({}, place)
        below: list[Node] = []
        while type(key := self.next()).__name__ != "MappingEndEvent":
            if type(key).__name__ != "ScalarEvent":
                raise self.stop("a name must be text, not a list, a map or an alias", key)
            if key.tag is not None:
                self.complain(_refused(key.tag), key, "write the name without it")
            child = self.node(self.next(), depth + 1)
            if key.value == "<<" and key.style is None:
                below += child.value if isinstance(child.value, list) else [child]
                continue
            if key.value in node.value:
                first = node.keys[key.value].line
                self.complain(f"{key.value!r} occurs twice (first in line {first})", key, "remove one of the two")
            self.add(node, child, key, key.value)
            node.keys[key.value] = _at(self.origin, key.start_mark)
        return self.with_merged(node, below, event)

    def with_merged(self, node: Node, below: list[Node], event: Any) -> Node:
        """The map with what `<<` brings in: its own names win, then the first map of a list."""
        for source in below:
            if not isinstance(source.value, dict):
                raise self.stop("`<<` takes an aliased map, or a list of them", event)
            for name, child in source.value.items():
                if name not in node.value:
                    self.add(node, child, event, name)
                    node.keys[name] = source.keys[name]
        return node
