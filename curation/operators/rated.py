"""What `complexity` and `quality` share: a causal model is asked for a number from 1 to 6, turn by turn.

The rule is DEITA's (Liu et al., arXiv 2312.15685): the score of a turn is the mean of the six numbers, weighed by the
probabilities that the model gives their tokens as the first of its answer, among themselves. Nothing is written, so a
turn costs one reading. Of a chat with several turns the scores are added up. The paper multiplies complexity and
quality within each turn before it adds; `evol_score` does that, and `select: {by: complexity * quality}` comes to the
same for chats of one turn.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Literal

from curation.artifact import InputFile
from curation.conversation import Message
from curation.errors import UserError
from curation.operators.by_policy import ByPolicy, open_policy, unreadable

if TYPE_CHECKING:
    from curation.conversation import Conversation
    from curation.models import Loaded

POINTS = 6
INSTRUCTION, ANSWER = "{instruction}", "{answer}"


class Rated(ByPolicy):
    """A number for each turn of a chat, from a model that is asked for one."""

    prompt: ClassVar[str] = ""
    """What is asked, where no template says otherwise."""
    holds: ClassVar[tuple[str, ...]] = (INSTRUCTION,)
    """What a template must have a place for."""

    template: InputFile | None = None
    """A file with what the model is asked, in its own words: `{instruction}` stands for what the user said, `{answer}`
    for the answer. None: a plain question that any chat model understands. A model that was trained to rate wants the
    words that it was trained on."""
    chat: bool = True
    """The question is put to the model as a chat, by its own chat template. False: as plain text that the model goes
    on with, which the scorers published with the paper were trained on; no chat template is needed then."""
    turns: Literal["sum", "mean", "last"] = "sum"
    """What becomes of a chat with several turns (a user's message and the answer right after it): their `sum`, as in
    the paper, which favours long chats; their `mean`; or the `last` turn alone."""

    def prepare(self) -> None:
        self._asked()
        self._model()

    def _model(self) -> Loaded:
        return open_policy(self.policy or self.model_name_or_path, self.dtype, chats=self.chat)

    def score(self, conversations: list[Conversation]) -> list[float]:
        turns = self.numbers(conversations)
        return [sum(numbers) / (len(numbers) if self.turns == "mean" else 1) for numbers in turns]

    def numbers(self, conversations: list[Conversation]) -> list[list[float]]:
        """The number of each turn that counts, of each conversation."""
        from curation.models.expecting import expected_numbers

        loaded, asked = self._model(), self._asked()
        turns = [self._turns(conversation) for conversation in conversations]
        rows = [
            self._ids(loaded, asked, conversation, *turn)
            for conversation, some in zip(conversations, turns, strict=True)
            for turn in some
        ]
        numbers = iter(expected_numbers(loaded, rows, POINTS))
        return [[next(numbers) for _ in some] for some in turns]

    def _turns(self, conversation: Conversation) -> list[tuple[str, str]]:
        """(what the user said, the answer) of each turn that counts."""
        messages = conversation.messages
        found = [(a.content, b.content) for a, b in pairwise(messages) if (a.role, b.role) == ("user", "assistant")]
        if not found:
            raise UserError(
                f"conversation {conversation.id} has no answer right after a user's message, so `{self.op}` has "
                "nothing to score",
                hint="put `roles` before it",
            )
        return found[-1:] if self.turns == "last" else found

    def _ids(self, loaded: Loaded, asked: str, conversation: Conversation, said: str, answer: str) -> list[int]:
        from curation.models import Refused
        from curation.models.expecting import within

        question = Message("user", filled(asked, said, answer))
        shown = [text for place, text in ((INSTRUCTION, said), (ANSWER, answer)) if place in asked]
        try:
            loaded.template.check([Message("user", text) for text in shown])
            if self.chat:
                return within(loaded, loaded.template.prompt_ids([question]))
        except Refused as refusal:
            raise unreadable(self.op, conversation, refusal.why) from refusal
        return within(loaded, loaded.tokenizer(question.content)["input_ids"])

    def _asked(self) -> str:
        if self.template is None:
            return self.prompt
        asked = self.template.text().removesuffix("\n")
        for place in self.holds:
            if place not in asked:
                raise UserError(f"the template {self.template} of `{self.op}` has no {place}", hint="write it in")
        return asked


def filled(template: str, said: str, answer: str) -> str:
    """A template with both places filled, each once and for all: what stands in a text is no place of the template."""
    return answer.join(said.join(part.split(INSTRUCTION)) for part in template.split(ANSWER))
