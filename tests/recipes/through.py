"""Made records through the data half of a shipped recipe: its own format, its own operators, in its own order.

Nothing of a recipe is written again in a test. Steps that an operator names (`policy: base`) are bound to folders that
the test gives; operators whose model is of no interest to a test may be left out by name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.artifact import Surroundings, bind, hash_file
from curation.conversation import AnyRow
from curation.ledger import Ledger, Reading
from curation.operator import Operator
from curation.pipeline import curate
from curation.sources.intake import Intake
from rlhf.recipe.load import load

RECIPES = Path(__file__).parents[2] / "recipes"


@dataclass(frozen=True)
class Through:
    """What came of the records."""

    readings: list[Reading]
    read: list[AnyRow]
    """As the recipe's format made them."""
    kept: list[AnyRow]
    dropped: list[tuple[AnyRow, str, str]]
    """(row, operator, reason)."""
    ledger: Ledger

    def reasons(self) -> dict[tuple[str, str], int]:
        """(operator, reason) -> rows; `ingest` for records that gave none."""
        found = Counter((operator.partition("(")[0], reason) for _, operator, reason in self.dropped)
        for reading in self.readings:
            for reason, n in reading.malformed.items():
                found["ingest", reason] += n
        return dict(found)

    def of(self, id: str) -> list[AnyRow]:
        """The kept rows of the record with this id of its own."""
        return [row for row in self.kept if row.meta.get("id") == id]


def through(
    recipe: str,
    records: Sequence[Any] | str,
    folder: Path,
    *,
    chats: str = "chats",
    curated: str = "curated",
    entry: int = 0,
    steps: Mapping[str, Path] | None = None,
    without: Collection[str] = (),
    settings: Mapping[str, Any] | None = None,
) -> Through:
    """Reads the records in the place of a data set of the recipe, and curates them as the recipe does.

    Args:
        recipe: Name of a shipped recipe.
        records: Records, or the text of a file.
        chats, curated: Names of the ingest and the curate step.
        entry: Which of the data sets of `chats` the records take the place of.
        steps: Step -> folder, for operators that read one.
        without: Operators to leave out.
        settings: What else is set, as on the command line.
    """
    file = folder / f"{chats}.jsonl"
    lines = records if isinstance(records, str) else "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records)
    file.write_text(lines, encoding="utf-8")
    loaded = load(recipe, sets={k: str(v) for k, v in (settings or {}).items()})
    ingest: Any = loaded.steps[chats]
    written = ingest.datasets[entry]
    bare = written.model_copy(update={"path": type(written.path)(str(file)), "data_files": None, "data_dir": None})
    bound = bind(bare, Surroundings(folder, hash_file))
    intake = Intake([bound], ingest.rows)
    rows = [row for _, batch in intake.rows() for row in batch]
    done = curate(rows, operators(loaded.steps[curated], steps or {}, without))
    lost = done.dropped.frame().select("dropped_by", "reason").iter_rows()
    return Through(
        list(intake.ledger.readings),
        rows,
        done.kept.rows(),
        [(row, *why) for row, why in zip(done.dropped.rows(), lost, strict=True)],
        done.ledger,
    )


def operators(step: Any, steps: Mapping[str, Path], without: Collection[str] = ()) -> list[Operator]:
    """A curate step's operators, with the steps that they name bound to folders."""
    around = Surroundings(RECIPES, hash_file, {name: (folder, folder.name) for name, folder in steps.items()})
    return [bind(operator, around) for operator in step.operators if operator.op not in without]


def chat(id: str, *said: str) -> dict[str, Any]:
    """A ShareGPT record: the human first, then in turn."""
    turns = [{"from": "gpt" if i % 2 else "human", "value": text} for i, text in enumerate(said)]
    return {"id": id, "conversations": turns}


def template(micro: Path, name: str) -> Any:
    """The chat template of this name, over the micro model's tokenizer."""
    from transformers import AutoTokenizer

    from curation.models import ChatTemplate

    tokenizer = AutoTokenizer.from_pretrained(micro)
    tokenizer.chat_template = (RECIPES / "templates" / f"{name}.jinja").read_text()
    return ChatTemplate(tokenizer)
