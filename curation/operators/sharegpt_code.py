"""The button "Copy code" above the code blocks of a copied chat, and the language that the page writes beside it.

Three shapes are met: inside a fence, on lines of their own (```` ``` ````, `python`, `Copy code`); glued to one another
(`pythonCopy code`), the code behind them in backticks at times; and without any fence, where nothing says how far the
code goes. The language becomes that of the fence; where there is none it goes with the button. Whether a fence opens
or closes is counted, so a block that shows the words as its text keeps them.
"""

from __future__ import annotations

import re
from functools import cache

_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})(.*)")
_WINDOW = 6
"""Lines that a fence, a language and the button take at most, and one more."""


def uncopied(text: str) -> str:
    """The text without these buttons."""
    lines, kept = text.split("\n"), []
    at, fence = 0, ""
    while at < len(lines):
        found = _FENCE.fullmatch(lines[at])
        if found and fence:
            fence = "" if found[2].startswith(fence) and not found[3].strip() else fence
        elif found:
            fence = found[2]
            head = _head("\n".join([found[3], *lines[at + 1 : at + _WINDOW]]))
            if head and (taken := _block(lines, at, found, head)):
                block, at = taken
                kept += block
                continue
        elif not fence and (label := _labels()["loose"].match("\n".join(lines[at : at + 3]))):
            at += label[0].count("\n") + 1
            continue
        kept.append(lines[at])
        at += 1
    made = "\n".join(kept)
    return made if made.strip() else text


def _head(text: str) -> re.Match[str] | None:
    return _labels()["lines"].match(text) or _labels()["glued"].match(text)


def _block(lines: list[str], at: int, opening: re.Match[str], head: re.Match[str]) -> tuple[list[str], int] | None:
    """The lines of a block up to its closing fence, and where that is; None if the button is all its text."""
    fence = opening[2]
    first = at + head[0].count("\n") + 1
    rest = head.string[head.end() :].partition("\n")[0]
    end = next((i for i in range(first, len(lines)) if lines[i].strip().startswith(fence)), len(lines))
    body = [*([rest] if rest.strip() else []), *lines[first:end]]
    if not any(line.strip() for line in body):
        return None
    code, language = "\n".join(body), head["language"] or head.groupdict().get("below") or ""
    # Inline code inside of a block is the page's markup, not the program's.
    if (ticked := re.fullmatch(r"\s*`([^`].*)`\s*", code, re.DOTALL)) and language:
        code = ticked[1]
    return [f"{opening[1]}{fence}{language}", *code.split("\n")], end


@cache
def _labels() -> dict[str, re.Pattern[str]]:
    from curation.operators.sharegpt_words import COPY_CODE, LANGUAGES

    copy = f"(?:{'|'.join(COPY_CODE)})"
    space = r"[ \t]*"
    name = r"[\w+#.-]{1,20}?"
    return {
        # What is behind the opening fence and on the next lines: a language, perhaps twice, and the button.
        "lines": re.compile(
            rf"{space}(?:(?P<language>{name}){space})?(?:\n{space}(?P<below>{name}){space})?\n?{space}{copy}+{space}(?=\n|`)"
        ),
        "glued": re.compile(rf"{space}\n?{space}(?P<language>{name}){copy}+"),
        "loose": re.compile(rf"{space}(?:{LANGUAGES})(?:{space}\n{space})?{copy}{space}(?=\n|$)"),
    }
