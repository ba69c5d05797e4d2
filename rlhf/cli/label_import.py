"""`rlhf label import`: labels that already lie in an Argilla data set, which somebody else made, as rows of ours."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rlhf.cli import flags, label_pull, label_reach


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    parser.add_argument("--dataset", metavar="NAME", required=True, help="the data set's name in Argilla")
    parser.add_argument("--prompt", metavar="FIELD", help="the field of the prompt (default: told by its name)")
    parser.add_argument(
        "--answers", metavar="FIELD,FIELD", help="the fields of the answers (default: told by their names)"
    )
    parser.add_argument("--question", metavar="NAME", help="the only question that counts (default: what can be read)")
    parser.add_argument(
        "--out", metavar="DIR", help="folder of the data set that is made; without it, answers are kept"
    )
    parser.set_defaults(now=True)  # what was said is all that there will be
    label_reach.add_flags(parser)
    flags.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """0 when the labels are kept, and the data set is written where --out says so."""
    from curation.errors import UserError
    from curation.labeling import foreign
    from curation.labeling.argilla import Server
    from curation.labeling.log import Book
    from curation.ledger import in_words
    from rlhf.cli import folder
    from rlhf.recipe.asking import Asking, name_of
    from rlhf.recipe.caches import Labels
    from rlhf.recipe.overrides import changes
    from rlhf.recipe.profiles import load_profile

    if args.out:
        folder.refuse_others(Path(args.out).expanduser())
    store = label_reach.open_store(args)
    profile, _ = load_profile(args.profile, changes(label_reach.sets(args, store)))
    connection = Server.of(profile.labeling.api_url, profile.labeling.workspace).connect()
    source = foreign.Foreign.of(connection, args.dataset)
    answers = [name.strip() for name in args.answers.split(",")] if args.answers else []
    taken = foreign.understood(
        source.fields, source.questions, prompt=args.prompt, answers=answers, question=args.question
    )
    for line in taken.told:
        print(line, file=sys.stderr)
    name = name_of(args.dataset)
    settings, digest = _guidelines(store.root / "labeling" / "imported", name, source.guidelines)
    found = foreign.imported(taken, source.records(), source.board, connection.people(), digest)
    book = Book(Labels(store.root / "labels"))
    book.show(g.shown for g in found.given)
    new = book.take(found.given)
    if not found.given:
        left = in_words(found.left_out)
        raise UserError(f"nobody has answered anything in {args.dataset!r} that can be read", hint=left)
    rows = store.root / "labeling" / "imported" / f"{name}.jsonl"
    rows.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in found.records), encoding="utf-8")
    if taken.kind == "rating":
        settings["aspects"] = dict.fromkeys(taken.aspects.values(), "")
    people: dict[str, set[str]] = {}
    for g in found.given:
        people.setdefault(g.shown.item.id, set()).add(g.annotator)
    settings |= {"min_submitted": max(map(len, people.values())), "max_answers": sum(map(len, people.values()))}
    form = "messages" if taken.kind == "rating" else "ratings"
    asking = Asking(name, taken.asks, str(rows.absolute()), None, form, settings)
    asking.keep(store)
    left = "".join(f", {n:,} {word}" for word, n in sorted(found.left_out.items()))
    print(f"{len(found.records):,} records, {len(found.given):,} answers, {new:,} of them new{left}", file=sys.stderr)
    return label_pull.write(asking, store, args, ["profile.labeling.backend=file"])


def _guidelines(place: Path, name: str, text: str) -> tuple[dict[str, object], str]:
    """Settings and digest of what people went by, kept as a file."""
    from curation.artifact import hash_file

    place.mkdir(parents=True, exist_ok=True)
    if not text.strip():
        return {}, ""
    path = place / f"{name}.md"
    path.write_text(text, encoding="utf-8")
    return {"guidelines": str(path.absolute())}, hash_file(path)
