"""An evaluation from settings to figures: answers, judges, what the judges do not see, losses, reward models."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from curation import table
from curation.artifact import Policy, Preferences, Ref, pointers
from curation.conversation import Candidates, Conversation, Preference
from curation.ledger import Ledger
from curation.models import chain_of, numerics_class, release, set_threads, use_device
from curation.models.opened import close
from curation.operator import PairScorer, Scorer
from curation.operators.perplexity import Perplexity
from curation.operators.reward_model import RewardScore
from rlhf.evaluation import ancestry
from rlhf.evaluation.accuracy import accuracy
from rlhf.evaluation.calibration import calibration
from rlhf.evaluation.intervals import FEW
from rlhf.evaluation.judges import PeopleJudge
from rlhf.evaluation.judging import compare, kind_of, scores
from rlhf.evaluation.leaks import Seen
from rlhf.evaluation.people import Compared, Study, study, study_examples
from rlhf.evaluation.policies import Said, ask_policies, nothing_left
from rlhf.evaluation.unseen import figures
from rlhf.evaluation.wins import outcome, tally

if TYPE_CHECKING:
    from curation.chat import Connections
    from rlhf.recipe.step import Room
    from rlhf.steps.evaluate import Evaluate

_EXAMPLES = 8
Outcomes = dict[str, dict[str, list[float]]]
"""Policy -> judge -> 1, 0.5 or 0 an answer."""


def evaluate(step: Evaluate, room: Room, connections: Connections) -> dict[str, Any]:
    """The fields of `Done`; the artifact is in `room.out`."""
    set_threads(room.profile.training.threads)
    use_device(room.profile.training.device)
    names = step.names
    baseline = {names[step.baseline.step]: step.baseline} if step.baseline else {}
    policies: dict[str, Ref[Policy]] = {names[ref.step]: ref for ref in step.policies}
    players = {**baseline, **policies}
    ledger = Ledger()
    metrics: dict[str, Any] = {name: {} for name in [*policies, *baseline]}
    outcomes: Outcomes = {name: {} for name in policies}

    seen = Seen.in_sets(_training_sets([ref.digest for ref in players.values()], step, room))
    prompts = _part(step.prompts) if step.prompts else None
    held_out = _unseen("held_out", _part(step.held_out), seen, room) if step.held_out else []
    asks = bool(step.prompts or step.held_out)
    said = ask_policies(step, room, players, prompts, held_out, seen) if asks else Said()
    for name, loss in said.losses.items():
        metrics[name]["loss"] = loss
    if said.entry:
        ledger.entries.append(said.entry)
        metrics["prompts"] = len(said.prompts)
    studies: dict[str, dict[str, Study]] = {}
    for judge in step.judges:
        if isinstance(judge, PeopleJudge):
            studies[judge.column] = found_by_people = _asked_people(judge, policies, baseline, seen, room)
            judged = [(name, made.figures(step.seed), made.outcomes) for name, made in found_by_people.items()]
            metrics.setdefault("prompts", len({p for made in found_by_people.values() for p in made.prompts}))
        elif not said.entry:  # it is held against people, and judges nothing
            continue
        else:
            judged = _judged(judge, said, policies, next(iter(baseline)), step, room)
            for name, _, found in judged:
                outcomes[name][judge.column] = found
        for name, figure, _ in judged:
            metrics[name][judge.column] = figure
            metrics[name].setdefault("win_rate", figure["win_rate"])
    if said.entry:
        _look_beside(step, room, said, players, metrics)
    if "prompts" in metrics and step.judges:
        by = (judge for judge in step.judges if said.entry or isinstance(judge, PeopleJudge))
        metrics["judged_by"] = [judge.column for judge in by]
        _warn(step, room, metrics["prompts"])
    if step.calibrate:
        metrics["calibration"] = _calibrated(step, step.calibrate, room)
    if step.rewards:
        metrics["rewards"] = _accuracies(step, room)
    close()
    release()
    _write(room, said, metrics, outcomes, studies)
    return {
        "ledger": ledger,
        "metrics": metrics,
        "examples": _examples(said, outcomes)
        or [e for made in studies.values() for e in study_examples(made, baseline)],
        "tokens": connections.usage.tokens(),
        "usd": connections.usage.usd,
        "numerics": numerics_class(step.dtype),
    }


def _part(ref: Ref[Any]) -> list[Any]:
    """The rows that a Ref means here: the part it names, else `test`, else all."""
    return table.rows(ref.folder, table.part_or(ref.folder, ref.part, "test"))


def _training_sets(digests: Sequence[str], step: Evaluate, room: Room) -> list[Any]:
    ways = [*step.policies, *step.rewards, *([step.calibrate] if step.calibrate else [])]
    store = ways[0].folder.parent
    found = sorted(ancestry.trained_on(digests, room.inputs), key=str)
    return [(store / digest, part) for digest, part in found]


def _unseen(what: str, rows: list[Any], seen: Seen, room: Room) -> list[Any]:
    left = seen.unseen(rows)
    if not left:
        raise nothing_left(what, Counter({"trained_on": len(rows)} if rows else {}))
    if len(left) < len(rows):
        room.warn(f"{len(rows) - len(left)} of {len(rows)} rows of `{what}` are left out: a model was trained on them")
    return left


def _judged(
    judge: Scorer, said: Said, policies: dict[str, Ref[Policy]], baseline: str, step: Evaluate, room: Room
) -> list[tuple[str, dict[str, Any], list[float]]]:
    """(policy, its figures by this judge, the outcome of each answer)."""
    theirs = said.chats(baseline)
    made = []
    if isinstance(judge, PairScorer):
        for name in policies:
            verdicts = compare(judge, list(zip(said.chats(name), theirs, strict=True)))
            found = [v.outcome for v in verdicts]
            readable = [v for v in verdicts if v.forth is not None and v.back is not None]
            figure = tally(found, said.groups(), step.seed)
            figure["flip_rate"] = sum(v.flipped for v in readable) / len(readable) if readable else None
            figure["unreadable"] = len(verdicts) - len(readable)
            if figure["unreadable"]:
                room.warn(f"{figure['unreadable']} verdicts of {judge.column} could not be read and count as ties")
            made.append((name, {**figure, "by": kind_of(judge)}, found))
        return made
    chats = [*theirs, *(chat for name in policies for chat in said.chats(name))]
    work = room.work / "scores" / judge.column
    numbers = scores(judge, chats, work=work, cache=room.scores, progress=room.progress)
    n = len(theirs)
    for i, name in enumerate(policies, 1):
        own = numbers[i * n : (i + 1) * n]
        found = [outcome(a, b) for a, b in zip(own, numbers[:n], strict=True)]
        figure = tally(found, said.groups(), step.seed)
        means = {"score": sum(own) / n, "baseline_score": sum(numbers[:n]) / n}
        made.append((name, {**figure, **means, "by": kind_of(judge)}, found))
    return made


def _look_beside(
    step: Evaluate, room: Room, said: Said, players: dict[str, Ref[Policy]], metrics: dict[str, Any]
) -> None:
    """Figures of each policy's answers that a judge may not see."""
    ground = (step.baseline or step.policies[0]).folder
    base = chain_of(ground)[0]
    surprise = Perplexity(policy=Ref("base", base, base.name), dtype=step.dtype)
    chats = {name: said.chats(name) for name in players}
    together = [chat for own in chats.values() for chat in own]
    found = iter(scores(surprise, together, work=room.work / "perplexity", cache=room.scores, progress=room.progress))
    for name, own in chats.items():
        logs = [math.log(next(found)) for _ in own]
        metrics[name] |= figures([answer for answers in said.answers[name] for answer in answers])
        metrics[name]["perplexity"] = math.exp(sum(logs) / len(logs))  # the mean over answers, not over tokens


def _asked_people(
    judge: PeopleJudge, policies: dict[str, Ref[Policy]], baseline: dict[str, Ref[Policy]], seen: Seen, room: Room
) -> dict[str, Study]:
    """Policy -> what people said of it against the baseline.

    Raises:
        UserError: they have compared no answers of one of them, or said nothing.
    """
    compared = Compared.behind(judge.labels, room.inputs)
    (theirs,) = (compared.writer(name, ref.digest) for name, ref in baseline.items())
    found = {}
    for name, ref in policies.items():
        made = study(compared.pairs, compared.candidates, compared.writer(name, ref.digest), theirs, seen)
        if not made.outcomes:
            raise nothing_left(f"{judge.labels} for {name}", made.left_out())
        if made.trained_on:
            room.warn(f"{made.trained_on} prompts that people judged are left out: a model was trained on them")
        if made.without_verdict:
            room.warn(f"of {made.without_verdict} pairs of answers of {name} nobody had an opinion")
        found[name] = made
    return found


def _warn(step: Evaluate, room: Room, prompts: int) -> None:
    if prompts < FEW:
        room.warn(f"{prompts} prompts are few (under {FEW}): the intervals are too narrow")
    trained = [ref.digest for ref in step.policies]
    deciders = ancestry.deciders(trained, room.inputs)
    known = deciders | ancestry.selectors(trained, room.inputs)
    goes_by = [_goes_by(judge, room) for judge in step.judges]
    if "people" in set().union(*goes_by) or not all(by and by <= known for by in goes_by):
        return
    by = ", ".join("the data set" if who == "data set" else who for who in sorted(set().union(*goes_by)))
    what = "decided the training pairs" if set().union(*goes_by) <= deciders else "chose or decided the training data"
    room.warn(
        f"every judge goes by {by}, which also {what}: the win rate shows that training worked, "
        "not that answers are better"
    )


def _goes_by(judge: Scorer | PeopleJudge, room: Room) -> set[str]:
    """Whose opinion a judge repeats: its own, or that of who decided the pairs of its reward model."""
    if isinstance(judge, PeopleJudge):
        return ancestry.deciders([judge.labels.digest], room.inputs)
    models = [pointer.digest for _, pointer, _ in pointers(judge) if isinstance(pointer, Ref)]
    return ancestry.deciders(models, room.inputs) if models else {judge.op}


def _accuracies(step: Evaluate, room: Room) -> dict[str, Any]:
    assert step.pairs is not None  # `rewards` and `pairs` come together
    pairs: list[Preference] = _part(step.pairs)
    decided = [pair for pair in pairs if pair.verdict != "tie"]
    if not decided:
        raise nothing_left("pairs", Counter({"tie": len(pairs)} if pairs else {}))
    found = {}
    for ref in step.rewards:
        seen = Seen.in_sets(_training_sets([ref.digest], step, room))
        own = _unseen("pairs", decided, seen, room)
        chats = [chat for pair in own for chat in pair.conversations()]
        judge = RewardScore(reward=ref, dtype=step.dtype)
        numbers = scores(
            judge, chats, work=room.work / "rewards" / ref.digest, cache=room.scores, progress=room.progress
        )
        figure = accuracy(own, numbers[::2], numbers[1::2], step.seed)
        found[step.names[ref.step]] = {**figure, "ties_left_out": len(pairs) - len(decided)}
    return found


def _calibrated(step: Evaluate, labels: Ref[Preferences], room: Room) -> dict[str, Any]:
    """Judge -> how far it agrees with people.

    Raises:
        UserError: people decided none of the pairs, or a judge's model was trained on all of them.
    """
    pairs: list[Preference] = table.rows(labels.folder, labels.part)
    people = [pair for pair in pairs if pair.decided_by == "people"]
    if not people:
        raise nothing_left(str(labels), Counter({"not_decided_by_people": len(pairs)} if pairs else {}))
    if len(people) < len(pairs):
        room.warn(f"{len(pairs) - len(people)} of {len(pairs)} pairs of {labels} were not decided by people")
    found = {}
    for judge in step.judges:
        if isinstance(judge, PeopleJudge):
            continue
        models = [pointer.digest for _, pointer, _ in pointers(judge) if isinstance(pointer, Ref)]
        seen = Seen.in_sets(_training_sets(models, step, room)) if models else Seen()
        own = _unseen(str(labels), people, seen, room)
        if isinstance(judge, PairScorer) and any(pair.across for pair in own):
            room.warn(f"{judge.op} sees one prompt, so pairs of conversations with different prompts are left out")
            own = [pair for pair in own if not pair.across]
            if not own:
                raise nothing_left(str(labels), Counter({"cross_prompt": len(people)}))
        work = room.work / "calibration" / judge.column
        found[judge.column] = {**calibration(judge, own, work, room, step.seed), "by": kind_of(judge)}
    return found


def _examples(said: Said, outcomes: Outcomes) -> list[dict[str, Any]]:
    """The first prompts by id, chosen by nothing else."""
    made = []
    samples = len(said.groups()) // len(said.prompts) if said.prompts else 0
    words = {1.0: "wins", 0.5: "ties", 0.0: "loses"}
    for i, prompt in enumerate(said.prompts[:_EXAMPLES]):
        verdicts = [
            f"{judge}: {name} {words[found[i * samples]]}"
            for name, judges in outcomes.items()
            for judge, found in judges.items()
        ]
        made.append(
            {
                "prompt": _text(prompt),
                "answers": {name: own[i][0].content for name, own in said.answers.items()},
                "verdict": ", ".join(verdicts),
            }
        )
    return made


def _text(prompt: Conversation) -> str:
    turns = prompt.prompt
    if len(turns) == 1:
        return turns[0].content
    return "\n\n".join(f"{m.role}: {m.content}" for m in turns)


def _write(
    room: Room, said: Said, metrics: dict[str, Any], outcomes: Outcomes, studies: dict[str, dict[str, Study]]
) -> None:
    """The artifact: every answer, every outcome, every figure."""
    if said.prompts:
        table.write_rows(room.out, said.rows(), Candidates)
    whole = {
        "metrics": metrics,
        "answers_of": list(said.answers),
        "prompts": [p.id for p in said.prompts],
        "outcomes": outcomes,
        **(
            {"people": {j: {n: m.to_dict() for n, m in made.items()} for j, made in studies.items()}} if studies else {}
        ),
    }
    text = json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True)
    (room.out / "evaluation.json").write_text(text + "\n", encoding="utf-8")
