"""Runs: what is done is skipped, what changed runs, people are waited for, and a kill costs what was under way."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the child process imports the steps from here

import toy_steps as toys

from curation.artifact import Evaluation, Ref, pointers
from curation.errors import RecipeError
from rlhf.recipe.load import Budget, LoadedRecipe
from rlhf.recipe.plan import plan
from rlhf.recipe.profile import Labeling, Profile
from rlhf.recipe.run import Choice, Listener, Outcome, RunResult, run
from rlhf.recipe.step import Step
from rlhf.recipe.store import Store


def recipe(here: Path, budget: Budget | None = None, **steps: Step) -> LoadedRecipe:
    edges = {n: tuple(p for _, p, _ in pointers(s) if isinstance(p, Ref)) for n, s in steps.items()}
    return LoadedRecipe(
        name="toy",
        path=here / "toy.yaml",
        here=here,
        seed=0,
        budget=budget or Budget(),
        steps=steps,
        kinds=dict.fromkeys(steps, Evaluation),
        edges=edges,
        order=tuple(steps),
        profile=Profile(),
    )


def states(result: RunResult) -> dict[str, str]:
    return {n: o.state for n, o in result.outcomes.items()}


def value(result: RunResult, name: str) -> Any:
    return result.manifests[name].metrics["n"]


def test_a_second_run_runs_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    toy = recipe(tmp_path, a=toys.Add(plus=2), b=toys.Add(data=["a"], plus=3))
    first = run(toy, store)
    assert (states(first), value(first, "b"), first.exit_code) == ({"a": "done", "b": "done"}, 5, 0)
    assert states(run(toy, store)) == {"a": "cached", "b": "cached"}


def test_a_change_that_changes_no_output_stops_there(tmp_path: Path) -> None:
    store, trace = Store(tmp_path / "store"), tmp_path / "trace"

    def toy(plus: int) -> LoadedRecipe:
        return recipe(
            tmp_path,
            a=toys.Add(plus=plus, grain=10, trace=str(trace)),
            b=toys.Add(data=["a"], trace=str(trace)),
        )

    run(toy(12), store)
    planned = {p.name: p for p in plan(toy(17), store)}
    assert planned["a"].state == "runs" and "plus 12 -> 17" in planned["a"].why
    assert planned["b"].state == "unknown"
    run(toy(17), store)  # 17 // 10 * 10 is 10 again
    assert trace.read_text().split() == ["a", "b", "a"]


def test_a_file_counts_by_its_content(tmp_path: Path) -> None:
    store, file = Store(tmp_path / "store"), tmp_path / "in.txt"
    toy = recipe(tmp_path, a=toys.Add(file="in.txt"))
    file.write_text("4")
    assert value(run(toy, store), "a") == 4
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (moved / "in.txt").write_text("4")
    assert states(run(recipe(moved, a=toys.Add(file="in.txt")), store)) == {"a": "cached"}
    file.write_text("55")
    assert value(run(toy, store), "a") == 55


def test_a_missing_file_names_the_step(tmp_path: Path) -> None:
    result = run(recipe(tmp_path, a=toys.Add(file="no.txt")), Store(tmp_path / "store"))
    assert result.outcomes["a"].state == "failed" and "step 'a'" in result.outcomes["a"].message


def test_waiting_lets_other_branches_go_on_and_the_next_run_goes_on(tmp_path: Path) -> None:
    store, form = Store(tmp_path / "store"), tmp_path / "form"
    toy = recipe(tmp_path, ask=toys.AskPeople(form=str(form)), then=toys.Add(data=["ask"]), other=toys.Add(plus=1))
    first = run(toy, store)
    assert states(first) == {"ask": "waiting", "then": "skipped", "other": "done"}
    assert first.exit_code == 3 and first.outcomes["ask"].message == "0 of 1 answered"
    form.write_text("7")
    second = run(toy, store)
    assert states(second) == {"ask": "done", "then": "done", "other": "cached"} and second.exit_code == 0


class Person(Listener):
    """Someone who makes a mess of the form when asked, and puts it right when told."""

    def __init__(self, form: Path) -> None:
        self.form = form
        self.heard: list[tuple[str, str, str]] = []

    def ended(self, name: str, outcome: Outcome) -> None:
        self.heard.append((name, outcome.state, outcome.message))
        if name == "ask" and outcome.state == "waiting":
            if self.form.is_dir():
                self.form.rmdir()
                self.form.write_text("7")
            else:
                self.form.mkdir()  # a folder cannot be read: this look fails


def test_a_watched_run_stays_while_people_answer_bears_a_failed_look_and_goes_on_by_itself(tmp_path: Path) -> None:
    store, form = Store(tmp_path / "store"), tmp_path / "form"
    toy = recipe(tmp_path, ask=toys.AskPeople(form=str(form)), then=toys.Add(data=["ask"]), other=toys.Add(plus=1))
    toy = dataclasses.replace(toy, profile=Profile(labeling=Labeling(poll_s=0.1)), budget=Budget(hours=1))
    person = Person(form)
    result = run(toy, store, listener=person, watch=True)
    assert states(result) == {"ask": "done", "then": "done", "other": "done"} and result.exit_code == 0
    assert [(name, state) for name, state, _ in person.heard] == [
        ("ask", "waiting"),
        ("then", "skipped"),
        ("other", "done"),
        ("ask", "waiting"),
        ("ask", "done"),
        ("then", "done"),
    ]
    assert person.heard[3][2].endswith("; trying again")


def test_a_watched_run_gives_up_when_looking_keeps_failing(tmp_path: Path) -> None:
    class Away(Person):
        def ended(self, name: str, outcome: Outcome) -> None:
            self.heard.append((name, outcome.state, outcome.message))
            self.form.mkdir(exist_ok=True)

    toy = recipe(tmp_path, ask=toys.AskPeople(form=str(tmp_path / "form")))
    toy = dataclasses.replace(toy, profile=Profile(labeling=Labeling(poll_s=0.1)))
    person = Away(tmp_path / "form")
    result = run(toy, Store(tmp_path / "store"), listener=person, watch=True)
    assert states(result) == {"ask": "failed"} and result.exit_code == 1
    assert [state for _, state, _ in person.heard] == ["waiting", "waiting", "failed"], "said once, not at every look"


def test_a_gate_is_tested_on_cached_metrics_too_and_stops_what_depends_on_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    def toy(require: str) -> LoadedRecipe:
        return recipe(tmp_path, a=toys.Add(plus=2, require=require), b=toys.Add(data=["a"]), c=toys.Add(plus=9))

    for _ in range(2):
        result = run(toy("n > 2"), store)
        assert result.exit_code == 4 and states(result)["a"] == "gated" and states(result)["b"] == "skipped"
    assert states(run(toy("n >= 2"), store)) == {"a": "cached", "b": "done", "c": "cached"}


@pytest.mark.parametrize(
    ("how", "said", "hint"),
    [
        ("user", "rows.jsonl, record 3: the rows are wrong", "mend record 3"),
        ("bug", "ZeroDivisionError", ""),
        ("disk", "is full", "free some space"),
        ("ledger", "turns: 3 made + 0 children, but 1 kept + 1 dropped + 0 replaced", ""),
    ],
)
def test_a_failure_says_what_where_and_what_next_and_leaves_nothing_half_done(
    tmp_path: Path, how: Any, said: str, hint: str
) -> None:
    store = Store(tmp_path / "store")
    result = run(recipe(tmp_path, a=toys.Add(plus=1), b=toys.Break(how=how), c=toys.Add(plus=2)), store)
    assert result.exit_code == 1 and states(result) == {"a": "done", "b": "failed", "c": "skipped"}
    assert said in result.outcomes["b"].message and hint in result.outcomes["b"].hint
    assert (result.outcomes["b"].trace is not None) == (how == "bug")
    assert len(list((store.root / "artifacts").iterdir())) == 1


def test_a_killed_child_is_a_clear_failure_and_the_next_run_goes_on(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    toy = recipe(tmp_path, a=toys.Counted(kill_at=3), b=toys.Add(data=["a"]))
    first = run(toy, store)
    assert first.exit_code == 1 and "SIGKILL" in first.outcomes["a"].message
    second = run(toy, store)
    assert states(second) == {"a": "done", "b": "done"}
    assert second.manifests["a"].resumed == 1 and value(second, "a") == 5


def test_redo_runs_a_step_that_is_done(tmp_path: Path) -> None:
    store, trace = Store(tmp_path / "store"), tmp_path / "trace"
    toy = recipe(tmp_path, a=toys.Add(plus=1, trace=str(trace)), b=toys.Add(data=["a"], trace=str(trace)))
    run(toy, store)
    assert states(run(toy, store, choice=Choice(redo=frozenset({"a"})))) == {"a": "done", "b": "cached"}
    assert trace.read_text().split() == ["a", "b", "a"]


def test_only_from_and_until_choose_steps(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    toy = recipe(tmp_path, a=toys.Add(plus=1), b=toys.Add(data=["a"]), c=toys.Add(data=["b"], plus=1))
    assert states(run(toy, store, choice=Choice(only="b"))) == {"a": "skipped", "b": "skipped", "c": "skipped"}
    assert states(run(toy, store, choice=Choice(until="b"))) == {"a": "done", "b": "done", "c": "skipped"}
    assert states(run(toy, store, choice=Choice(from_="c"))) == {"a": "cached", "b": "cached", "c": "done"}
    with pytest.raises(RecipeError, match="no step 'bb'"):
        run(toy, store, choice=Choice(only="bb"))


def test_the_budget_of_hours_stops_a_step_under_way(tmp_path: Path) -> None:
    toy = recipe(tmp_path, Budget(hours=8 / 3600), a=toys.Break(how="hang"))
    store = Store(tmp_path / "store")
    result = run(toy, store)
    assert result.exit_code == 1 and "budget" in result.outcomes["a"].message
    assert "going to hang" in store.log(str(result.outcomes["a"].key)).read_text()


def test_two_stores_agree_on_every_digest(tmp_path: Path) -> None:
    toy = recipe(tmp_path, a=toys.Add(plus=2), b=toys.Add(data=["a"], plus=3))
    one, two = (run(toy, Store(tmp_path / name)) for name in ("one", "two"))
    assert {n: m.output.digest for n, m in one.manifests.items()} == {
        n: m.output.digest for n, m in two.manifests.items()
    }


def test_the_run_leaves_a_record(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    result = run(recipe(tmp_path, a=toys.Add(plus=2), b=toys.Break(how="user")), store)
    found = store.last_run("toy")
    assert found is not None and found[0] == result.record
    assert {n: s["state"] for n, s in found[1]["steps"].items()} == {"a": "done", "b": "failed"}
    assert found[1]["exit_code"] == 1


def test_a_gate_that_cannot_be_read_holds_back_what_depends_on_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    toy = recipe(tmp_path, a=toys.Add(plus=2, require="n >>> 2"), b=toys.Add(data=["a"]))
    result = run(toy, store)
    assert result.exit_code == 4 and states(result) == {"a": "gated", "b": "skipped"}
    assert "cannot be tested" in result.outcomes["a"].message
