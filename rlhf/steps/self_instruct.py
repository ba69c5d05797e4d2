"""`self_instruct`: a model writes tasks like a few that it is shown, as Alpaca's 52,000 came to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from curation.artifact import Conversations, InputFile, Kind
from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.writing import Writing, published, writer


class SelfInstruct(Writing):
    """New instructions with their answers, out of a file of seed tasks.

    A question shows the model some seed tasks and asks for the rest of a list. What it writes is kept unless a rule
    drops it. Reasons: `too_few_words`, `too_many_words`, `blocked_word`, `blocked_start`, `starts_with_punctuation`,
    `no_output`, `too_similar` (ROUGE-L to a seed or to a task that was kept), and with `compat: alpaca` `not_ascii`.
    What is no task (`not_a_task`, `cut_off`) is kept as malformed. Each row names the seeds that its question showed.
    """

    step: Literal["self_instruct"] = "self_instruct"
    seeds: InputFile
    """The seed tasks: JSON lines or a JSON array of `instruction`, `input`, `output`; Self-Instruct's own form with
    `instances` too."""
    num_instructions: int = Field(ge=1)
    """New instructions to make. The step ends when there are so many."""
    demonstrations: int = Field(3, ge=1)
    """Seed tasks that a question shows."""
    instructions_per_request: int = Field(20, ge=2)
    """Length of the list that a question asks for, the demonstrations included."""
    max_requests: int | None = Field(None, ge=1)
    """Questions after which the step gives up, and says how far it came. None: after 20 in a row of which nothing
    stayed."""
    language: str | None = None
    """What the tasks should be written in, as the question says it (`Vietnamese`). None: nothing is said, and a model
    goes by the seeds."""
    raw: bool = False
    """True asks for a continuation of raw text (`/completions` of an endpoint), as a model that was not tuned to chat
    needs it."""
    compat: Literal["alpaca"] | None = None
    """`alpaca` reads text exactly as Alpaca's code did, for English: words are what spaces part, ROUGE-L sees ASCII
    letters and digits alone, a task whose first letter is not ASCII is dropped (`not_ascii`), and `###` inside an
    output parts tasks. None: every language is read by Unicode's rules, and no language is dropped."""
    min_words: int = Field(4, ge=1)
    """Fewest words of an instruction."""
    max_words: int = Field(150, ge=1)
    """Most words of an instruction."""
    blocked_words: list[str] | None = None
    """An instruction that holds one of these words (in any case, not inside a longer one) is dropped. None: Alpaca's
    18, of what a model of text can neither see nor do. A list takes their place; other languages need their own."""
    blocked_starts: list[str] = ["Write a program"]
    """An instruction that begins so is dropped: such ones leave open whether the code or its result is wanted."""
    max_similarity: float = Field(0.7, ge=0, le=1)
    """Highest ROUGE-L (F, 0 to 1) of an instruction to any seed and to any one that was kept before it."""
    wording: Literal["plain", "stanford"] = "plain"
    """How a row's user asks: `plain`, the instruction and its input on the next line; `stanford`, in Alpaca's prompt,
    to the byte."""
    license: str = ""
    """SPDX id of what is made, as far as the terms of the model that writes decide it; carried to cards."""
    max_completion_length: int = Field(3072, ge=1)
    """Tokens of an answer, which is a whole list. The task at which a longer one is cut does not count."""

    @field_validator("blocked_words", "blocked_starts")
    @classmethod
    def _not_empty(cls, words: list[str] | None) -> list[str] | None:
        if any(not word.strip() for word in words or ()):
            raise ValueError("an empty text would be found in every instruction")
        return words

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.instructions_per_request <= self.demonstrations:
            raise ValueError("`instructions_per_request` counts the demonstrations too, and must leave room for more")
        if self.max_words < self.min_words:
            raise ValueError("`max_words` is below `min_words`: nothing could stay")
        return self

    def makes(self) -> type[Kind]:
        return Conversations

    def scores(self, steps: Mapping[str, Step]) -> set[str]:
        return {"rouge_l"}

    def run(self, room: Room) -> Done:
        from curation.conversation import Conversation, Source, digest
        from curation.synthesis import self_instruct as loop
        from curation.synthesis.tasks import read_seeds

        blocked = loop.BLOCKED if self.blocked_words is None else tuple(self.blocked_words)
        rules = loop.Rules(
            self.min_words,
            self.max_words,
            blocked,
            tuple(self.blocked_starts),
            self.max_similarity,
            self.compat == "alpaca",
        )
        plan = loop.Plan(
            self.num_instructions,
            self.demonstrations,
            self.instructions_per_request,
            self.max_requests,
            self.raw,
            self.language,
            self.wording,
            self.license,
            self.seed,
        )
        with writer(self, room) as (who, connections):
            source = Source(
                f"self_instruct by {who.name}",
                self.seeds.folder.name,
                digest("self_instruct", self.seeds.digest, who.policy),
                0,
                self.license,
            )
            run = loop.SelfInstruct(
                read_seeds(self.seeds.folder), source, who, plan, rules, progress=room.progress, warn=room.warn
            )
            made = run.run()
            ledger = made.ledger("self_instruct", who.name, run.questions)
            return published(room, made, Conversation, ledger, [who], connections)
