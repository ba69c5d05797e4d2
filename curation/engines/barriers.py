"""Decisions over the whole table: what selectors choose, and what models score in fixed chunks.

The global table holds a row's id, origin and what the barrier asked for (keys, scores, lengths), a few dozen bytes a
row; text stays where it is. Model scores are made once for each different chat, in chunks of fixed size over the chats
sorted by (length, id): neither the batches nor what a cache already knew can change which chats share a chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from curation.engines import ScoreCache
from curation.engines.batch import check_evidence, check_reasons, check_scores
from curation.engines.files import spill
from curation.errors import UserError
from curation.frame import SCORES, score_columns
from curation.operator import Decision, Operator, Scorer, Selector, scorer_key
from curation.progress import Bar, Progress
from curation.spilled import mapped
from curation.views import view

CHUNKS_AT_ONCE = 16
"""Chunks whose text is in memory together; scores are on the disk after each such group, in the cache after each
chunk."""


def table_of(frame: pl.DataFrame, barrier: Operator) -> pl.DataFrame:
    """A batch's part of the global table."""
    source = pl.col("source").struct
    # Short, for it is kept for every row: 48 bits of a digest tell files apart. Zeros in front, so that the order of
    # texts is the order of numbers.
    index = source.field("index").cast(pl.String).str.zfill(10)
    origin = pl.concat_str(source.field("digest").str.slice(0, 12), pl.lit(":"), index)
    if isinstance(barrier, Selector):
        chats = view(frame, barrier.on)
        if barrier.on:
            chats = chats.with_columns(frame[c] for c in score_columns(frame))
        keys = barrier.keys(chats)
        return frame.select("id", origin.alias("origin")).with_columns(keys.get_columns())
    chats = view(frame, barrier.on)
    size = pl.col("messages").list.eval(pl.element().struct.field("content").str.len_bytes()).list.sum()
    return chats.select("id", size.alias("size"))


def choose(selector: Selector, table: pl.DataFrame) -> Decision:
    """What the selector decides over the whole table.

    Raises:
        UserError: its answer does not fit the table, or it writes a column that it may not write.
    """
    decision = selector.decide(table)
    reasons = check_reasons(selector, decision.reasons, len(table))
    for name, values in decision.columns.items():
        if name not in {"split", "label", *(SCORES + score for score in selector.writes())}:
            hint = "a selector writes `split`, `label`, or `scores.NAME` with the NAME among what its writes() gives"
            raise UserError(f"{selector.title} writes {name!r}", hint=hint)
        if len(values) != len(table):
            raise UserError(
                f"{selector.title} gave {len(values)} values of {name!r} for {len(table)} rows",
                hint="the columns of a Decision hold one value a row of the table, in its order",
            )
    evidence = None if decision.evidence is None else check_evidence(selector, decision.evidence, len(table))
    return Decision(reasons, decision.columns, evidence)


def score_chunks(
    scorer: Scorer,
    table: pl.DataFrame,
    rows: Callable[[pl.Series], pl.DataFrame],
    folder: Path,
    cache: ScoreCache | None,
    progress: Progress,
    score: Callable[[Scorer, Sequence[pl.DataFrame]], Iterable[pl.Series]],
    at_once: int = CHUNKS_AT_ONCE,
) -> Decision:
    """The scores of all rows.

    Args:
        table: `id` and `size` of each row's chat.
        rows: Gives the rows at these places of the table, in this order.
        folder: Where scores are kept until the stage is done, so that a killed run goes on.
        cache: Outlives the run.
        score: Gives the scores of each of these chunks of chats, in order; not asked for what is known.
        at_once: Chunks that it is given together.
    """
    chats = table.with_row_index("row").unique("id", keep="first", maintain_order=True).sort("size", "id")
    key = scorer_key(scorer) if cache else ""
    known = cache.get(key, chats["id"].to_list()) if cache else {}
    made: list[pl.DataFrame] = []
    with progress.bar(scorer.title, len(chats), "chats") as bar:
        for number, group in enumerate(chats.iter_slices(scorer.chunk_size * at_once)):
            path = folder / f"scores-{scorer.chunk_size * at_once}-{number:06d}.arrow"
            if path.exists():
                bar.advance(len(group))
            else:
                keep = partial(cache.put, key) if cache else None
                spill(_group(scorer, group, known, rows, score, bar, keep), path)
            made.append(mapped(path))
    column = SCORES + scorer.column
    scores = pl.concat(made) if made else pl.DataFrame(schema={"id": pl.String, "score": pl.Float64})
    values = table.join(scores, on="id", how="left", maintain_order="left")["score"].alias(column)
    none = pl.Series("reason", [None] * len(table), dtype=pl.String)
    return Decision(none, {column: values})


def _group(
    scorer: Scorer,
    group: pl.DataFrame,
    known: dict[str, float],
    rows: Callable[[pl.Series], pl.DataFrame],
    score: Callable[[Scorer, Sequence[pl.DataFrame]], Iterable[pl.Series]],
    bar: Bar,
    keep: Callable[[dict[str, float]], None] | None,
) -> pl.DataFrame:
    """`id` and `score` of some chunks, each of which is scored whole or not at all, and kept as soon as it is."""
    chunks = list(_texts(scorer, group, known, rows))
    texts = [chats for _, chats in chunks if chats is not None]
    made = iter(score(scorer, texts))
    values: list[pl.Series] = []
    for chunk, chats in chunks:
        cached = pl.Series([known.get(i) for i in chunk["id"]], dtype=pl.Float64)
        if chats is None:
            values.append(cached.alias("score"))
        else:
            scores = check_scores(scorer, next(made), chats)
            values.append(pl.select(pl.coalesce(cached, scores).alias("score")).to_series())
            if keep:
                keep({i: s for i, s in zip(chunk["id"], scores, strict=True) if i not in known})
        bar.advance(len(chunk))
    return pl.DataFrame({"id": group["id"], "score": pl.concat(values)})


def _texts(
    scorer: Scorer, group: pl.DataFrame, known: dict[str, float], rows: Callable[[pl.Series], pl.DataFrame]
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame | None]]:
    """Each chunk with its chats, or with None when the cache knows them all."""
    chunks = list(group.iter_slices(scorer.chunk_size))
    wanted = [c for c in chunks if any(i not in known for i in c["id"])]
    chats = view(rows(pl.concat([c["row"] for c in wanted])), scorer.on) if wanted else None
    at = 0
    for chunk in chunks:
        if chats is None or all(i in known for i in chunk["id"]):
            yield chunk, None
        else:
            yield chunk, chats.slice(at, len(chunk))
            at += len(chunk)


def save(decision: Decision, path: Path) -> None:
    """Keeps a decision on the disk."""
    columns = [values.alias(name) for name, values in decision.columns.items()]
    said = [] if decision.evidence is None else [decision.evidence.alias("evidence")]
    spill(pl.DataFrame([decision.reasons.alias("reason"), *said, *columns]), path)


def load(path: Path) -> Decision:
    """A decision that was kept."""
    whole = mapped(path)
    columns = {c: whole[c] for c in whole.columns if c not in ("reason", "evidence")}
    return Decision(whole["reason"], columns, whole["evidence"] if "evidence" in whole.columns else None)
