"""Evol-Instruct: prompts are made harder, or turned into rarer ones, round after round; then they are answered.

In each round every prompt is rewritten in one way, which a hash draws. What the rewriting did not improve is thrown
away for a reason, and the prompt as it was is tried again in the next round, in another way. (Xu et al., WizardLM,
arXiv 2304.12244. Of its four reasons to throw away, the one that goes by English stop words is here an answer without
any word, and the one that goes by "sorry" knows refusals in many languages.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from curation.conversation import Conversation, Message, digest
from curation.errors import UserError
from curation.progress import SILENT, Progress
from curation.synthesis import evolving
from curation.synthesis.evolving import OPERATIONS, Operation
from curation.synthesis.made import Dropped, Made, short
from curation.synthesis.writers import Question, Writer, Written

REFUSAL_WITHIN = 160
"""Characters at the start of an answer in which a refusal is looked for."""
REFUSAL_WORDS = 80
"""An answer of so many words or more is no refusal, whatever it begins with."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done to the prompts."""

    rounds: int = 4
    operations: tuple[Operation, ...] = OPERATIONS
    check_gain: bool = True
    license: str = ""
    """Of what is made; empty: that of the prompt."""
    seed: int = 42


@dataclass
class _Chain:
    """A prompt on its way through the rounds."""

    root: Conversation
    now: Conversation
    """The newest form: a chat that ends on the user."""
    parent: str | None
    """Id of the row that this form was read from or became."""
    operation: Operation = "deepen"
    new: str = ""
    lost: str = ""
    """Why the rewriting of this round was thrown away."""
    evidence: str | None = None

    @property
    def prompt(self) -> str:
        return self.now.messages[-1].content

    def evolved(self) -> tuple[Message, ...]:
        last = self.now.messages[-1]
        return (*self.now.messages[:-1], Message(last.role, self.new, last.extra))


@dataclass
class EvolInstruct:
    """One run of the loop over prompts: chats that end on the user, with the row that they came from as parent."""

    prompts: Sequence[Conversation]
    writer: Writer
    plan: Plan
    progress: Progress = SILENT
    made: Made[Conversation] = field(default_factory=Made)

    def run(self) -> Made[Conversation]:
        """All rounds.

        Raises:
            UserError: the model cannot be asked any more; with how many rewritings are done.
        """
        chains = [_Chain(row, row, row.parent) for row in self.prompts]
        for number in range(self.plan.rounds):
            try:
                self._round(chains, number)
            except UserError as error:
                done, all_ = len(self.made.rows) + len(self.made.dropped), len(chains) * self.plan.rounds
                raise short(error, done, all_, "rewritings") from None
        by_operation: dict[str, int] = {}
        for row in self.made.rows:
            name = str(row.meta["operation"])
            by_operation[name] = by_operation.get(name, 0) + 1
        self.made.figures = {
            "rewritings": len(chains) * self.plan.rounds,
            "evolved": dict(sorted(by_operation.items())),
        }
        return self.made

    def operation(self, chain: _Chain, number: int) -> Operation:
        """What is done to a prompt in a round, drawn by a hash."""
        drawn = digest("evol_instruct", str(self.plan.seed), chain.root.id, str(number))
        return self.plan.operations[int(drawn, 16) % len(self.plan.operations)]

    def _round(self, chains: Sequence[_Chain], number: int) -> None:
        for chain in chains:
            chain.operation, chain.new, chain.lost, chain.evidence = self.operation(chain, number), "", "", None
        what = f"round {number + 1} of {self.plan.rounds}"
        questions = [evolving.ask(chain.prompt, chain.operation, number) for chain in chains]
        for chain, said in zip(chains, self.writer.write(questions, f"{what}: prompts"), strict=True):
            self._read(chain, said)
        if self.plan.check_gain:
            open_ = [chain for chain in chains if not chain.lost]
            questions = [evolving.ask_same(chain.prompt, chain.new) for chain in open_]
            for chain, said in zip(open_, self.writer.write(questions, f"{what}: gain"), strict=True):
                chain.lost = "no_gain" if evolving.is_same(said.text) else ""
        open_ = [chain for chain in chains if not chain.lost]
        questions = [Question(chain.evolved(), sample=number) for chain in open_]
        answers = self.writer.write(questions, f"{what}: answers")
        for chain, said, refuses in zip(open_, answers, refusals([a.text for a in answers]), strict=True):
            chain.lost = said.refused or ("" if said.text.strip() else "no_answer") or self._empty(said, refuses)
            chain.evidence = said.text[:REFUSAL_WITHIN] if chain.lost else None
        said_by = {id(chain): said for chain, said in zip(open_, answers, strict=True)}
        for chain in chains:
            self._keep(chain, said_by.get(id(chain)), number)

    def _read(self, chain: _Chain, said: Written) -> None:
        """The new prompt, or why there is none."""
        chain.new = evolving.read(said.text)
        if said.refused:
            chain.lost = said.refused
        elif not said.finished:
            chain.lost = "cut_off"
        elif not chain.new:
            chain.lost = "no_prompt"
        elif evolving.echoes(chain.new, chain.prompt):
            chain.lost = "echoes_request"
        elif evolving.alike(chain.new, chain.prompt):
            chain.lost = "unchanged"

    @staticmethod
    def _empty(said: Written, refuses: bool) -> str:
        from curation.operators.text import count_words

        words = count_words([said.text])[0]
        if not words:
            return "says_nothing"
        return "refusal" if refuses and words < REFUSAL_WORDS else ""

    def _keep(self, chain: _Chain, said: Written | None, number: int) -> None:
        """Ends a chain's round: a new row and a harder prompt, or a dropped one and the prompt as it was."""
        answer = Message("assistant", said.text) if said is not None and said.text.strip() else None
        source = chain.root.source
        if self.plan.license:
            source = type(source)(source.dataset, source.file, source.digest, source.index, self.plan.license)
        row = chain.root.with_(
            messages=(*chain.evolved(), answer) if answer else chain.evolved(),
            parent=chain.parent,
            source=source,
            meta={
                **chain.root.meta,
                "operation": chain.operation,
                "round": number + 1,
                "policy": self.writer.policy,
                "finished": said.finished if said is not None else True,
            },
        )
        if chain.lost:
            self.made.dropped.append(Dropped(row, chain.lost, chain.evidence))
            return
        self.made.rows.append(row)
        chain.now = chain.root.with_(messages=chain.evolved())
        chain.parent = row.id


def refusals(texts: Sequence[str]) -> list[bool]:
    """Whether each text begins like a refusal."""
    import polars as pl

    from curation.operators.boilerplate import refusal_pattern

    start = pl.Series("text", texts, dtype=pl.String).str.head(REFUSAL_WITHIN).str.to_lowercase()
    return start.str.contains(refusal_pattern(None)).to_list()
