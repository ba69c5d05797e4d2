"""ShareGPT-like chats from a seed, with planted duplicates and junk, and the truth about every row.

    python benchmarks/curation/chats.py 20000 chats.jsonl       # and chats.truth.parquet beside it

Texts are made-up words of ten languages, built from syllables of their own scripts and drawn by Zipf's law, with and
without spaces as the language has it. Of all rows 10% are exact copies of others, 15% near copies (word edits that
leave a Jaccard similarity of 0.80 to 0.98), 3% copies below any sensible threshold (0.40 to 0.60), 4% refusals, 2%
have roles out of order, 2% are tiny. Similarities are computed here, by sets of five words in a row (letters where
words are not set apart), and by nobody else's code. Rows are shuffled.
"""

from __future__ import annotations

import argparse
import json
import random
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PER_CHUNK = 20_000
"""Rows that are made, and copied from one another, together; then shuffled."""
VOCABULARY = 20_000
NEAR = (0.80, 0.98)
BELOW = (0.40, 0.60)
REFUSALS = [
    "I'm sorry, but I can't assist with that request.",
    "As an AI language model, I cannot provide that information.",
]


@dataclass(frozen=True)
class Language:
    """Syllables, and what stands between words and behind sentences."""

    code: str
    share: float
    starts: str
    """Beginnings of syllables, separated by spaces; `-` is none."""
    ends: str
    syllables: tuple[int, int]
    space: str = " "
    stop: str = ". "


def _hangul() -> str:
    return " ".join(chr(0xAC00 + 588 * a + 28 * b) for a in range(19) for b in (0, 4, 8, 13, 18, 20))


def _han(first: int, count: int) -> str:
    return " ".join(chr(first + 7 * i) for i in range(count))


LANGUAGES = (
    Language("en", 0.46, "b br c d dr f g h k l m n p pl r s st t tr v w - -",
             "a e i o u ea ou an en er in on ing al", (1, 3)),
    Language("de", 0.08, "b d f g h k l m n r s sch st t v w z", "a e i o ä ö ü ei au en er ung ich", (1, 4)),
    Language("vi", 0.08, "b c ch d đ g gi h kh l m n ng nh ph qu r s t th tr v x",
             "a á à ả ã ạ ai an ang âu ê ế iê ốn ơi ướ ục y", (1, 1)),
    Language("ru", 0.06, "б в г д ж з к л м н п р с т ф х ш", "а е и о у ы ов ен ить ой", (1, 4)),
    Language("ar", 0.06, "ب ت ج ح خ د ر ز س ش ص ط ع غ ف ق ك ل م ن ه", "ا ي و ان ين ات ة", (1, 3), stop="، "),
    Language("hi", 0.06, "क ख ग च ज ट त द न प ब म य र ल व स ह", "ा ि ी ु े ो ं ्र", (1, 3), stop="। "),
    Language("ko", 0.05, _hangul(), "", (1, 4)),
    Language("th", 0.05, "ก ข ค ง จ ช ซ ด ต ท น บ ป พ ม ย ร ล ว ส ห อ", "า ี ื ุ ู ่า ้น ร์ ัน ิง", (1, 3), "", " "),
    Language("zh", 0.06, _han(0x4E00, 2400), "", (1, 2), "", "。"),
    Language("ja", 0.04, _han(0x4E01, 900),
             "の に は を が で と した ます ない する こと カー ット", (1, 2), "", "。"),
)  # fmt: skip


class Words:
    """The vocabulary of a language."""

    def __init__(self, language: Language, seed: int) -> None:
        rng = random.Random(f"{language.code} {seed}")
        starts, ends = language.starts.split(), language.ends.split() or [""]
        made: dict[str, None] = {}
        tries = 0
        while len(made) < VOCABULARY and tries < 40 * VOCABULARY:
            tries += 1
            low, high = language.syllables
            syllables = (
                "".join((rng.choice(starts).replace("-", ""), rng.choice(ends))) for _ in range(rng.randint(low, high))
            )
            made["".join(syllables)] = None
        words = list(made)
        words.sort(key=len)  # what is said often is short
        at = np.arange(len(words))
        self.words = np.array(words, dtype=object)
        weights = 1 / (at + 3.0)
        self.steps = np.cumsum(weights / weights.sum())
        self.language = language

    def draw(self, rng: np.random.Generator, count: int) -> list[str]:
        """Words by Zipf's law."""
        at = np.minimum(np.searchsorted(self.steps, rng.random(count)), len(self.words) - 1)
        found: list[str] = self.words[at].tolist()
        return found

    def text(self, words: list[str], rng: np.random.Generator) -> str:
        """The words as sentences."""
        lengths = rng.integers(6, 19, size=len(words) // 6 + 2).tolist()
        at, sentences = 0, []
        for length in lengths:
            if at >= len(words):
                break
            sentences.append(self.language.space.join(words[at : at + length]))
            at += length
        return (self.language.stop.join(sentences) + self.language.stop).strip()


def tokens(text: str) -> list[str]:
    """Words, by the categories of their characters; letters where words are not set apart."""
    found: list[str] = []
    word = ""
    for character in text.lower():
        alone = _alone(character)
        if not alone and unicodedata.category(character)[0] in "LMN":
            word += character
            continue
        if word:
            found.append(word)
            word = ""
        if alone:
            found.append(character)
    return [*found, word] if word else found


def _alone(character: str) -> bool:
    return "\u0e00" <= character < "\u0e80" or ("\u3005" <= character < "\ua000" and character not in "。、")


def likeness(one: list[str], other: list[str]) -> float:
    """Jaccard similarity of the sets of five tokens in a row, of each message by itself."""
    a, b = (
        {tuple(t[i : i + 5]) for text in texts for t in [tokens(text)] for i in range(max(len(t) - 4, 1))}
        for texts in (one, other)
    )
    return len(a & b) / len(a | b)


def edited(texts: list[str], words: Words, bounds: tuple[float, float], rng: np.random.Generator) -> list[str] | None:
    """A copy with words put in the place of others, as much alike as the bounds say; None where none comes out."""
    spaced = words.language.space == " "
    pieces = [text.split(" ") if spaced else list(text) for text in texts]
    places = [(i, j) for i, piece in enumerate(pieces) for j in range(len(piece))]
    wanted = rng.uniform(*bounds)
    edits = max(1.0, (1 - wanted) / (1 + wanted) * len(places) / 5)
    for _ in range(8):
        made = [list(piece) for piece in pieces]
        count = min(round(edits), len(places))
        new = words.draw(rng, count)
        for at, word in zip(rng.choice(len(places), count, replace=False).tolist(), new, strict=True):
            i, j = places[at]
            made[i][j] = word
        copy = [(" " if spaced else "").join(piece) for piece in made]
        alike = likeness(texts, copy)
        if bounds[0] <= alike <= bounds[1]:
            return copy
        edits *= 1.3 if alike > bounds[1] else 0.75
        edits = max(edits, 1.0)
    return None


def chunk(number: int, count: int, seed: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(record, truth) of the rows of one chunk."""
    rng = np.random.default_rng([seed, number])
    vocabularies = [_vocabulary(language, seed) for language in LANGUAGES]
    shares = np.array([language.share for language in LANGUAGES])
    originals = max(1, int(count * 0.72))
    which = rng.choice(len(LANGUAGES), size=originals, p=shares / shares.sum())
    turns = 2 * np.clip(np.round(rng.lognormal(0.6, 0.75, originals)), 1, 30).astype(int)
    rows: list[list[str]] = []
    kinds: list[tuple[str, int]] = []
    for i in range(originals):
        words = vocabularies[which[i]]
        even = np.arange(turns[i]) % 2 == 0
        sizes = np.where(even, rng.lognormal(3.0, 1.0, turns[i]), rng.lognormal(4.4, 0.8, turns[i]))
        sizes = np.minimum(sizes.astype(int) + 8, 2500)
        drawn = words.draw(rng, int(sizes.sum()))
        ends = np.cumsum(sizes).tolist()
        texts = [words.text(drawn[a:b], rng) for a, b in zip([0, *ends], ends, strict=False)]
        kind = str(rng.choice(["base", "refusal", "roles", "tiny"], p=[0.89, 0.055, 0.0275, 0.0275]))
        if kind == "refusal":
            texts[-1] = f"{REFUSALS[i % 2]} {texts[-1][:80]}"
        elif kind == "tiny":
            texts = [f"hi {number}-{i}", "Hello!"]
        rows.append(texts)
        kinds.append((kind, -1))
    plain = [i for i, (kind, _) in enumerate(kinds) if kind == "base" and sum(map(len, rows[i])) > 400]
    while plain and len(rows) < count:
        source = plain[int(rng.integers(len(plain)))]
        chance = rng.random()
        if chance < 0.36:
            rows.append(rows[source])
            kinds.append(("exact", source))
            continue
        bounds, kind = (NEAR, "near") if chance < 0.89 else (BELOW, "below")
        copy = edited(rows[source], vocabularies[which[source]], bounds, rng)
        if copy is not None:
            rows.append(copy)
            kinds.append((kind, source))
    names = [f"{number:05d}-{i:05d}" for i in range(len(rows))]
    made = []
    for i, texts in enumerate(rows):
        kind, source = kinds[i]
        roles = ["human", "gpt"] * (len(texts) // 2)
        turns_ = [{"from": role, "value": text} for role, text in zip(roles, texts, strict=True)]
        if kind == "roles":
            turns_.insert(int(rng.integers(len(turns_) + 1)), {"from": "gpt", "value": f"Ok {i}"})
        root = i if source < 0 else source
        truth = {
            "id": names[i],
            "kind": kind,
            "root": names[root],
            "language": LANGUAGES[which[root]].code,
            "chars": sum(map(len, texts)),
        }
        made.append(({"id": names[i], "conversations": turns_}, truth))
    return [made[i] for i in rng.permutation(len(made))]


_VOCABULARIES: dict[tuple[str, int], Words] = {}


def _vocabulary(language: Language, seed: int) -> Words:
    key = (language.code, seed)
    if key not in _VOCABULARIES:
        _VOCABULARIES[key] = Words(language, seed)
    return _VOCABULARIES[key]


def chunks(count: int, seed: int = 0) -> Iterator[list[tuple[dict[str, Any], dict[str, Any]]]]:
    """All rows, chunk by chunk."""
    for number, start in enumerate(range(0, count, PER_CHUNK)):
        yield chunk(number, min(PER_CHUNK, count - start), seed)


def write(count: int, path: Path, seed: int = 0, processes: int = 1) -> Path:
    """Writes the records as JSON lines, and the truth beside them as Parquet; returns the truth's path."""
    import multiprocessing

    import polars as pl

    jobs = [(number, min(PER_CHUNK, count - start), seed) for number, start in enumerate(range(0, count, PER_CHUNK))]
    truth: list[dict[str, Any]] = []
    beside = path.with_suffix(".truth.parquet")
    with multiprocessing.get_context("spawn").Pool(processes) as pool, path.open("w", encoding="utf-8") as file:
        for made in pool.imap(_chunk, jobs):
            for record, fact in made:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
                truth.append(fact)
    pl.DataFrame(truth).write_parquet(beside)
    return beside


DRAWN = 200_000
"""Rows up to which every row is drawn; files with more repeat them in other letters (`repeat`)."""
_SHIFTED = ((0x61, 26), (0x430, 32), (0x627, 20), (0x915, 35), (0xE01, 44), (0x4E00, 19_000), (0xAC00, 11_000))
"""First letter and number of letters of runs that are turned, as one turns a wheel, to make other words of words."""


def repeat(path: Path, to: Path, count: int) -> None:
    """Writes a file of `count` rows: those of another, again and again, each time in other letters.

    Drawing words is slow. Turned letters make words that no other repetition has, of the same lengths and as often, so
    that duplicates stay where they were planted, and nowhere else.
    """
    import polars as pl

    truth = pl.read_parquet(path.with_suffix(".truth.parquet"))
    facts = []
    with to.open("w", encoding="utf-8") as out:
        for turn in range(-(-count // len(truth))):
            table = {
                first + i: first + (i + 3 * turn * max(1, size // 40)) % size
                for first, size in _SHIFTED
                for i in range(size)
            }
            wanted = min(len(truth), count - turn * len(truth))
            with path.open(encoding="utf-8") as file:
                for _, line in zip(range(wanted), file, strict=False):
                    record = json.loads(line)
                    record["id"] = f"{turn}-{record['id']}"
                    if turn:
                        for said in record["conversations"]:
                            said["value"] = said["value"].translate(table)
                    out.write(json.dumps(record, ensure_ascii=False) + "\n")
            names = (pl.format("{}-{}", pl.lit(turn), pl.col(c)).alias(c) for c in ("id", "root"))
            facts.append(truth.head(wanted).with_columns(names))
    pl.concat(facts).write_parquet(to.with_suffix(".truth.parquet"))


def _chunk(job: tuple[int, int, int]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return chunk(*job)


def main() -> None:
    """Writes a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    write(args.rows, args.path, args.seed, args.processes)


if __name__ == "__main__":
    main()
