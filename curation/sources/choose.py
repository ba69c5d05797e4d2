"""Which of the files of a folder or of a repository on the Hub hold the split that was asked for.

The rules are those of `datasets.load_dataset`, so that a data set means the same files here and there: what the recipe
says (`data_files`), else what the data set's card says (`configs`), else what the names say: shards
`data/train-00000-of-00002.parquet`, a folder or file with the word train, validation or test in its name, and when
there is no such word, all files are `train`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from curation.errors import UserError, did_you_mean
from curation.sources.files import READABLE, kind_by_name

Patterns = str | list[str] | dict[str, str | list[str]]

_SHARD = re.compile(r"data/(?P<split>[^/]+)-\d{5}-of-\d{5}[^/]*\.[^/]*")
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_APART = r"[-._ 0-9]"
"""What may stand beside such a word: `train_01.json`, not `constraint.json`."""


def chosen(
    names: Sequence[str],
    *,
    split: str,
    data_files: Patterns | None = None,
    data_dir: str | None = None,
    config: str | None = None,
    card: Mapping[str, Any] | None = None,
) -> list[str]:
    """The names of the files of a split, in reading order.

    Args:
        names: Paths of all files, relative, with slashes.
        split: Name of the split.
        data_files: Patterns (`*` within a folder, `**` across), or split -> patterns.
        data_dir: Folder to look in.
        config: Name of one of the configurations that the card lists.
        card: The metadata at the top of the data set's README.

    Raises:
        UserError: no file fits; the message says what there is.
    """
    if "[" in split or "+" in split:
        raise UserError(f"split {split!r} is an expression", hint="name one split; `fraction` takes a part of it")
    listed = config is not None or not (data_files or data_dir)
    said, folder = _configured(card, config) if listed else (None, None)
    inside = (data_dir or folder or "").strip("/")
    kept = sorted(n for n in names if not inside or n.startswith(f"{inside}/"))
    by_split = _by_patterns(data_files or said, kept, inside) if data_files or said else _by_names(kept, inside)
    if not any(by_split.values()):
        patterns = f" that fits {data_files or said}" if data_files or said else ""
        raise UserError(f"there is no data file{patterns}", hint=f"what can be read: {READABLE}")
    if not by_split.get(split):
        known = [name for name, found in by_split.items() if found]
        raise UserError(f"there is no split {split!r}", hint=f"write {' or '.join(f'`split: {s}`' for s in known)}")
    return by_split[split]


def _configured(card: Mapping[str, Any] | None, config: str | None) -> tuple[Any, str | None]:
    """(patterns, folder) of a configuration in the card: the one named, else the default one."""
    listed = (card or {}).get("configs")
    configs = [c for c in listed if isinstance(c, Mapping)] if isinstance(listed, list) else []
    names = [str(c.get("config_name")) for c in configs]
    if config is not None and config not in names:
        if config == "default" and not configs:
            return None, None
        hint = did_you_mean(config, names) if names else "the data set's card lists none; leave `name` out"
        raise UserError(f"there is no configuration {config!r}", hint=hint)
    if not configs:
        return None, None
    marked = [c for c in configs if c.get("default")] + [c for c in configs if c.get("config_name") == "default"]
    if config is None and not marked and len(configs) > 1:
        raise UserError("the data set has several configurations", hint=f"say which as `name`: {', '.join(names)}")
    found = configs[names.index(config)] if config is not None else (marked or configs)[0]
    folder = found.get("data_dir")
    return found.get("data_files"), folder if isinstance(folder, str) else None


def _by_patterns(patterns: Any, names: Sequence[str], inside: str) -> dict[str, list[str]]:
    """Split -> files, for patterns in any of the forms that `datasets` takes."""
    if isinstance(patterns, list) and patterns and all(isinstance(p, Mapping) for p in patterns):
        patterns = {str(p.get("split", "train")): p.get("path", []) for p in patterns}
    if not isinstance(patterns, Mapping):
        patterns = {"train": patterns}
    found: dict[str, list[str]] = {}
    for split, written in patterns.items():
        several = [written] if isinstance(written, str) else written
        files: dict[str, None] = {}
        for pattern in several:
            regex = glob_regex(f"{inside}/{pattern}" if inside else str(pattern))
            files.update(dict.fromkeys(n for n in names if regex.fullmatch(n) and _meant(n, str(pattern))))
        found[split] = list(files)
    return found


def _meant(name: str, pattern: str) -> bool:
    """A wildcard does not reach hidden files nor what is no data; a file that is named is taken as it is."""
    return name.endswith(pattern) or (kind_by_name(name) is not None and not _hidden(name))


def _by_names(names: Sequence[str], inside: str) -> dict[str, list[str]]:
    """Split -> files, as the names tell."""
    data = [n for n in names if kind_by_name(n) and not _hidden(n)]
    below = {n: n[len(inside) + 1 :] if inside else n for n in data}
    shards: dict[str, list[str]] = {}
    for name, short in below.items():
        if match := _SHARD.fullmatch(short):
            shards.setdefault(match["split"], []).append(name)
    if shards:
        return shards
    for in_folder in (True, False):
        found = {split: [n for n in data if _has_word(below[n], words, in_folder)] for split, words in _WORDS.items()}
        if any(found.values()):
            return found
    return {"train": data}


def _has_word(path: str, words: Sequence[str], in_folder: bool) -> bool:
    folders, _, file = path.rpartition("/")
    parts = folders.split("/") if in_folder else [file]
    end = f"(?:{_APART}.*)?" if in_folder else f"{_APART}.*"
    return any(re.fullmatch(f"(?:.*{_APART})?{word}{end}", part) for word in words for part in parts)


def _hidden(name: str) -> bool:
    """Hidden files, special folders, and what describes a data set without being it."""
    *folders, file = name.split("/")
    apart = ("config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
    return any(f.startswith((".", "__")) for f in folders) or file.startswith(".") or file in apart


def glob_regex(pattern: str) -> re.Pattern[str]:
    """`*` and `?` within a folder, `**` across folders, `[...]` a set of characters."""
    out = ""
    for piece in re.findall(r"\*\*/|\*\*|\*|\?|\[!?[^\]]+\]|.", pattern.removeprefix("./"), re.DOTALL):
        out += _GLOB.get(piece) or (
            piece.replace("[!", "[^") if piece[0] == "[" and len(piece) > 1 else re.escape(piece)
        )
    return re.compile(out, re.DOTALL)


_GLOB = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
