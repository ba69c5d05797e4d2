"""What a model is asked when it makes a prompt harder or writes another one, and what is read from its answers.

The kinds of rewriting are those of Evol-Instruct (Xu et al., WizardLM, arXiv 2304.12244); the words are our own.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from curation.conversation import Message
from curation.synthesis.writers import Question

Operation = Literal["constraints", "deepen", "concretise", "reasoning", "complicate_input", "breadth"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)

_WHAT: dict[Operation, str] = {
    "constraints": "Add one requirement that an answer has to meet: a limit, a form, a condition, something to avoid.",
    "deepen": "Ask for more depth: where it asks about a matter, let it ask about what lies behind it, or about more "
    "of its sides.",
    "concretise": "Make it concrete: where it speaks in general terms, let it speak of a particular case, with "
    "names, places or numbers.",
    "reasoning": "Let it take more steps of thought: what could be answered at once should need several conclusions, "
    "one after the other.",
    "complicate_input": "Give it something to work on: add a few lines of data to the prompt itself (a table, a "
    "record, code, a letter, a formula), and let it ask about these.",
}

_DEPTH = """\
Rewrite the prompt below into one that is somewhat harder for a language model, and that people could still understand \
and answer.

{what}

Keep what it asks for, and whatever it brings along to work on (text, tables, code). Change it in this one way only, \
by about ten to twenty words, and do not answer it. Write in the language of the prompt."""

_BREADTH = """\
Write a new prompt in the spirit of the one below: from the same field, of about the same length and difficulty, on a \
matter that comes up less often. It must stand by itself, people must be able to understand and answer it, and it must \
ask for something else. Do not answer it. Write in the language of the prompt."""

_FORM = """\
Put your result, and nothing else, between <{tag}> and </{tag}>.

<prompt>
{prompt}
</prompt>"""

_SAME = """\
Two prompts for a language model follow. Do they ask for the same: with the same requirements, in the same depth, \
about the same matter? Differences of wording alone do not count.

<first>
{first}
</first>

<second>
{second}
</second>

Answer with one line that holds nothing but [[same]] or [[other]]."""

TAG = "new_prompt"
_ECHOES = (f"<{TAG}", f"</{TAG}", "<prompt>", "</prompt>", "the prompt below", "the given prompt", "rewritten prompt")
"""Words of the request that have no place in a prompt."""


def ask(prompt: str, operation: Operation, sample: int) -> Question:
    """The request to evolve a prompt."""
    task = _BREADTH if operation == "breadth" else _DEPTH.format(what=_WHAT[operation])
    text = f"{task}\n\n{_FORM.format(tag=TAG, prompt=prompt)}"
    return Question((Message("user", text),), sample=sample)


def read(text: str) -> str:
    """The new prompt in an answer: what stands between the tags, or all of it where there are none."""
    found = re.search(rf"<{TAG}>(.*?)(?:</{TAG}>|\Z)", text, flags=re.DOTALL)
    return (found[1] if found else text).strip()


def ask_same(first: str, second: str) -> Question:
    """The question whether a rewriting brought anything."""
    return Question((Message("user", _SAME.format(first=first, second=second)),))


def is_same(text: str) -> bool:
    """Whether the answer to that is yes. No verdict is no: the prompt then stays."""
    marks = re.findall(r"\[\[\s*(same|other)\s*\]\]", text, flags=re.IGNORECASE)
    return bool(marks) and marks[-1].lower() == "same"


def echoes(new: str, old: str) -> bool:
    """Whether a new prompt repeats words of the request that the old one did not hold."""
    before, after = old.casefold(), new.casefold()
    return any(word in after and word not in before for word in _ECHOES)


def alike(a: str, b: str) -> bool:
    """Whether two prompts differ in nothing but case, white space and punctuation."""
    return re.sub(r"[\W_]+", "", a).casefold() == re.sub(r"[\W_]+", "", b).casefold()
