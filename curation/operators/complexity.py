"""`complexity`: how much a request asks of whoever answers it, by a model that rates it (DEITA's first scorer)."""

from __future__ import annotations

from typing import ClassVar, Literal

from curation.operators.rated import INSTRUCTION, Rated


class Complexity(Rated):
    """How complex the requests of a chat are: the expected number from 1 to 6 for each turn, added up."""

    prompt: ClassVar[str] = """\
How much does the request below ask of whoever answers it? Say one number from 1 (nothing needs to be known or thought
about) to 6 (an expert has to work on it in several steps), and nothing else.

Request:
{instruction}"""
    holds: ClassVar[tuple[str, ...]] = (INSTRUCTION,)

    op: Literal["complexity"] = "complexity"
