"""What people see of a run: every step a line, in a terminal of any size, and plain text elsewhere."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
import toy_steps as toys
from rich.console import Console

from rlhf.recipe.headline import duration, figure, headline, interval, size
from rlhf.recipe.load import Budget, LoadedRecipe
from rlhf.recipe.manifest import Made, Manifest
from rlhf.recipe.profile import Profile
from rlhf.recipe.run import Outcome
from rlhf.recipe.screen import Screen
from rlhf.recipe.view import Gauge, Log, view


def recipe(*names: str) -> LoadedRecipe:
    return LoadedRecipe(
        name="toy",
        path=Path("toy.yaml"),
        here=Path(),
        seed=0,
        budget=Budget(),
        steps={name: toys.Add() for name in names},
        kinds={},
        edges={},
        order=names,
        profile=Profile(),
    )


def manifest(rows: int | None = None, kind: str = "conversations", **more: object) -> Manifest:
    made = Made(kind=kind, digest="d" * 64, rows=rows, bytes=2_000_000)
    return Manifest.model_validate({"key": "k", "step": "s", "name": "n", "settings": {}, "output": made, **more})


def screen(width: int = 80, height: int = 24) -> tuple[Screen, Console]:
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False
    )
    return still(Screen(console)), console


def still(shown: Screen) -> Screen:
    """The screen without the thread that redraws it, which would draw into what a test looks at."""
    shown._live.auto_refresh = False
    return shown


def drawn(view: Screen, console: Console) -> list[str]:
    with console.capture() as caught:
        console.print(view._drawn())
    return caught.get().rstrip("\n").split("\n")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_every_step_is_one_line_that_fits(width: int) -> None:
    shown, console = screen(width)
    shown.begin(["chats", "a_step_with_a_very_long_name", "sft", "human", "last"], recipe("chats", "sft"))
    shown.ended("chats", Outcome("done", manifest=manifest(1204), seconds=3.2))
    shown.ended("a_step_with_a_very_long_name", Outcome("failed", "no such file " * 20, seconds=1))
    shown.started("sft")
    with shown.progress("sft").bar("training", 120, "steps") as bar:
        bar.advance(34, loss=2.3104, tokens_per_second=1234.5)
        lines = drawn(shown, console)
    shown.__exit__()
    assert len(lines) == 5 and all(len(line) <= width for line in lines)
    assert "1,204 rows" in lines[0] and lines[0].endswith("3.2 s")
    assert "34/120 steps" in lines[2] and ("━" in lines[2]) == (width > 40)
    assert ("loss 2.31" in lines[2]) == (width > 40)
    assert "last" in lines[4]


def test_a_small_window_hides_what_is_done_until_the_end() -> None:
    names = [f"step_{i}" for i in range(30)]
    shown, console = screen(height=12)
    shown.begin(names, recipe(*names))
    for name in names[:20]:
        shown.ended(name, Outcome("cached", manifest=manifest(1)))
    shown.started("step_20")
    lines = drawn(shown, console)
    assert len(lines) <= 12 and "steps before this are done" in lines[0]
    assert any("step_20" in line for line in lines)
    shown.__exit__()
    assert len(drawn(shown, console)) == 30


def test_a_terminal_without_unicode_gets_ascii() -> None:
    class Ascii(io.StringIO):
        encoding = "ascii"  # type: ignore[assignment]

    console = Console(file=Ascii(), width=80, force_terminal=True, color_system=None)
    shown = still(Screen(console))
    shown.begin(["sft"], recipe("sft"))
    shown.started("sft")
    with shown.progress("sft").bar("training", 10, "steps") as bar:
        bar.advance(5)
        assert "\n".join(drawn(shown, console)).isascii()
    shown.__exit__()


def test_text_from_a_step_is_no_markup() -> None:
    shown, console = screen()
    shown.begin(["a"], recipe("a"))
    shown.progress("a").say("[red]row[/red] [/] [link=x]")
    shown.__exit__()
    assert "[red]row[/red] [/] [link=x]" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_file_gets_a_line_for_each_event() -> None:
    out = io.StringIO()
    with view(out) as log:
        assert isinstance(log, Log)
        log.begin(["chats", "human"], recipe("chats", "human"))
        log.started("chats")
        log.progress("chats").say("warning: odd rows")
        log.ended("chats", Outcome("done", manifest=manifest(7), seconds=2.0))
        log.held("human", "process 7")
        log.ended("human", Outcome("waiting", "3 of 9 answered", "form.csv"))
    assert out.getvalue().splitlines() == [
        "chats: started",
        "chats: warning: odd rows",
        "chats: done in 2.0 s, 7 rows",
        "human: waits for process 7, which works on it too",
        "human: waiting, 3 of 9 answered: form.csv",
    ]


def test_the_rate_is_that_of_late_and_the_time_left_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run starts with a jump, which must not promise the rest at that speed."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    gauge = Gauge("training", 400, "steps")
    gauge.advance(200)
    for _ in range(60):
        now += 1
        gauge.advance(2)
    assert gauge.rate() == pytest.approx(2, rel=0.05)
    assert gauge.words()[:2] == ["320/400 steps", "40 s left"]

    file = Gauge("reading", 7_320_354, "bytes")
    for _ in range(4):
        now += 1
        file.advance(1_000_000, kept=3)
    assert file.words() == ["4.0/7.3 MB", "3 s left", "kept 3", "1.0 MB/s"]


def test_between_two_pieces_of_work_the_last_one_is_named() -> None:
    shown, console = screen()
    shown.begin(["a"], recipe("a"))
    shown.started("a")
    assert "starting" in drawn(shown, console)[0]
    with shown.progress("a").bar("near_dedup", 10):
        pass
    assert "near_dedup" in drawn(shown, console)[0] and "starting" not in drawn(shown, console)[0]
    shown.__exit__()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (manifest(1), "1 row"),
        (
            manifest(
                90,
                ledger={
                    "readings": [{"source": "a", "records": 103, "used": 100, "malformed": {"no_messages": 3}}],
                    "entries": [{"operator": "turns", "made": 100, "kept": 90, "dropped": {"one_turn": 10}}],
                },
            ),
            "90 rows (10 dropped, 3 malformed)",
        ),
        (manifest(kind="policy"), "policy, 2 MB"),
        (manifest(kind="policy", curves={"loss": [(1, 2.4142), (9, 0.98765)]}), "loss 2.41 -> 0.988"),
        (
            manifest(kind="evaluation", metrics={"dpo": {"win_rate": {"mean": 0.7711, "low": 0.7, "high": 0.83}}}),
            "win rate 0.77 [0.70, 0.83]",
        ),
        (manifest(5, kind="preferences", decided_by="people"), "5 rows, decided by people"),
        (
            manifest(
                kind="reward model",
                metrics={
                    "held_out": {
                        "accuracy": {"mean": 0.63, "low": 0.55, "high": 0.71},
                        "length_accuracy": {"mean": 0.683, "low": 0.6, "high": 0.75},
                    }
                },
            ),
            "accuracy 0.63 [0.55, 0.71], length alone 0.68",
        ),
    ],
)
def test_a_step_in_a_few_words(made: Manifest, said: str) -> None:
    assert headline(made) == said


def test_numbers_for_people() -> None:
    assert [duration(s) for s in (0.84, 9.96, 59.4, 59.6, 307.0, 7391.0, 3)] == [
        "0.8 s", "10 s", "59 s", "1:00", "5:07", "2:03:11", "3 s",
    ]  # fmt: skip
    assert [size(n) for n in (14, 93_000_000, 1_500_000_000)] == ["14 B", "93 MB", "1.5 GB"]
    assert [figure(x) for x in (0.000213, 2.3, 1234.5, 12, 1e6)] == ["0.000213", "2.30", "1,234", "12", "1,000,000"]
    assert interval({"mean": 0.5}) == "0.50" and interval({"mean": None}) == "unknown"
