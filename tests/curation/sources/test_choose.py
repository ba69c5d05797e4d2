"""Which files hold a split: the same ones that `datasets` finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation.errors import UserError
from curation.sources.choose import chosen, glob_regex

LAYOUTS: dict[str, list[str]] = {
    "one file": ["README.md", "chats.json"],
    "files by name": ["train.csv", "test.csv", "val.csv", "readme.txt"],
    "shards by name": ["train_0.json", "train_1.json", "my-test.json", "contest.json", "training.json"],
    "folders": ["a/train/1.json", "a/train/2.json", "a/test/1.json", "a/other/1.json", "top.json"],
    "sharded": [
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002-abc.parquet",
        "data/random-00000-of-00001.parquet",
        "2023-04-12_all.jsonl.gz",
    ],
    "evaluation": ["dev-1.jsonl", "eval.jsonl", "x/evaluation_2.jsonl"],
    "hidden": ["a.json", ".b.json", ".git/c.json", "__pycache__/d.json", "dataset_info.json"],
    "no words": ["a/one.json", "b/two.json", "three.json.gz"],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_of_every_split_are_those_that_datasets_finds(layout: str, tmp_path: Path) -> None:
    from datasets.data_files import DataFilesDict, get_data_patterns

    for name in LAYOUTS[layout]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    found = DataFilesDict.from_local_or_remote(get_data_patterns(str(tmp_path)), base_path=str(tmp_path))
    for split, files in found.items():
        expected = sorted({Path(f).relative_to(tmp_path).as_posix() for f in files} - {"readme.txt"})
        assert chosen(LAYOUTS[layout], split=str(split)) == expected


def test_the_recipe_has_the_first_word_then_the_card() -> None:
    names = ["en/train.json", "en/more.json", "vi/train.json", "all.csv"]
    card: dict[str, Any] = {
        "configs": [
            {"config_name": "en", "data_files": [{"split": "train", "path": ["en/*.json"]}]},
            {"config_name": "vi", "data_files": "vi/*"},
            {"config_name": "default", "data_dir": "en", "data_files": {"test": "more.json"}},
        ]
    }
    assert chosen(names, split="train", card=card, config="en") == ["en/more.json", "en/train.json"]
    assert chosen(names, split="train", card=card, config="vi") == ["vi/train.json"]
    assert chosen(names, split="test", card=card) == ["en/more.json"]
    assert chosen(names, split="train", card=card, data_files="*.csv") == ["all.csv"]
    assert chosen(names, split="held", data_files={"held": ["**/train.json"]}) == ["en/train.json", "vi/train.json"]
    assert chosen(names, split="train", data_dir="vi") == ["vi/train.json"]
    assert chosen(names, split="train", data_dir="en/", data_files="m*") == ["en/more.json"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"split": "train[:10%]"}, "is an expression"),
        ({"split": "dev"}, r"no split 'dev'\n  write `split: train`"),
        ({"data_files": "*.parquet"}, "no data file that fits"),
        ({"config": "fr", "card": {"configs": [{"config_name": "en"}]}}, "no configuration 'fr'"),
        ({"config": "fr"}, "leave `name` out"),
        ({"card": {"configs": [{"config_name": "en"}, {"config_name": "vi"}]}}, "say which as `name`: en, vi"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        chosen(["a.json"], **{"split": "train", **asked})


@pytest.mark.parametrize("pattern", ["*", "**", "*.json", "a/*", "**/b.json", "[ab]/?.json", "a/**/x.json", "[!a]/*"])
def test_patterns_mean_what_they_mean_to_fsspec(pattern: str) -> None:
    import re

    from fsspec.utils import glob_translate

    names = ["a.json", "b.json", "a/b.json", "a/x.json", "a/c/x.json", "b/y.json", "a/c/d/x.json", "a+b.json"]
    theirs = re.compile(glob_translate(pattern))
    assert [n for n in names if glob_regex(pattern).fullmatch(n)] == [n for n in names if theirs.match(n)]
