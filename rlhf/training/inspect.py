"""`rlhf inspect`: a file of any format as a model would be trained on it, and everything the preflight has to say.

Nothing is trained and no weights are loaded. The first rows are shown with what is learned set apart: in colour where
the terminal has some, else between ‹ and ›.
"""

from __future__ import annotations

import json as jsonlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from transformers import AutoTokenizer, GenerationConfig

from curation.artifact import Surroundings, bind, hash_file
from curation.errors import UserError, first_line
from curation.formats import Makes
from curation.models.lineage import FILE, chain_of
from curation.models.loading import generation_config, load_tokenizer
from curation.models.pointer import OutsideModel, bind_model
from curation.models.template import ChatTemplate
from curation.progress import SILENT, Progress
from curation.registry import FORMATS, lookup
from curation.sources.dataset import Dataset
from curation.sources.files import Records
from curation.sources.intake import Intake
from rlhf.training import preflight
from rlhf.training.encoding import Encodings, for_dpo, for_sft
from rlhf.training.preflight import Findings

PAIRS = ("hh", "preference")
"""Formats whose records are pairs of answers; they could be read as chats with the better one, too."""
LEARNED, GIVEN = "bold green", "dim"
"""Styles of what is learned and what is only read."""


@dataclass
class Inspection:
    """What was found."""

    makes: str
    rows: int
    malformed: Counter[str]
    encodings: Encodings
    template: ChatTemplate
    findings: Findings
    max_length: int | None
    said: list[str] = field(default_factory=list)

    def as_json(self, shown: int) -> dict[str, Any]:
        """Everything as plain JSON."""
        tokenizer = self.template.tokenizer
        return {
            "ok": not self.findings.errors,
            "makes": self.makes,
            "rows": self.rows,
            "malformed": dict(sorted(self.malformed.items())),
            "max_length": self.max_length,
            "counts": self.encodings.counts.as_metrics(),
            "template": {
                "marks_answers": self.template.marked,
                "end_tokens": tokenizer.convert_ids_to_tokens(sorted(self.template.ends)),
                "pad_token": tokenizer.pad_token,
                "pad_is_end": tokenizer.pad_token_id in self.template.ends,
                "padding_side": tokenizer.padding_side,
            },
            "errors": [{"what": what, "hint": hint} for what, hint in self.findings.errors],
            "warnings": [*self.said, *self.findings.warnings],
            "examples": self.encodings.shown[:shown],
        }


def inspect(
    file: str,
    model: str,
    *,
    format: str | None = None,
    rows: int = 3,
    max_length: int | None = 1024,
    assistant_only_loss: bool = True,
    chat_template_path: str | None = None,
    json: bool = False,
    console: Console | None = None,
    progress: Progress = SILENT,
) -> int:
    """Prints what training on a file would look like; returns the exit code: 1 when a run would be stopped.

    Args:
        file: A file or folder here, `package:NAME/FILE`, or a data set on the Hub.
        model: A model artifact, a folder, a GGUF file, or a name on the Hub; only its tokenizer is read.
        format: Name of the file's format; None tells it by the first records.
        rows: How many rows are shown.
        max_length: Where rows would be cut; None: nowhere.
        assistant_only_loss: As in `sft`.
        chat_template_path: A template that takes the place of the model's own.
        json: Print one JSON object instead.
        console: Where it is printed.

    Raises:
        UserError: the file or the model cannot be read.
    """
    entry = data_set(file, format)  # before the model, which may have to be asked for at the Hub
    template = template_of(model, chat_template_path)
    found = look(
        entry,
        template,
        max_length=max_length,
        assistant_only_loss=assistant_only_loss,
        progress=progress,
    )
    console = console or Console(highlight=False)
    if json:
        console.file.write(jsonlib.dumps(found.as_json(rows), ensure_ascii=False, indent=1) + "\n")
    else:
        show(found, console, rows)
    return 1 if found.findings.errors else 0


def template_of(model: str, chat_template_path: str | None = None) -> ChatTemplate:
    """The chat template of a model, without its weights.

    Raises:
        UserError: there is no such model, or it has no tokenizer or template.
    """
    folder = Path(model).expanduser()
    stop = None
    if (folder / FILE).exists():
        tokenizer: Any = load_tokenizer(folder)
        stop = generation_config(chain_of(folder)[0])
    else:
        bound = bind_model(OutsideModel(model), None, Surroundings(Path.cwd(), hash_file))
        if bound.path is None:
            tokenizer, stop = _from_hub(bound)
        elif bound.path.is_dir():
            tokenizer, stop = load_tokenizer(bound.path), generation_config(bound.path)
        else:
            tokenizer = AutoTokenizer.from_pretrained(bound.path.parent, gguf_file=bound.path.name)
    if chat_template_path is not None:
        try:
            tokenizer.chat_template = Path(chat_template_path).expanduser().read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"the template {chat_template_path} cannot be read: {error.strerror}", hint="name a Jinja file"
            ) from error
    return ChatTemplate(tokenizer, stop)


def _from_hub(model: OutsideModel) -> tuple[Any, Any]:
    """(tokenizer, generation settings or None) of a model on the Hub; its weights stay there."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(model.written, revision=model.digest)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"the tokenizer of {model.written} cannot be had: {first_line(error)}",
            hint="is the name right, and the Hub in reach? A folder or a .gguf file needs no network",
        ) from error
    try:
        return tokenizer, GenerationConfig.from_pretrained(model.written, revision=model.digest)
    except OSError:  # not every model has some
        return tokenizer, None


def data_set(file: str, format: str | None = None) -> Dataset:
    """The file as an entry of a recipe would name it.

    Raises:
        UserError: there is no such file, or no such format.
    """
    entry = Dataset.model_validate({"path": file, "format": format or "auto"})
    return bind(entry, Surroundings(Path.cwd(), hash_file))


def look(
    entry: Dataset,
    template: ChatTemplate,
    *,
    max_length: int | None = 1024,
    assistant_only_loss: bool = True,
    progress: Progress = SILENT,
) -> Inspection:
    """Reads and encodes a data set.

    Raises:
        UserError: it cannot be read, or no format fits.
    """
    said: list[str] = []
    makes, found, malformed = _read(entry, said, progress)
    with progress.bar("encoding", total=len(found)) as bar:
        if makes == "conversations":
            made = for_sft(found, template, max_length=max_length, assistant_only_loss=assistant_only_loss, bar=bar)
        else:
            made = for_dpo(found, template, max_length=max_length, bar=bar)
    findings = preflight.judge(made.counts, template, max_length=max_length)
    return Inspection(makes, len(found), malformed, made, template, findings, max_length, said)


def _read(entry: Dataset, said: list[str], progress: Progress) -> tuple[str, list[Any], Counter[str]]:
    """(what the records make, the rows, malformed records by reason): what the format is made for comes first."""
    first: UserError | None = None
    order: list[Makes] = ["preferences", "conversations"] if _holds_pairs(entry) else ["conversations", "preferences"]
    for makes in [m for m in order if m in entry.format.makes]:
        intake = Intake([entry], makes, warn=said.append, progress=progress)
        try:
            rows = [row for _, batch in intake.rows() for row in batch]
        except UserError as error:
            first = first or error
            continue
        malformed: Counter[str] = Counter()
        for reading in intake.ledger.readings:
            malformed.update(reading.malformed)
            if reading.bytes_lost:
                said.append(f"{reading.source} breaks off: its last {reading.bytes_lost} bytes are lost")
        return makes, rows, malformed
    assert first is not None  # every format makes something
    raise first


def _holds_pairs(entry: Dataset) -> bool:
    """Whether a record is a pair of answers, by the format's name or by the first record."""
    if entry.format.op != "auto":
        return entry.format.op in PAIRS
    records = (r for file in entry.files()[:1] for r in Records(file.path))
    try:
        first = next((r for r in records if isinstance(r, Mapping)), {})
    except UserError:  # said better where the file is read
        return False
    return any(lookup(FORMATS, name).evidence(first) for name in PAIRS)


def show(found: Inspection, console: Console, rows: int) -> None:
    """Prints it for people."""
    for number, example in enumerate(found.encodings.shown[: rows * (1 if found.makes == "conversations" else 2)]):
        title = example.get("title", "")
        row = number if found.makes == "conversations" else number // 2
        console.rule(f"row {row + 1}" + (f", {title}" if title else ""), align="left", style="dim")
        console.print(_coloured(example["rendered"], plain=not console.color_system), soft_wrap=True)
    console.rule(style="dim")
    table = Table(box=None, show_header=False, pad_edge=False)
    lines: list[tuple[str, str]] = [(f"malformed: {r}", f"{n:,}") for r, n in sorted(found.malformed.items())]
    template, tokenizer = found.template, found.template.tokenizer
    lines += [*preflight.table(found.encodings.counts)]
    lines += [
        ("end tokens", ", ".join(tokenizer.convert_ids_to_tokens(sorted(template.ends)))),
        ("pad token", f"{tokenizer.pad_token}" + _pad_note(template)),
        ("padding", f"on the {tokenizer.padding_side}, where answers are generated"),
        ("answers", "marked by the template" if template.marked else "found by rendering turn by turn"),
    ]
    for name, value in lines:
        table.add_row(name, Text(value))
    console.print(table)
    for warning in [*found.said, *found.findings.warnings]:
        console.print(Text(f"warning: {warning}", style="yellow"), soft_wrap=True)
    for what, hint in found.findings.errors:
        console.print(Text(f"error: {what}\n  {hint}", style="red"), soft_wrap=True)
    if not found.findings.errors:
        console.print(Text("a run would start", style="green"))


def _pad_note(template: ChatTemplate) -> str:
    ends = template.tokenizer.pad_token_id in template.ends
    return " (an end token too: labels are never padding, and a reward model pads with another)" if ends else ""


def _coloured(pieces: Sequence[Any], *, plain: bool) -> Text:
    text = Text()
    for piece, learned in pieces:
        shown = f"‹{piece}›" if plain and learned else piece
        text.append(shown, style=LEARNED if learned else GIVEN)
    return text
