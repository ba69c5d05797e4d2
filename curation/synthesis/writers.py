"""Who writes: a model behind an endpoint, or one in memory. A loop asks either the same way.

Nobody is asked twice. What an endpoint answers is in the cache of the run (`curation.chat`); what a model here writes
is in a journal, batch by batch. Questions are asked in waves, one after the other: the answers of a wave come back in
its order, each a text or a reason why there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from curation.conversation import Message, digest, framed
from curation.errors import UserError
from curation.models.settings import DType, Sampling
from curation.progress import SILENT, Progress

if TYPE_CHECKING:
    from curation import chat
    from curation.models import Loaded


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked."""

    messages: tuple[Message, ...] = ()
    text: str | None = None
    """Raw text to go on with, instead of messages."""
    sample: int = 0
    """Number of the draw: equal questions with other numbers get other answers."""
    stop: tuple[str, ...] = ()
    """Texts at which the answer ends; they are no part of it."""
    greedy: bool = False
    """The likeliest token each time, whatever the writer's temperature. All questions of a wave must agree."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a model answered."""

    text: str
    finished: bool = True
    """False when it was cut at the length limit."""
    refused: str = ""
    """Why there is no answer, in one word: `prompt_too_long`, `control_token`, `template_refuses` (a model here),
    `not_taken` (a server that does not take the question), `withheld` (its filter held the answer back)."""


class Writer(Protocol):
    """A model that writes."""

    @property
    def name(self) -> str:
        """For people: the endpoint, or the step that made the model."""
        ...

    @property
    def policy(self) -> str:
        """What rows say about who wrote them: the name of an endpoint, a short digest of a model."""
        ...

    @property
    def at_once(self) -> int:
        """Questions that are worth asking together. No result depends on it but the speed and, for a model here, the
        rounding.
        """
        ...

    def write(self, questions: Sequence[Question], what: str) -> list[Written]:
        """One answer a question, in order.

        Raises:
            UserError: the money is used up, or the server cannot be asked. `known` then says how far it came.
        """
        ...

    def known(self, questions: Sequence[Question]) -> list[Written | None]:
        """The answers that are there already; nobody is asked."""
        ...

    def close(self) -> None:
        """Gives back the memory of a model here; it is loaded anew when it is asked again."""
        ...


class EndpointWriter:
    """A model behind an endpoint that is reachable here (`curation.chat.connected`).

    Args:
        temperature: None: the server's default, for models that take no other.
    """

    def __init__(
        self, endpoint: str, max_tokens: int, temperature: float | None = 1.0, top_p: float = 1.0, seed: int = 42
    ) -> None:
        self.name = endpoint
        self._taken = False  # whether the server took a question, whatever the size of a wave
        self._how = (max_tokens, temperature, top_p if top_p < 1 else None, seed)

    @property
    def policy(self) -> str:
        return self.name

    @property
    def at_once(self) -> int:
        from curation.chat import client

        return client(self.name).endpoint.concurrency

    def write(self, questions: Sequence[Question], what: str) -> list[Written]:
        from curation.chat import client

        asked = [self._request(question) for question in questions]
        replies = client(self.name).ask(asked, what, may_refuse=True, may_refuse_all=self._taken)
        self._taken = self._taken or any(not reply.refused for reply in replies)
        return [_written(reply, question) for reply, question in zip(replies, questions, strict=True)]

    def known(self, questions: Sequence[Question]) -> list[Written | None]:
        from curation.chat import client

        found = client(self.name).known([self._request(question) for question in questions])
        pairs = zip(found, questions, strict=True)
        return [None if reply is None else _written(reply, question) for reply, question in pairs]

    def close(self) -> None:
        pass

    def _request(self, question: Question) -> chat.Request:
        from curation.chat import Request

        length, temperature, top_p, seed = self._how
        if question.greedy:
            temperature, top_p = 0.0, None
        return Request(
            question.messages, length, temperature, question.sample, top_p, question.text, question.stop, seed
        )


def _written(reply: chat.Reply, question: Question) -> Written:
    if reply.refused or reply.withheld:
        return Written(reply.text, False, "not_taken" if reply.refused else "withheld")
    return _stopped(reply.text, reply.finished, question.stop)  # some servers leave the text that ended it in


class LocalWriter:
    """A model in memory, loaded when it is asked."""

    def __init__(
        self,
        folder: Path,
        name: str,
        model_digest: str,
        how: Sampling,
        *,
        work: Path,
        dtype: DType = "float32",
        batch_size: int = 32,
        attn_implementation: str = "sdpa",
        progress: Progress = SILENT,
    ) -> None:
        self.name, self.policy = name, model_digest[:12]
        self._folder, self._digest, self._how, self._work = folder, model_digest, how, work
        self._dtype, self._attention, self._progress = dtype, attn_implementation, progress
        self._batch_size = batch_size
        self._waves = 0
        self._loaded: Loaded | None = None
        self.tokens = 0
        """Tokens that it wrote."""
        self.numerics: dict[str, Any] = {}
        """The numerics class of what it wrote."""

    @property
    def at_once(self) -> int:
        return self._batch_size

    @property
    def loaded(self) -> Loaded:
        """The model, ready to be asked."""
        if self._loaded is None:
            from curation.models import load_policy, numerics_class, pack

            self._loaded = load_policy(self._folder, dtype=self._dtype, merge=True, attn_implementation=self._attention)
            pack(self._loaded.model)
            numerics = numerics_class(self._dtype, self._loaded.device)
            self.numerics = {**numerics, "batch_size": self._batch_size}
        return self._loaded

    def close(self) -> None:
        if self._loaded is not None:
            from curation.models import release

            self._loaded = None
            release()

    def write(self, questions: Sequence[Question], what: str) -> list[Written]:
        from curation.models import Journal, Request

        asked: list[Request] = []
        refused: dict[int, str] = {}
        for place, question in enumerate(questions):
            ids = self._ids(question)
            if isinstance(ids, str):
                refused[place] = ids
            else:
                key = digest(question.text) if question.text is not None else digest(framed(question.messages))
                asked.append(Request(key, tuple(ids), question.sample))
        journal = Journal(self._work / f"{self._digest}-{self._waves:05}.jsonl", asked, self._batch_size)
        self._waves += 1
        greedy = {"temperature": 0.0, "top_p": 1.0, "top_k": 0}
        how = self._how.model_copy(update=greedy) if questions and questions[0].greedy else self._how
        made = iter(journal.generate(self.loaded, how, progress=self._progress, what=what))
        found = []
        for place, question in enumerate(questions):
            if place in refused:
                found.append(Written("", False, refused[place]))
                continue
            one = next(made)
            self.tokens += len(one.tokens) + one.finished
            found.append(_stopped(one.text, one.finished, question.stop))
        return found

    def known(self, questions: Sequence[Question]) -> list[Written | None]:
        return [None] * len(questions)  # a model here stops for nothing that a run could end in order with

    def _ids(self, question: Question) -> list[int] | str:
        """The tokens to go on from, or why there are none."""
        from curation.models import Refused

        loaded = self.loaded
        if question.text is not None:
            ids = list(loaded.tokenizer(question.text, add_special_tokens=False)["input_ids"])
        else:
            control = loaded.tokenizer.all_special_tokens
            if any(token in message.content for message in question.messages for token in control):
                return "control_token"
            try:
                ids = loaded.template.prompt_ids(question.messages)
            except Refused as refusal:
                return refusal.reason
        return ids if len(ids) < loaded.context else "prompt_too_long"


def _stopped(text: str, finished: bool, stop: Sequence[str]) -> Written:
    """The answer up to the first of the texts that end it."""
    ends = [at for word in stop if (at := text.find(word)) >= 0]
    return Written(text[: min(ends)], True) if ends else Written(text, finished)


def tried(
    writer: Writer, questions: Sequence[Question], what: str
) -> tuple[Sequence[Written | None], UserError | None]:
    """The answers, or as many as are there when the writer cannot be asked any more, and what stopped it."""
    try:
        return writer.write(questions, what), None
    except UserError as error:
        return writer.known(questions), error
