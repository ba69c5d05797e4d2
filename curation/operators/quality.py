"""`quality`: how good an answer is to what was asked, by a model that rates answers (DEITA's second scorer)."""

from __future__ import annotations

from typing import ClassVar, Literal

from curation.operators.rated import ANSWER, INSTRUCTION, Rated


class Quality(Rated):
    """How good the answers of a chat are: the expected number from 1 to 6 for each turn, added up."""

    prompt: ClassVar[str] = """\
How good is the answer below to the request before it? Say one number from 1 (it does not help at all, or is wrong) to
6 (it is right, complete and clear), and nothing else.

Request:
{instruction}

Answer:
{answer}"""
    holds: ClassVar[tuple[str, ...]] = (INSTRUCTION, ANSWER)

    op: Literal["quality"] = "quality"
