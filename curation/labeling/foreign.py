"""Labels that already lie in an Argilla data set which somebody else made: what its fields and questions are taken for.

Nothing is guessed that cannot be said in a line: each field and question is taken for something, left out by name, or
the whole is refused with what was found. What people said goes into the same log as everything else, before anything
is made of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from curation.conversation import Candidates, Conversation, digest
from curation.errors import UserError, did_you_mean
from curation.formats.messages import Messages
from curation.formats.ratings import Ratings
from curation.labeling.answers import Distinct
from curation.labeling.argilla import Board, Connection, form_of, said_in
from curation.labeling.log import Given
from curation.labeling.pair import Pair
from curation.labeling.question import SKIP, Item, Question, Shown, Verdict
from curation.labeling.ranking import FEWEST, MOST, Ranking
from curation.labeling.rating import POINTS, Rating

Kind = Literal["choice", "ranking", "rating"]
_PROMPT = re.compile(r"(user_?)?(prompt|instruction|question|query|input|chat|messages|conversation|context)(_text)?")
_ANSWER = re.compile(r"(answer|response|completion|output|reply|generation|chosen|rejected)s?[-_ ]?(\w{1,2})?")
_TIES = {"tie", "tied", "draw", "equal", "same", "both", "equallygood", "bothgood", "bothbad", "bothequal", "neither"}
_NO_OPINION = {"skip", "unsure", "notsure", "dontknow", "unclear"}
_PLACE = re.compile(
    r"(?:answer|response|completion|output|reply|generation|option|model|candidate|choice)?"
    r"(a|b|c|d|e|[1-5])(?:is)?(?:the)?(?:better|best|wins)?"
)
_WORDS = {"first": 0, "left": 0, "second": 1, "right": 1}


@dataclass(frozen=True)
class Taken:
    """What a data set is taken for."""

    kind: Kind
    prompt: str | None
    """Field; None where the chat holds prompt and answer."""
    answers: tuple[str, ...]
    """Fields; of a rating one, the answer or the whole chat."""
    questions: tuple[str, ...]
    """The choice or the ranking; or each aspect."""
    options: Mapping[str, int | str] = field(default_factory=dict)
    """Value of an option -> place of its answer, `tie` or `skip`."""
    aspects: Mapping[str, str] = field(default_factory=dict)
    """Question -> name of the score."""
    told: tuple[str, ...] = ()
    """One line for each field and question."""

    @property
    def asks(self) -> str:
        """The step that asks such a question."""
        return "rate" if self.kind == "rating" else "compare"


def understood(
    fields: Sequence[Mapping[str, Any]],
    questions: Sequence[Mapping[str, Any]],
    *,
    prompt: str | None = None,
    answers: Sequence[str] = (),
    question: str | None = None,
) -> Taken:
    """What a data set with these fields and questions (as Argilla's REST lists them) is taken for.

    Args:
        prompt: Field of the prompt, where it is not to be found by its name; likewise
        answers: fields of the answers, and
        question: the only question that counts.

    Raises:
        UserError: it cannot be understood; the message lists what it has.
    """
    types = {f["name"]: f["settings"]["type"] for f in fields}
    asked = {q["name"]: q["settings"] for q in questions}
    for name in filter(None, (prompt, *answers)):
        if name not in types:
            raise UserError(f"the data set has no field {name!r}", hint=_has(types, asked))
    if question is not None and question not in asked:
        raise UserError(f"the data set has no question {question!r}", hint=_has(types, asked))
    able = [name for name, kind in types.items() if kind in ("text", "chat")]
    found = tuple(answers) or tuple(n for n in able if n != prompt and _ANSWER.fullmatch(n.lower()))
    others = [n for n in able if n not in found]
    first = prompt or next((n for n in others if _PROMPT.fullmatch(n.lower())), others[0] if len(others) == 1 else None)
    whole = not found and first is not None and types[first] == "chat"
    if whole and first is not None:
        found, first = (first,), None
    if not found or (first is None and not whole):
        what = "it is not clear which field is the prompt and which are the answers"
        raise UserError(what, hint=f"say it with --prompt FIELD --answers FIELD,FIELD; {_has(types, asked)}")
    chosen = {q: s for q, s in asked.items() if question in (None, q)}
    taken = _asked(found, chosen)
    if taken is None:
        what = f"no question says which of {', '.join(found)} is better" if len(found) > 1 else "no question rates it"
        readable = "a choice between them, a ranking of them, or 1 to 5 points for one is what can be read"
        hint = f"{readable}; {_has(types, asked)}"
        raise UserError(what, hint=hint)
    kind, names, options, aspects = taken
    told = [f"field {n}: {_role(n, first, found, whole)}" for n in types]
    told += [f"question {n}: {_meaning(n, kind, names, options, found, aspects)}" for n in asked]
    return Taken(kind, first, found, names, options, aspects, tuple(told))


def _asked(
    answers: tuple[str, ...], asked: Mapping[str, Mapping[str, Any]]
) -> tuple[Kind, tuple[str, ...], dict[str, int | str], dict[str, str]] | None:
    if len(answers) > 1:
        for name, settings in asked.items():
            values = [str(option["value"]) for option in settings.get("options") or ()]
            places = _places(values, answers)
            whole = places is not None and {p for p in places.values() if isinstance(p, int)} == set(
                range(len(answers))
            )
            if places is None or not whole:
                continue
            if settings["type"] == "ranking" and len(values) == len(answers) and len(answers) <= MOST:
                return "ranking", (name,), places, {}
            if settings["type"] == "label_selection" and len(answers) == 2:
                return "choice", (name,), places, {}
        return None
    rated = [n for n, s in asked.items() if s["type"] == "rating" and {o["value"] for o in s["options"]} <= set(POINTS)]
    aspects = {n: re.sub(r"[^a-z0-9]+", "_", n.lower()).strip("_") for n in rated}
    aspects = {n: a if re.match(r"[a-z]", a) else f"q_{a}" for n, a in aspects.items()}
    return ("rating", tuple(rated), {}, aspects) if rated else None


def _places(values: Sequence[str], answers: Sequence[str]) -> dict[str, int | str] | None:
    """Option -> which answer it means. By the fields' names, else by their endings, else by letter or number."""
    bare = {value: re.sub(r"[^a-z0-9]", "", value.lower()) for value in values}
    sides = [v for v in values if bare[v] not in _TIES | _NO_OPINION]
    names = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in answers]
    ends = [re.split(r"[-_ ]", name.lower())[-1] for name in answers]
    by_place = {
        **_WORDS,
        **{"abcde"[i]: i for i in range(len(answers))},
        **{str(i + 1): i for i in range(len(answers))},
    }
    for known, reading in ((names, _plain), (ends, _plain), (None, _short)):
        found = {
            v: (known.index(x) if x in known else None) if known else by_place.get(x)
            for v in sides
            for x in [reading(bare[v])]
        }
        if sides and None not in found.values():
            rest = {v: SKIP if bare[v] in _NO_OPINION else "tie" for v in values if v not in sides}
            return {**{v: int(p) for v, p in found.items() if p is not None}, **rest}
    return None


def _plain(text: str) -> str:
    return text


def _short(text: str) -> str:
    found = _PLACE.fullmatch(text)
    return found[1] if found else text


def _has(types: Mapping[str, str], asked: Mapping[str, Mapping[str, Any]]) -> str:
    fields = ", ".join(f"{name} ({kind})" for name, kind in types.items())
    questions = ", ".join(f"{name} ({settings['type']})" for name, settings in asked.items())
    return f"fields: {fields or 'none'}; questions: {questions or 'none'}"


def _role(name: str, prompt: str | None, answers: Sequence[str], whole: bool) -> str:
    if name == prompt:
        return "the prompt"
    if name in answers:
        return "the chat, whose last answer is meant" if whole else f"answer {answers.index(name) + 1}"
    return "left out"


def _meaning(
    name: str,
    kind: Kind,
    names: Sequence[str],
    options: Mapping[str, int | str],
    answers: Sequence[str],
    aspects: Mapping[str, str],
) -> str:
    if name not in names:
        return "left out"
    if kind == "rating":
        return f"points, the score {aspects[name]}"
    means = ", ".join(f"{v} = {answers[p] if isinstance(p, int) else p}" for v, p in options.items())
    return f"{'which is better' if kind == 'choice' else 'their order'} ({means})"


@dataclass(frozen=True)
class Foreign:
    """A data set on a server, whoever made it."""

    board: Board
    fields: Sequence[Mapping[str, Any]]
    questions: Sequence[Mapping[str, Any]]
    guidelines: str

    @classmethod
    def of(cls, connection: Connection, name: str) -> Foreign:
        """The data set of this name.

        Raises:
            UserError: there is none.
        """
        listed = connection.ask("GET", "me/datasets", params={"workspace_id": connection.workspace})["items"]
        found = next((d for d in listed if d["name"] == name), None)
        if found is None:
            known = [d["name"] for d in listed]
            at = f"workspace {connection.server.workspace!r} has no data set {name!r}"
            raise UserError(at, hint=did_you_mean(name, known) if known else "it is empty; --workspace names another")
        place = f"datasets/{found['id']}"
        fields, questions = (connection.ask("GET", f"{place}/{what}")["items"] for what in ("fields", "questions"))
        return cls(Board(connection, found["id"], name), fields, questions, found.get("guidelines") or "")

    def records(self) -> Iterator[Mapping[str, Any]]:
        """All records with their responses, each once."""
        for page in self.board.records():
            yield from page


@dataclass
class Imported:
    """Records of a data set as ours."""

    records: list[dict[str, Any]] = field(default_factory=list)
    """As the format `ratings` (of several answers) or `messages` reads them."""
    given: list[Given] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Reason -> records or answers that are in none of the two."""


def imported(
    taken: Taken, records: Iterable[Mapping[str, Any]], board: Board, names: Mapping[str, str], guidelines: str
) -> Imported:
    """What people said of a data set's records.

    Args:
        records: As REST lists them, with their responses.
        names: User id -> name.
        guidelines: Digest of what people went by.
    """
    out = Imported()
    for record in records:
        made = _record(taken, record["fields"])
        shown = _shown(taken, made, str(record["id"]), guidelines)
        if isinstance(shown, str):
            out.left_out[shown] += 1
            continue
        out.records.append(made)
        for response in record.get("responses") or ():
            who, values = said_in(response, names)
            verdict = SKIP if response["status"] == "discarded" else _verdict(taken, shown, values)
            if response["status"] in ("draft", "pending") or verdict is None:
                out.left_out["unfinished_answer"] += 1
                continue
            at = str(response.get("inserted_at") or "")
            out.given.append(Given(shown, who, verdict, "", form_of(board.name, who), False, at))
    return out


def _record(taken: Taken, fields: Mapping[str, Any]) -> dict[str, Any]:
    def chat(value: Any, role: str) -> list[dict[str, str]]:
        return list(value) if isinstance(value, list) else [{"role": role, "content": str(value or "")}]

    asked = chat(fields.get(taken.prompt), "user") if taken.prompt else []
    if taken.kind == "rating":
        return {"messages": [*asked, *chat(fields.get(taken.answers[0]), "assistant")]}
    said = [chat(fields.get(name), "assistant") for name in taken.answers]
    return {"prompt": asked, "answers": [{"content": "\n\n".join(m["content"] for m in one)} for one in said]}


def _shown(taken: Taken, record: Mapping[str, Any], id: str, guidelines: str) -> Shown | str:
    """The record as it lay before people, or why it is left out."""
    question: Question
    if taken.kind == "rating":
        rows = Messages().rows(record)
        if isinstance(rows, str):
            return rows
        chat = rows[0]
        assert isinstance(chat, Conversation)  # what the format makes where it is not told otherwise
        if not chat.reply.strip():
            return "no_answer"
        question = Rating(tuple((name, "") for name in taken.aspects.values()))
        item = Item(question, chat.prompt, (chat.messages[-1],), chat.tools)
        order: tuple[int, ...] = (0,)
    else:
        rows = Ratings().rows(record, "candidates")
        if isinstance(rows, str):
            return rows
        row = rows[0]
        assert isinstance(row, Candidates)
        answers = [answer.message() for answer in row.answers]
        if len(Distinct.of(row).answers) < len(answers):
            return "identical_answers"
        item = Pair.item(row.prompt, *answers) if len(answers) < FEWEST else Ranking.item(row.prompt, answers)
        question = item.question
        order = tuple(item.answers.index(answer) for answer in answers)
    return Shown(question.letter + digest("imported", id)[:15], item, order, question.under(guidelines))


def _verdict(taken: Taken, shown: Shown, values: Mapping[str, Any]) -> Verdict | None:
    if taken.kind == "rating":
        points = {taken.aspects[q]: values.get(q) for q in taken.questions}
        return {name: int(p) for name, p in points.items() if p is not None} if None not in points.values() else None
    said = values.get(taken.questions[0])
    if taken.kind == "choice":
        place = taken.options.get(str(said))
        return Pair.verdict(shown, "ab"[place]) if isinstance(place, int) else place
    found = {
        taken.options[str(one["value"])]: one.get("rank") for one in said or () if str(one["value"]) in taken.options
    }
    ranks = [found.get(place) for place in range(len(taken.answers))]
    return Ranking.verdict(shown, [int(r) for r in ranks if r is not None]) if None not in ranks else None
