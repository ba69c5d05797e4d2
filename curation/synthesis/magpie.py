"""Magpie: a model that was tuned to chat is shown the header of a user's turn and nothing else, and writes the turn.

Such a model has read so many chats that it goes on with a user's words, like those that it was tuned on; then it is
asked for the answer as usual. No seed and no request is needed. (Xu et al., arXiv 2406.08464.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from curation.conversation import Conversation, Message, Source, digest
from curation.errors import UserError
from curation.progress import SILENT, Progress
from curation.synthesis.made import Dropped, Made, Unread, counted, short
from curation.synthesis.writers import Question, Writer, Written, tried

BARREN = 50
"""After so many user's turns in a row of which none could be used, no more is expected."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for, and how."""

    want: int
    before: str
    """The text up to and with the header of the user's turn."""
    stop: tuple[str, ...]
    """Texts that end the user's turn."""
    system: str | None = None
    """What the answer is asked under; `before` holds it already."""
    max_draws: int | None = None
    """User's turns after which the loop gives up. None: after `BARREN` in a row of which none could be used."""
    greedy: bool = True
    """Answers take the likeliest token each time."""
    license: str = ""


@dataclass
class Magpie:
    """One run of the loop."""

    writer: Writer
    plan: Plan
    progress: Progress = SILENT
    made: Made[Conversation] = field(default_factory=Made)
    draws: int = 0
    """User's turns that were drawn and looked at."""

    def __post_init__(self) -> None:
        self._seen: set[str] = set()
        self._barren = 0
        self._digest = digest("magpie", self.writer.policy, self.plan.before)

    def run(self) -> Made[Conversation]:
        """Draws until enough chats were kept.

        Raises:
            UserError: too little that is drawn can be used, or the model cannot be asked any more; with what is there.
        """
        plan, made = self.plan, self.made
        with self.progress.bar("chats", plan.want, "rows") as bar:
            while len(made.rows) < plan.want:
                left = self._wave() if plan.max_draws is None else plan.max_draws - self.draws
                if self._barren >= BARREN or left <= 0:
                    lost = counted([*made.dropped, *made.unread])
                    hint = "raise `max_draws`, or let a model write that was tuned to chat"
                    raise self._short(UserError(f"{self.writer.name} was asked for {self.draws:,} ({lost})", hint=hint))
                before = len(made.rows)
                wave = range(self.draws, self.draws + min(left, self._wave()))
                error = self._draw(wave)
                if error and len(made.rows) < plan.want:
                    raise self._short(error)
                bar.advance(len(made.rows) - before)
        made.figures = {"draws": self.draws, "chats": len(made.rows)}
        return made

    def _wave(self) -> int:
        kept = len(self.made.rows)
        each = kept / self.draws if kept else 1.0
        return max(1, min(self.writer.at_once, -int(-(self.plan.want - kept) // max(each, 0.1))))

    def _draw(self, wave: Sequence[int]) -> UserError | None:
        """One wave: user's turns, then the answers to those that can be used. What stopped it, if anything did."""
        plan = self.plan
        questions = [Question(text=plan.before, sample=n, stop=plan.stop) for n in wave]
        turns, error = tried(self.writer, questions, f"{self.writer.name} plays the user")
        there = turns[: turns.index(None)] if None in turns else turns
        found = [self._read(number, said) for number, said in zip(wave, there, strict=False) if said is not None]
        system = (Message("system", plan.system),) if plan.system else ()
        asked = [turn for turn in found if isinstance(turn, Message)]
        questions = [Question((*system, turn), greedy=plan.greedy) for turn in asked]
        answers, later = tried(self.writer, questions, f"{self.writer.name} answers")
        said_to = iter(answers)
        for number, turn in zip(wave, found, strict=False):
            if len(self.made.rows) >= plan.want or self._barren >= BARREN:
                return None
            before = len(self.made.rows)
            if isinstance(turn, Unread):
                self.made.unread.append(turn)
            elif isinstance(turn, Dropped):
                self.made.dropped.append(turn)
            else:
                said = next(said_to)
                if said is None:
                    return later
                self._keep(number, (*system, turn), said)
            self.draws += 1
            self._barren = 0 if len(self.made.rows) > before else self._barren + 1
        return error or later

    def _read(self, number: int, said: Written) -> Message | Dropped | Unread:
        """The user's turn, or why it cannot be used."""
        text = said.text.strip()
        if said.refused or not said.finished or not text:
            return Unread(number, said.refused or ("cut_off" if text else "no_prompt"), said.text)
        turn = Message("user", text)
        same = " ".join(text.split()).casefold()
        if same in self._seen:
            return Dropped(self._row(number, (turn,)), "repeated_prompt")
        self._seen.add(same)
        return turn

    def _keep(self, number: int, prompt: tuple[Message, ...], said: Written) -> None:
        if said.refused or not said.text.strip():
            self.made.dropped.append(Dropped(self._row(number, prompt), said.refused or "no_answer"))
            return
        row = self._row(number, (*prompt, Message("assistant", said.text.strip())))
        self.made.rows.append(row.with_(meta={**row.meta, "finished": said.finished}))

    def _row(self, number: int, messages: tuple[Message, ...]) -> Conversation:
        source = Source(f"magpie by {self.writer.name}", "", self._digest, number, self.plan.license)
        return Conversation(messages=messages, source=source, meta={"policy": self.writer.policy})

    def _short(self, error: UserError) -> UserError:
        return short(error, len(self.made.rows), self.plan.want, "chats", "num_conversations")
