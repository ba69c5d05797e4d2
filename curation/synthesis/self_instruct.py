"""Self-Instruct as Alpaca ran it: a model is shown a few tasks and writes more; what is new and usable stays.

Each question shows some of the seed tasks and asks for the rest of a list (`curation.synthesis.tasks`). Every task of
the answer passes a few rules and is then compared with the instructions of all seeds and of all tasks that were kept
before it: where ROUGE-L says that it is nearly one of these, it goes. (Wang et al., arXiv 2212.10560; the thresholds
are those of https://github.com/tatsu-lab/stanford_alpaca.)

Which seeds a question shows depends on its number alone, and answers are looked at in the order of the questions.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from curation.conversation import Conversation, Message, Source, digest
from curation.errors import UserError
from curation.formats.alpaca import prompt as stanford_prompt
from curation.operators.blocklist import ALPACA
from curation.progress import SILENT, Progress
from curation.synthesis.made import Dropped, Made, Unread, counted, short
from curation.synthesis.rouge import Pool, ascii_words, unicode_words
from curation.synthesis.tasks import Piece, Task, ask, parse
from curation.synthesis.writers import Question, Writer, Written, tried

Wording = Literal["plain", "stanford"]

BLOCKED = ALPACA
"""What a model of text cannot do anything with: Alpaca's 18 words, which `blocklist` knows as a list."""
_WAVES = 4
"""So many times what a writer does at once is asked together, so that a slow answer holds up few others."""
BARREN = 20
"""After so many questions in a row of which nothing stayed, no more is expected. Depends on no other number, so that
who then wants as many as are there gets them."""
OPENING = "¿¡"
"""Marks that a sentence may begin with."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a task must be like to stay. The defaults are Alpaca's."""

    min_words: int = 4
    max_words: int = 150
    """Of the instruction."""
    blocked_words: tuple[str, ...] = BLOCKED
    blocked_starts: tuple[str, ...] = ("Write a program",)
    max_similarity: float = 0.7
    """Highest ROUGE-L to any instruction that is there."""
    alpaca: bool = False
    """Alpaca's own reading of text: words are what spaces part, ROUGE-L and the first letter know ASCII alone."""

    def reason(self, task: Task) -> str | None:
        """Why the task goes, in one word, or None. Whether it is new is asked after this."""
        words = len(task.instruction.split()) if self.alpaca else _count(task.instruction)
        if words < self.min_words:
            return "too_few_words"
        if words > self.max_words:
            return "too_many_words"
        if any(holds(task.instruction, word) for word in self.blocked_words):
            return "blocked_word"
        if task.instruction.startswith(self.blocked_starts):
            return "blocked_start"
        if self._marked(task.instruction[0]):
            return "starts_with_punctuation"
        if self.alpaca and not task.instruction[0].isascii():
            return "not_ascii"
        return None if task.output else "no_output"

    def words(self, texts: Sequence[str]) -> list[list[str]]:
        """As ROUGE-L compares them."""
        return ascii_words(texts) if self.alpaca else unicode_words(texts)

    def _marked(self, letter: str) -> bool:
        if self.alpaca:
            return letter in string.punctuation
        return letter in string.punctuation or (unicodedata.category(letter)[0] == "P" and letter not in OPENING)


def _count(text: str) -> int:
    from curation.operators.text import count_words

    return count_words([text])[0]


def holds(text: str, word: str) -> bool:
    """Whether a text holds a word, whatever its case: not inside a longer one, in scripts that part words by spaces."""
    import regex

    apart = not regex.search(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]", word)
    edge = r"\b" if apart else ""
    return regex.search(edge + regex.escape(word) + edge, text, flags=regex.IGNORECASE) is not None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for, and how."""

    want: int
    """New tasks."""
    shown: int = 3
    """Seed tasks that a question shows."""
    length: int = 20
    """Tasks of the list that a question begins, those that it shows included."""
    max_questions: int | None = None
    """Questions after which the loop gives up. None: after `BARREN` in a row of which nothing stayed."""
    raw: bool = False
    """Ask for raw text, which a model that was not tuned to chat goes on with, instead of sending a message."""
    language: str | None = None
    wording: Wording = "plain"
    license: str = ""
    seed: int = 42


class SelfInstruct:
    """One run of the loop.

    Args:
        seeds: The tasks to start from, each different.
        source: Name and digest of where they came from.
        warn: Hears what people should know.
    """

    def __init__(
        self,
        seeds: Sequence[Task],
        source: Source,
        writer: Writer,
        plan: Plan,
        rules: Rules,
        *,
        progress: Progress = SILENT,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        if len(seeds) < plan.shown:
            hint = f"write {plan.shown} at least, or set `num_prompt_instructions` lower"
            raise UserError(
                f"a question shows {plan.shown} seed tasks, and there are {len(seeds)}", where=source.file, hint=hint
            )
        self.seeds, self.source, self.writer, self.plan, self.rules = list(seeds), source, writer, plan, rules
        self.progress, self.warn = progress, warn
        self.made: Made[Conversation] = Made()
        self.questions = 0
        """Whose answers were read."""
        self._serial = self._barren = 0
        self._ids = [conversation(seed, plan.wording).id for seed in seeds]
        self._pool = Pool()
        for words in rules.words([seed.instruction for seed in seeds]):
            self._pool.add(words)
        self._pool_ids = list(self._ids)

    def run(self) -> Made[Conversation]:
        """Asks until enough tasks were kept.

        Raises:
            UserError: the model writes too little that stays, or it cannot be asked any more; with what is there.
        """
        plan, made = self.plan, self.made
        with self.progress.bar("new instructions", plan.want, "rows") as bar:
            while len(made.rows) < plan.want:
                before = len(made.rows)
                left = self._wave() if plan.max_questions is None else plan.max_questions - self.questions
                if self._barren >= BARREN or left <= 0:
                    raise self._gives_up()
                wave = range(self.questions, self.questions + min(left, self._wave()))
                questions = [self.question(n) for n in wave]
                answers, error = tried(self.writer, questions, f"{self.writer.name} writes tasks")
                self._take(wave, answers)
                if error and len(made.rows) < plan.want:
                    raise self._short(error)
                bar.advance(len(made.rows) - before)
        made.figures = {"questions": self.questions, "instructions": len(made.rows)}
        if lost := made.reasons().get("not_ascii"):
            self.warn(f"compat alpaca dropped {lost:,} tasks because their first letter is not ASCII")
        return made

    def question(self, number: int) -> Question:
        """What is asked; the seeds that it shows are drawn by its number."""
        text = ask([self.seeds[i] for i in self.shown(number)], self.plan.length, self.plan.language)
        stop = (f"\n{self.plan.length + 1}.",)
        if self.plan.raw:
            return Question(text=text, sample=number, stop=stop)
        return Question((Message("user", text),), sample=number, stop=stop)

    def shown(self, number: int) -> list[int]:
        """Which seeds a question shows."""
        drawn = sorted(range(len(self.seeds)), key=lambda i: digest("shown", str(self.plan.seed), str(number), str(i)))
        return drawn[: self.plan.shown]

    def _wave(self) -> int:
        """Questions to ask together: about as many as will be needed, as far as the last answers tell."""
        kept = len(self.made.rows)
        each = kept / self.questions if kept else self.plan.length - self.plan.shown
        return max(1, min(_WAVES * self.writer.at_once, -int(-(self.plan.want - kept) // max(each, 0.1))))

    def _take(self, wave: Sequence[int], answers: Sequence[Written | None]) -> None:
        """Reads the answers in order, up to the first that is missing or until there is enough."""
        for number, answer in zip(wave, answers, strict=True):
            before = len(self.made.rows)
            if answer is None or before >= self.plan.want or self._barren >= BARREN:
                return
            self.questions += 1
            self._barren += 1
            if answer.refused:
                self.made.unread.append(Unread(number, answer.refused, answer.text))
                continue
            shown = [self._ids[i] for i in self.shown(number)]
            for piece in parse(answer.text, self.plan.shown + 1, answer.finished, exact=self.rules.alpaca):
                if len(self.made.rows) >= self.plan.want:
                    break
                if isinstance(piece, Piece):
                    self.made.unread.append(Unread(number, piece.reason, piece.text))
                else:
                    self._decide(piece, number, shown)
            if len(self.made.rows) > before:
                self._barren = 0

    def _decide(self, task: Task, number: int, shown: Sequence[str]) -> None:
        """Keeps a task, or drops it with its reason."""
        row = conversation(task, self.plan.wording)
        meta = {
            "instruction": task.instruction,
            "input": task.given,
            "seeds": list(shown),
            "question": number,
            "policy": self.writer.policy,
        }
        source = Source(self.source.dataset, self.source.file, self.source.digest, self._serial, self.plan.license)
        row = row.with_(meta=meta, source=source)
        self._serial += 1
        if reason := self.rules.reason(task):
            self.made.dropped.append(Dropped(row, reason))
            return
        words = self.rules.words([task.instruction])[0]
        similarity, place = self._pool.nearest(words)
        row = row.with_(scores={"rouge_l": similarity})
        if similarity > self.rules.max_similarity:
            self.made.dropped.append(Dropped(row, "too_similar", f"to {self._pool_ids[place]}"))
            return
        self._pool.add(words)
        self._pool_ids.append(row.id)
        self.made.rows.append(row)

    def _gives_up(self) -> UserError:
        lost = counted([*self.made.dropped, *self.made.unread]) or "nothing was answered"
        error = UserError(
            f"{self.writer.name} was asked {self.questions:,} times ({lost})",
            hint="raise `max_requests`, or let a model write that keeps to the form of the list",
        )
        return self._short(error)

    def _short(self, error: UserError) -> UserError:
        return short(error, len(self.made.rows), self.plan.want, "instructions", "num_instructions")


def conversation(task: Task, wording: Wording) -> Conversation:
    """A task as a chat of one question and its answer."""
    if wording == "stanford":
        asked = stanford_prompt(task.instruction, task.given)
    else:
        asked = f"{task.instruction}\n{task.given}" if task.given else task.instruction
    return Conversation(messages=(Message("user", asked), Message("assistant", task.output)))
