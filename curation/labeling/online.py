"""One look at an Argilla server: take in what people said, say what still lacks, and put up records for it.

As with forms (`curation.labeling.rounds`), what people said goes into the log before anything else is decided, page by
page as it comes. Every data set that this step ever made is read, so that nothing said under earlier settings is left
behind. An answer that someone took back in the UI is withdrawn; one whose record, data set or author is gone from the
server stays as it is in the log, for nobody took it back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from curation.conversation import digest
from curation.labeling.argilla import LONGEST_GUIDELINES, SUGGESTED, Board, Connection, form_of
from curation.labeling.log import Book, Given, Log
from curation.labeling.question import WITHDRAWN, Question
from curation.labeling.rounds import Round, Terms, counted, stranded
from curation.labeling.tasks import Asked, nearly_done


def board_name(name: str, question: Question, guidelines: str, *, suggested: bool = False) -> str:
    """What a step's data set is called: after the step, and after all that makes it another question."""
    mark = digest("board", question.name, question.under(guidelines), *question.board())[:8]
    return f"{name}-{mark}{SUGGESTED if suggested else ''}"


def boards_of(name: str) -> re.Pattern[str]:
    """Names of the data sets that a step of this name can have made."""
    return re.compile(rf"{re.escape(name)}-[0-9a-f]{{8}}({SUGGESTED})?")


def look(
    asked: Asked,
    connection: Connection,
    log: Log,
    terms: Terms,
    name: str,
    guidelines: str,
    *,
    warn: Callable[[str], None] = lambda text: None,
) -> tuple[Round, str]:
    """Pulls, counts, and pushes what lacks answers.

    Args:
        name: Of the step; its data sets are called after it.
        guidelines: What people read beside the records.
        warn: Is told what would not count any more, before anything is put up.

    Returns:
        Where the asking stands, and the address where people answer.
    """
    if len(guidelines) > LONGEST_GUIDELINES:
        missing = len(guidelines) - LONGEST_GUIDELINES
        warn(f"Argilla shows {LONGEST_GUIDELINES:,} characters of guidelines; the last {missing:,} are not seen there")
    book = Book(log)
    names = connection.people()
    there: dict[str, set[str]] = {}
    problems: list[str] = []
    for board in connection.boards(boards_of(name)):
        there[board.name] = pull(board, book, names, problems)
    now = counted(asked, book, terms)
    now.problems = problems
    now.stranded = stranded(asked, book, terms, (code for codes in there.values() for code in codes))
    for text in now.stranded.warnings():
        warn(text)
    return now, " and ".join(_put_up(asked, now, connection, book, terms, name, guidelines, there))


def pull(board: Board, book: Book, names: dict[str, str], problems: list[str]) -> set[str]:
    """Takes in what people say on a board; gives the codes of all its records. A page is on the disk before the next
    one is asked for.
    """
    codes: set[str] = set()
    unclear: set[tuple[str, str]] = set()
    now: set[tuple[str, str]] = set()
    for page in board.pages(book.known, names):
        book.take(page.given)
        codes |= page.codes
        unclear |= page.unclear
        now |= {(g.form, g.shown.code) for g in page.given}
        problems += page.problems
    book.take(list(_taken_back(board, book, codes, now | unclear, set(names.values()))))
    return codes


def _taken_back(
    board: Board, book: Book, codes: set[str], now: set[tuple[str, str]], people: set[str]
) -> Iterable[Given]:
    """Answers of this board that stand in the log and are no longer on the server, though record and person are."""
    for (form, record), line in book.last(form_of(board.name, "")).items():
        here = record in codes and record in book.known and line["annotator"] in people
        if here and line["verdict"] != WITHDRAWN and (form, record) not in now:
            yield Given(book.known[record], line["annotator"], WITHDRAWN, "", form, board.suggests)


def _put_up(
    asked: Asked,
    now: Round,
    connection: Connection,
    book: Book,
    terms: Terms,
    name: str,
    guidelines: str,
    there: dict[str, set[str]],
) -> list[str]:
    """The addresses of the boards with records that still lack an answer, after those that are in none were added."""
    out = [book.known[code].item.id for codes in there.values() for code in codes if code in book.known]
    pending = nearly_done(now.missing, now.wanted - now.answered, out)
    urls: dict[str, bool] = {}
    for question in asked.questions:
        called = board_name(name, question, terms.guidelines, suggested=bool(asked.suggested))
        items = (asked.items[i] for i in pending if asked.items[i].question == question)
        shown = sorted((item.shown(0, terms.guidelines) for item in items), key=lambda s: s.code)
        if not shown and called not in there:
            continue
        board = connection.board(called, question, guidelines, terms.min_submitted)
        book.show(shown)  # first, so that every code on a server is known
        board.push([s for s in shown if s.code not in there.get(called, ())], asked.suggested)
        urls[board.url] = bool(shown)
    return [url for url, open_ in urls.items() if open_] or list(urls)
