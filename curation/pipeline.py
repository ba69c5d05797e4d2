"""`curate(rows, operators)`: rows in, what stays and what goes out, with a ledger that accounts for every row.

Works on rows in memory and on data sets in folders, with no recipe and no store:

    from curation.operators.turns import Turns
    from curation.operators.words import Words
    from curation.operators.keep import Keep

    curated = curate(conversations, [Turns(min=2), Words(), Keep(condition="words >= 16")])
    for row in curated.kept.rows(): ...
    curated.ledger.dropped()          # {"turns: too_few_turns": 3, "keep(words >= 16): low_words": 12}

Nothing here imports Polars before rows are touched, so recipes are checked fast.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from curation.artifact import identity
from curation.conversation import AnyRow, canonical_json
from curation.engines import ScoreCache
from curation.errors import RecipeError, UserError, did_you_mean
from curation.ledger import Ledger
from curation.operator import Filter, Operator, Scorer, Selector
from curation.progress import SILENT, Progress

if TYPE_CHECKING:
    import polars as pl

    from curation.engines.local import Input, Outcome

__all__ = ["Curated", "Engine", "Kept", "Misuse", "ScoreCache", "advice", "check_operators", "curate", "scores_made"]

FORMAT = 1
"""Raised when a work folder left by older code must not be used."""

_CHATS: dict[str, tuple[str, ...]] = {
    "conversations": ("prompt",),
    "candidates": ("prompt", "reply"),
    "preferences": ("prompt", "chosen", "rejected"),
}
"""Kind of rows -> what `on` may say."""


class Engine(Protocol):
    """Runs operators over data sets; `curation.engines.local.Local` is one."""

    def run(
        self,
        inputs: Sequence[Input],
        operators: Sequence[Operator],
        work: Path,
        scores: ScoreCache | None = None,
        progress: Progress = SILENT,
    ) -> Outcome: ...


class Kept:
    """Rows on the disk, in batches, that can be looked at whole or one batch after the other."""

    def __init__(self, paths: Sequence[Path], empty: pl.DataFrame, folder: object = None) -> None:
        self._paths, self._empty = list(paths), empty
        self._folder = folder  # a temporary folder lives as long as this

    def frames(self) -> Iterator[pl.DataFrame]:
        """The batches, mapped from the disk; one without rows at least."""
        from curation.spilled import mapped

        yield self._empty
        yield from map(mapped, self._paths)

    def frame(self) -> pl.DataFrame:
        """All rows at once, sorted by (id, origin)."""
        from curation.frame import in_order
        from curation.table import concat

        return in_order(concat(self.frames()))

    def rows(self) -> list[Any]:
        """All rows as `Conversation`, `Candidates` or `Preference`, sorted by (id, origin)."""
        from curation.frame import to_rows

        return to_rows(self.frame())

    def write(self, folder: Path) -> int:
        """Writes them as a data set; returns how many there are."""
        from curation.table import write_spilled

        return write_spilled(folder, self._paths, self._empty)

    def __len__(self) -> int:
        return sum(len(frame) for frame in self.frames())


@dataclass(frozen=True)
class Curated:
    """What `curate` came to. `kept` and `dropped` live as long as this (in a work folder of yours: as long as it)."""

    kept: Kept
    dropped: Kept
    """Rows as they were when they were dropped, with `dropped_by` (the operator's title), `reason` and `evidence`."""
    ledger: Ledger


def curate(
    rows: Iterable[AnyRow] | pl.DataFrame | Path | Sequence[Input],
    operators: Sequence[Operator],
    *,
    engine: Engine | None = None,
    work: Path | None = None,
    scores: ScoreCache | None = None,
    progress: Progress = SILENT,
) -> Curated:
    """Runs the operators over the rows, in order.

    Args:
        rows: Rows or a frame in memory, the folder of a data set, or several as (folder, part or None); of one kind.
        engine: Where it runs; default this machine.
        work: Folder for what is under way. A run that was killed goes on from it when it is called with the same
            arguments; with others it starts anew. None: a temporary one.
        scores: Cache of model scores that outlives the run.
        progress: Hears how it goes on.

    Raises:
        RecipeError: the operators do not fit the rows or one another.
        UserError: there are no rows to read, or an operator broke a rule of its kind.
    """
    import polars as pl

    from curation import table
    from curation.engines.local import Local
    from curation.frame import DROPPED, SCORES

    folder = _Folder(work)
    inputs = _inputs(rows, folder.path)
    heads = [table.scan(place).limit(0).collect() for place, _ in inputs]
    kinds = {table.kind_name(head) for head in heads}
    if len(kinds) != 1:
        raise UserError(
            f"the data sets are of different kinds: {', '.join(sorted(kinds))}",
            hint="curate each in a step of its own",
        )
    known = {c.removeprefix(SCORES) for head in heads for c in head.columns if c.startswith(SCORES)}
    if found := check_operators(operators, kinds.pop(), known):
        raise RecipeError("; ".join(m.what for m in found), hint="; ".join(m.hint for m in found))
    engine = engine or Local()
    stages = folder.path / "stages"
    _start_over_unless_same(stages, [inputs, [_named(o) for o in operators], repr(engine)])
    outcome = engine.run(inputs, operators, stages, scores, progress)
    ledger = Ledger(entries=outcome.entries)
    if problems := ledger.problems():
        raise RuntimeError("rows are not accounted for: " + "; ".join(problems))
    empty = table.concat(heads)
    lost = empty.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in DROPPED.items())
    return Curated(Kept(outcome.kept, empty, folder), Kept(outcome.dropped, lost, folder), ledger)


class _Folder:
    """A work folder: the caller's, or a temporary one that goes with the last object that needs it."""

    def __init__(self, path: Path | None) -> None:
        self.path = path or Path(tempfile.mkdtemp(prefix="curate-"))
        self.path.mkdir(parents=True, exist_ok=True)
        if path is None:
            weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def _inputs(rows: Iterable[AnyRow] | pl.DataFrame | Path | Sequence[Input], work: Path) -> list[Input]:
    """Folders of data sets; what is in memory is written to one."""
    import polars as pl

    from curation import table
    from curation.frame import to_frame

    if isinstance(rows, Path):
        return [(rows, None)]
    if not isinstance(rows, pl.DataFrame):
        given: list[Any] = list(rows)
        if not given:
            raise UserError("there are no rows to curate", hint="give a frame, which knows its columns, or a data set")
        if isinstance(given[0], tuple):
            return given
        rows = to_frame(given, type(given[0]))
    folder = work / f"given-{hashlib.sha256(_content(rows)).hexdigest()[:32]}"
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        table.write(part, rows)
        part.rename(folder)
    return [(folder, None)]


def _content(frame: pl.DataFrame) -> bytes:
    from curation.frame import row_hashes

    return "".join(row_hashes(frame).sort()).encode() + repr(frame.columns).encode()


def _named(operator: Operator) -> list[Any]:
    return [f"{type(operator).__module__}.{type(operator).__qualname__}", identity(operator)]


def _start_over_unless_same(work: Path, what: list[Any]) -> None:
    """Empties a work folder that other rows, operators or batches left behind."""
    from curation.table import shards

    inputs, *rest = what
    files = [(str(p), p.stat().st_size, p.stat().st_mtime_ns, part) for place, part in inputs for p in shards(place)]
    job = canonical_json([FORMAT, files, *rest])
    noted = work / "job.json"
    if noted.exists() and noted.read_text(encoding="utf-8") == job:
        return
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    part = noted.with_suffix(".part")
    part.write_text(job, encoding="utf-8")
    part.rename(noted)


@dataclass(frozen=True)
class Misuse:
    """What is wrong with one operator of a list, known without any row."""

    index: int
    """Its place in the list."""
    what: str
    hint: str = ""


def check_operators(
    operators: Sequence[Operator], row_kind: str, known_scores: Collection[str] | None = None
) -> list[Misuse]:
    """Everything about a list of operators that can be seen without rows. Imports no Polars.

    Args:
        row_kind: `conversations`, `candidates` or `preferences`.
        known_scores: Names of the scores that the rows have already. None: not known, then a score that nobody makes
            is taken to be there.
    """
    found: list[Misuse] = []
    made: dict[str, int] = {}
    for i, operator in enumerate(operators):
        found += [Misuse(i, what, hint) for what, hint in _misfits(operator, row_kind)]
        for name in sorted(operator.reads() - set(made)):
            later = [o.title for o in operators[i + 1 :] if name in o.writes()]
            if later and name not in (known_scores or ()):
                what = f"{operator.title} needs the score {name!r}, which {later[0]} makes after it"
                found.append(Misuse(i, what, f"move {later[0]} up"))
            elif known_scores is not None and name not in known_scores:
                hint = did_you_mean(name, {*made, *known_scores}) or f"add an operator before it that makes {name!r}"
                found.append(Misuse(i, f"{operator.title} needs the score {name!r}, which nothing makes", hint))
        for name in sorted(operator.writes()):
            if name in made:
                first = operators[made[name]].title
                what = f"{operator.title} makes the score {name!r}, which {first} made before it"
                found.append(Misuse(i, what, "give one of them another name: `as: NAME`"))
            made[name] = i
    return found


def advice(operators: Sequence[Operator]) -> list[str]:
    """What is allowed and probably not meant, as far as the settings tell. Imports no Polars."""
    from curation.operators.detection import UNSPACED
    from curation.operators.embedded import Embeds
    from curation.operators.language import Language
    from curation.operators.length import Length
    from curation.operators.words import Words

    kept = {code for operator in operators if isinstance(operator, Language) for code in operator.keep}
    unspaced = sorted(kept & UNSPACED)
    bounds = [o for o in operators if isinstance(o, Length) and (o.min_words or o.max_words)]
    counting = dict.fromkeys(o.title for o in (*(o for o in operators if isinstance(o, Words)), *bounds))
    others = sorted(kept - {"en"})
    offline = [o.title for o in operators if others and isinstance(o, Embeds) and o.embeds and o.embedding is None]
    english = [
        f"{title} compares texts by wordllama, which knows English best, and `language` keeps {', '.join(others)}: "
        "name an `embedding` that knows them, such as minishlab/potion-multilingual-128M"
        for title in dict.fromkeys(offline)
    ]
    return english + [
        f"{title} counts words, and `language` keeps {', '.join(unspaced)}, written without spaces: there each letter "
        "counts as a word, and a bound made for English is a few times too low; count `tokens`, or bound characters "
        "for these languages apart"
        for title in (counting if unspaced else ())
    ]


def scores_made(operators: Sequence[Operator]) -> set[str]:
    """Names of the scores that the operators add."""
    return {name for operator in operators for name in operator.writes()}


def _misfits(operator: Operator, row_kind: str) -> Iterator[tuple[str, str]]:
    """Why an operator cannot work on rows of this kind: (what, hint)."""
    name, allowed = operator.op, _CHATS[row_kind]
    ways = " or ".join(f"`on: {a}`" for a in allowed)
    if operator.on is None:
        if row_kind in operator.rows:
            return
        if not operator.takes_on:
            yield (
                f"{name} works on whole chats, and {row_kind} hold several",
                "take it out, or put it before they are made",
            )
        elif "conversations" in operator.rows:
            yield f"{name} works on chats, and {row_kind} hold several", f"say which it means: {ways}"
        else:
            yield f"{name} works on {' and '.join(sorted(operator.rows))}, not on {row_kind}", "take it out"
    elif "conversations" not in operator.rows or (isinstance(operator, Filter) and operator.reads()):
        yield f"{name} looks at the whole row and takes no `on`", f"remove `on: {operator.on}`"
    elif operator.on not in allowed:
        yield f"{name}: {row_kind} have no {operator.on!r}", f"here it may be {ways}"
    elif operator.on == "reply" and isinstance(operator, Scorer | Selector):
        what = f"{name} on each reply would give a row several answers"
        yield what, "only filters and mappers take `on: reply`; `compare` scores the answers of candidates"
