"""One operator on one batch of rows: what stays, what goes and why, and the line for the ledger.

Nothing here looks beyond the batch, so any cutting into batches, on any machine, comes to the same rows.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from curation.errors import UserError
from curation.frame import SCORES, row_type, with_ids
from curation.ledger import Entry
from curation.operator import Decision, Filter, Mapper, Operator, Scorer
from curation.views import ROW, edited, replies, view, with_answers

_WORD = re.compile(r"[a-z][a-z0-9_]*\Z")


@dataclass
class Batch:
    """Rows on their way through operators."""

    frame: pl.DataFrame
    dropped: list[pl.DataFrame] = field(default_factory=list)
    """Rows that were dropped, each with `dropped_by`, `reason` and `evidence`."""
    entries: list[Entry] = field(default_factory=list)
    """One an operator, in order."""
    places: pl.Series | None = None
    """Which of the rows that the batch began with are left; None once an operator edited them."""

    def __post_init__(self) -> None:
        self.places = pl.int_range(len(self.frame), dtype=pl.UInt32, eager=True)


def through(batch: Batch, operators: Sequence[Operator]) -> Batch:
    """The batch after these operators, all of which work row by row.

    Raises:
        UserError: an operator broke a rule of its kind; the message names it.
    """
    for operator in operators:
        started = time.perf_counter()
        if isinstance(operator, Mapper):
            changed = _map(batch, operator)
            if isinstance(operator, Filter):
                _filter_made(batch, operator, changed)
        elif isinstance(operator, Scorer):
            _score(batch, operator)
        elif isinstance(operator, Filter):
            _filter(batch, operator)
        else:
            raise TypeError(f"{operator.title} needs the whole table")
        batch.entries[-1].seconds = time.perf_counter() - started
    return batch


def decided(batch: Batch, operator: Operator, decision: Decision) -> Batch:
    """The batch after a decision over the whole table, of which this is the part that concerns its rows."""
    columns = [values.alias(name) for name, values in decision.columns.items()]
    batch.frame = batch.frame.with_columns(columns)
    _drop(batch, operator, decision.reasons, decision.evidence)
    return batch


def check_scores(operator: Operator, scores: pl.Series, chats: pl.DataFrame) -> pl.Series:
    """The scores as Float64.

    Raises:
        UserError: there are not as many as chats, or one of them is no finite number.
    """
    if len(scores) != len(chats):
        raise UserError(f"{operator.title} gave {len(scores)} scores for {len(chats)} chats", hint=_BUG)
    scores = scores.cast(pl.Float64)
    wrong = scores.is_finite().fill_null(False).not_().arg_true()
    if len(wrong):
        at = int(wrong[0])
        raise UserError(f"{operator.title} scored the chat {chats['id'][at]} {scores[at]}", hint="a score is finite")
    return scores


def check_reasons(operator: Operator, reasons: pl.Series, rows: int) -> pl.Series:
    """The reasons as text.

    Raises:
        UserError: there are not as many as rows, or one is not a snake_case word.
    """
    if len(reasons) != rows:
        raise UserError(f"{operator.title} gave {len(reasons)} answers for {rows} rows", hint=_BUG)
    reasons = reasons.cast(pl.String)
    for word in reasons.drop_nulls().unique():
        if not _WORD.match(word):
            raise UserError(f"{operator.title} gave the reason {word!r}", hint="a reason is one snake_case word")
    return reasons


def check_evidence(operator: Operator, evidence: pl.Series, rows: int) -> pl.Series:
    """The evidence as text.

    Raises:
        UserError: there is not as much as there are rows.
    """
    if len(evidence) != rows:
        raise UserError(f"{operator.title} gave {len(evidence)} pieces of evidence for {rows} rows", hint=_BUG)
    return evidence.cast(pl.String)


_BUG = "that is a mistake in the operator"


def _filter(batch: Batch, operator: Filter) -> pl.Series:
    """Which rows stayed."""
    if operator.on == "reply":
        return _filter_replies(batch, operator)
    chats = view(batch.frame, operator.on)
    reasons = check_reasons(operator, operator.reasons(chats), len(chats))
    return _drop(batch, operator, reasons, operator.evidence(chats, reasons))


def _filter_made(batch: Batch, operator: Filter, changed: pl.Series) -> None:
    """What a mapper that is a filter too drops of the rows that it made: both are one line of the ledger."""
    mapped, made = batch.entries.pop(), batch.frame
    stays = _filter(batch, operator)
    entry = batch.entries[-1]
    entry.made, entry.children, entry.replaced = mapped.made, mapped.children, mapped.replaced
    lost_answers = batch.frame["id"] != made["id"].filter(stays)
    entry.edited = int((changed.filter(stays) | lost_answers).sum())


def _drop(batch: Batch, operator: Operator, reasons: pl.Series, evidence: pl.Series | None = None) -> pl.Series:
    """Takes the rows with a reason out of the batch; which stayed."""
    frame, keeps = batch.frame, reasons.is_null()
    if evidence is None:
        evidence = pl.Series([None] * len(frame), dtype=pl.String)
    evidence = check_evidence(operator, evidence, len(frame))
    lost = frame.filter(~keeps).with_columns(
        pl.lit(operator.title).alias("dropped_by"),
        reasons.filter(~keeps).alias("reason"),
        evidence.filter(~keeps).alias("evidence"),
    )
    batch.frame = frame.filter(keeps)
    if batch.places is not None:
        batch.places = batch.places.filter(keeps)
    if len(lost):
        batch.dropped.append(lost)
    batch.entries.append(
        Entry(operator=operator.title, made=len(frame), kept=len(batch.frame), dropped=_counts(lost["reason"]))
    )
    return keeps


def _counts(reasons: pl.Series) -> dict[str, int]:
    counts = reasons.drop_nulls().value_counts(name="n").sort(reasons.name)
    return dict(counts.iter_rows())


def _filter_replies(batch: Batch, operator: Filter) -> pl.Series:
    """Takes answers out of candidates; a row that keeps none goes, for the reason of its first answer.

    Which rows stayed.
    """
    frame = batch.frame
    chats = replies(frame)
    reasons = check_reasons(operator, operator.reasons(chats.drop(ROW)), len(chats)).alias("reason")
    answers = frame.with_row_index(ROW).select(ROW, "answers").explode("answers").drop_nulls("answers")
    answers = answers.with_columns(reasons)
    left = with_answers(frame, answers.filter(pl.col("reason").is_null()).drop("reason"))
    first = answers.group_by(ROW, maintain_order=True).agg(pl.col("reason").first())
    none_left = left["answers"].list.len() == 0
    rows = frame.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias(ROW))
    words = rows.join(first, on=ROW, how="left", maintain_order="left")["reason"].fill_null("no_answers")
    word = pl.select(pl.when(none_left).then(words).alias("reason")).to_series()

    fewer = left["answers"].list.len() < frame["answers"].list.len()
    batch.frame = frame  # a dropped row is shown as it was
    stays = _drop(batch, operator, word)
    batch.frame, batch.places = with_ids(left.filter(word.is_null())), None
    entry = batch.entries[-1]
    entry.edited = int(fewer.filter(word.is_null()).sum())
    staying = rows.filter(word.is_null())
    entry.removed = _counts(answers.join(staying, on=ROW, how="semi")["reason"])
    return stays


def _score(batch: Batch, operator: Scorer) -> None:
    chats = view(batch.frame, operator.on)
    scores = check_scores(operator, operator.score_frame(chats), chats)
    batch.frame = batch.frame.with_columns(scores.alias(SCORES + operator.column))
    rows = len(batch.frame)
    batch.entries.append(Entry(operator=operator.title, made=rows, kept=rows))


def _map(batch: Batch, operator: Mapper) -> pl.Series:
    """Which of the rows that it made are edited ones."""
    before, batch.places = batch.frame, None
    if operator.on is None:
        made = operator.map_frame(before)
        origin = made[ROW] if ROW in made.columns else pl.int_range(len(made), eager=True)
        rows = _like(before, made.drop(ROW, strict=False), operator)
        batch.frame, entry, changed = _descended(operator, before, rows, origin)
    else:
        chats = replies(before) if operator.on == "reply" else view(before, operator.on)
        given = chats.drop(ROW, strict=False)
        after = operator.map_frame(given)
        if not after["messages"].list.len().equals(given["messages"].list.len()):
            hint = f"on: {operator.on} takes edits of texts only"
            raise UserError(f"{operator.title} added or removed messages", hint=hint)
        batch.frame = with_ids(edited(before, operator.on, after))
        changed = before["id"] != batch.frame["id"]
        entry = Entry(operator=operator.title, made=len(before), kept=len(before), edited=int(changed.sum()))
    batch.entries.append(entry)
    return changed


def _like(before: pl.DataFrame, made: pl.DataFrame, operator: Mapper) -> pl.DataFrame:
    """The mapper's rows with the columns of those that it was given."""
    new = [c for c in made.columns if c not in before.columns]
    strange = [c for c in new if not c.startswith(SCORES)]
    if strange or row_type(made) is not row_type(before):
        raise UserError(f"{operator.title} made rows of another shape {strange}", hint=_BUG)
    missing = [pl.lit(None, dtype=t).alias(c) for c, t in before.schema.items() if c not in made.columns]
    return made.with_columns(missing).select(*before.columns, *new).cast(pl.Schema(before.schema))


def _descended(
    operator: Mapper, before: pl.DataFrame, made: pl.DataFrame, origin: pl.Series
) -> tuple[pl.DataFrame, Entry, pl.Series]:
    """The mapper's rows with ids and parents, the ledger's line (what split off from what), and which were edited."""
    if origin.n_unique() != len(before) or (len(before) and (origin.min(), origin.max()) != (0, len(before) - 1)):
        what = f"{operator.title} made {len(made)} rows of {len(before)} and lost some on the way"
        raise UserError(what, hint="a mapper may not drop a row; that is what a Filter does")
    made = with_ids(made)
    were = before["id"].gather(origin)
    child = origin.is_duplicated()
    parent = pl.select(pl.when(child).then(were).otherwise(made["parent"]).alias("parent")).to_series()
    changed = ~child & (made["id"] != were)
    entry = Entry(
        operator=operator.title,
        made=len(before),
        children=int(child.sum()),
        kept=len(made),
        replaced=origin.filter(child).n_unique(),
        edited=int(changed.sum()),
    )
    return made.with_columns(parent), entry, changed


def joined(parts: Sequence[Sequence[Entry]]) -> list[Entry]:
    """The lines of all batches as one line an operator."""
    total: list[Entry] = []
    for lines in zip(*parts, strict=True):
        whole = lines[0].model_copy(deep=True)
        for line in lines[1:]:
            whole.made += line.made
            whole.children += line.children
            whole.kept += line.kept
            whole.replaced += line.replaced
            whole.edited += line.edited
            whole.seconds += line.seconds
            for own, other in ((whole.dropped, line.dropped), (whole.removed, line.removed)):
                for word, n in other.items():
                    own[word] = own.get(word, 0) + n
        whole.dropped, whole.removed = dict(sorted(whole.dropped.items())), dict(sorted(whole.removed.items()))
        total.append(whole)
    return total
