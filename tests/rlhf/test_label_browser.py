"""People at the real UI of the real server, and what comes of it in the recipe that asked them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from labeling_server import Server
from labeling_ui import FORM, arrives

from curation import table
from rlhf.cli import main

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]

PROMPTS = ["How far is the moon?", "What is rain?", "东京塔有多高? 👍🏽", "أين القطة؟", "Why is the sky blue?"]
PAIRS = [
    {"prompt": prompt, "responses": [f"right {n}", f"wrong {n}"], "models": ["model-x", "model-y"]}
    for n, prompt in enumerate(PROMPTS)
]
DATA = {"answers": "{step: ingest, makes: candidates, datasets: [{path: answers.jsonl, format: ratings}]}"}
CHATS = {"chats": "{step: ingest, makes: conversations, datasets: [{path: chats.jsonl, format: messages}]}"}
GUIDELINES = "# What is better\n\nPrefer what is **right**."


class Recipe:
    """A recipe in which people are asked, run as its user runs it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], server: Server, **steps: str) -> None:
        self.folder, self.capsys = folder, capsys
        self.write("answers", PAIRS)
        (folder / "guide.md").write_text(GUIDELINES, encoding="utf-8")
        lines = "".join(f"  {name}: {step}\n" for name, step in {**DATA, **steps}.items())
        (folder / "recipe.yaml").write_text(f"recipe: asked\nsteps:\n{lines}")
        (folder / "here.yaml").write_text(f"labeling: {{backend: argilla, api_url: '{server.url}'}}\n")

    def write(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Data of the recipe."""
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (self.folder / f"{name}.jsonl").write_text(text, encoding="utf-8")

    def does(self, verb: str, *words: str) -> tuple[int, dict[str, Any]]:
        """(exit code, what `--json` says of each step)."""
        here = [str(self.folder / "recipe.yaml"), "--store", str(self.folder / "store")]
        self.capsys.readouterr()
        code = main([verb, *here, *words, "--json"])
        steps: dict[str, Any] = json.loads(self.capsys.readouterr().out)["steps"]
        return code, steps

    def run(self) -> tuple[int, dict[str, Any]]:
        return self.does("run", "--profile", str(self.folder / "here.yaml"), "--no-page")

    def rows(self, step: str) -> list[Any]:
        """What a step made."""
        found: list[Any] = table.rows(Path(self.does("show")[1][step]["path"]))
        return found


@pytest.fixture
def key(labeling_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGILLA_API_KEY", labeling_server.owner.api_key)


def test_two_people_compare(
    labeling_server: Server, browser: Any, key: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ann and Bo answer five pairs: they agree, they disagree, they tie; one is discarded, one answer is changed."""
    asks = "{step: compare, data: answers, guidelines: guide.md, min_submitted: 2}"
    recipe = Recipe(tmp_path, capsys, labeling_server, human=asks)
    code, steps = recipe.run()
    step = steps["human"]
    assert (code, step["state"], step["message"]) == (3, "waiting", "0 of 10 answered")
    where = step["hint"].removesuffix("/annotation-mode")
    for name in ("ui-ann", "ui-bo"):
        labeling_server.person(name)

    ann = arrives(browser, labeling_server, "ui-ann")
    ann.page.locator("[class*=dataset-card]").filter(has_text="human").first.click()
    ann.page.locator(FORM).wait_for()
    assert ann.page.url.startswith(step["hint"])
    ann.reads_guidelines()
    ann.says("Prefer what is right.")
    ann.opens(step["hint"])
    assert ann.total() == 5
    assert "model-" not in ann.page.content(), "nobody sees who wrote an answer"

    for _ in range(5):
        number = ann.fields()["Answer A"][-1]
        if number == "2":
            with ann.answering():
                ann.page.get_by_text("equally good").click()
                ann.writes("note", "both are fine 👌")
                ann.page.get_by_role("button", name="Submit").click()
        elif number == "3":
            ann.discards()
        else:
            strokes = ann.strokes
            ann.prefers("wrong 4" if number == "4" else "right")  # the last is a slip, which she mends below
            assert ann.strokes - strokes == 2, "a decision costs two keys"
    code, steps = recipe.run()
    assert (code, steps["human"]["message"]) == (3, "5 of 10 answered")

    ann.chooses_status("submitted")
    assert ann.total() == 4
    ann.filters_by("better", "equally good")
    assert ann.total() == 1 and ann.fields()["Prompt"].endswith("东京塔有多高? 👍🏽")
    ann.opens(where + "/annotation-mode", "submitted")
    ann.searches("东京塔")
    assert ann.total() == 1 and ann.fields()["Prompt"].endswith("东京塔有多高? 👍🏽")
    ann.searches("没有")
    ann.says("no submitted records")
    ann.opens(where + "/annotation-mode", "discarded")
    assert ann.total() == 1 and "أين القطة؟" in ann.fields()["Prompt"]
    ann.opens(where + "/annotation-mode", "submitted")
    ann.leafs_to("wrong 4")
    with ann.answering(moves=False):
        ann.presses("1" if ann.side("right 4") == "A" else "2", "Enter")

    bo = arrives(browser, labeling_server, "ui-bo")
    bo.opens(where + "/annotation-mode")
    for _ in range(5):
        side = bo.side("right")
        number = bo.fields()[f"Answer {side}"][-1]
        if number == "2":
            with bo.answering():
                bo.presses("3", "Enter")
        else:
            bo.prefers({"0": "right", "1": "wrong", "3": "wrong", "4": "right"}[number])
    assert bo.strokes == 10
    code, steps = recipe.run()
    assert (code, steps["human"]["state"]) == (0, "done")

    made = {row.prompt[-1].content: row for row in recipe.rows("human")}
    said = {
        p: (r.verdict, r.chosen[0].content, r.rejected[0].content, sorted(r.meta["votes"].values()))
        for p, r in made.items()
    }
    assert said[PROMPTS[0]] == ("chosen", "right 0", "wrong 0", ["chosen", "chosen"])
    assert said[PROMPTS[4]] == ("chosen", "right 4", "wrong 4", ["chosen", "chosen"]), "what she said last counts"
    assert said[PROMPTS[3]] == ("chosen", "wrong 3", "right 3", ["chosen", "skip"])
    assert said[PROMPTS[2]][0] == "tie" and said[PROMPTS[2]][3] == ["tie", "tie"]
    assert said[PROMPTS[1]][0] == "tie" and said[PROMPTS[1]][3] == ["chosen", "rejected"]
    assert len(made) == 5
    assert not {"ui-ann", "ui-bo"} & {who for row in made.values() for who in row.meta["votes"]}, "nobody is named"
    assert ann.amiss == bo.amiss == []


def test_a_person_ranks_rates_and_reviews(
    labeling_server: Server, browser: Any, key: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Recipe(
        tmp_path,
        capsys,
        labeling_server,
        **CHATS,
        ui_rank="{step: compare, data: answers}",
        ui_rate="{step: rate, data: chats, aspects: {help: does it help, truth: is it true}}",
        ui_review="{step: review, data: chats, reasons: [wrong, unclear]}",
    )
    recipe.write(
        "answers", [{"prompt": "How far is the moon?", "responses": ["far", "384,400 km", "about 384,000 km"]}]
    )
    asked = [("What is rain?", "Water that fals."), ("Is 7 prime?", "No."), ("Name a city.", "Huế")]
    recipe.write(
        "chats", [{"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in asked]
    )
    code, steps = recipe.run()
    assert code == 3, [s.get("message") for s in steps.values()]
    assert {name: s["message"] for name, s in steps.items() if name.startswith("ui_")} == {
        "ui_rank": "0 of 1 answered",
        "ui_rate": "0 of 3 answered",
        "ui_review": "0 of 3 answered",
    }
    labeling_server.person("ui-cy")
    cy = arrives(browser, labeling_server, "ui-cy")

    cy.opens(steps["ui_rank"]["hint"])
    place = {"far": 2, "384,400 km": 1, "about 384,000 km": 1}
    cy.ranks({x: next(p for text, p in place.items() if cy.fields()[f"Answer {x}"].endswith(text)) for x in "ABC"})
    with cy.answering(moves=False):
        cy.page.get_by_role("button", name="Submit").click()

    cy.opens(steps["ui_rate"]["hint"])
    points = {"Water that fals.": ("4", "5"), "No.": ("1", "2"), "Huế": ("5", "3")}
    for _ in asked:
        last = cy.fields()["Last answer"].rpartition("\n")[2]
        strokes = cy.strokes
        with cy.answering():
            cy.presses(*points[last], "Enter")
        assert cy.strokes - strokes == 3, "a key an aspect, and one to go on"

    cy.opens(steps["ui_review"]["hint"])
    for _ in asked:
        last = cy.fields()["Last answer"].rpartition("\n")[2]
        with cy.answering():
            if last == "Huế":
                cy.presses("1", "Enter")
            elif last == "No.":
                cy.page.get_by_text("drop", exact=True).click()
                cy.page.get_by_text("wrong", exact=True).click()
                cy.page.get_by_role("button", name="Submit").click()
            else:
                cy.page.get_by_text("accept as edited below").click()
                cy.writes("edited", "Water that falls. 🌧️")
                cy.page.get_by_role("button", name="Submit").click()

    code, steps = recipe.run()
    assert code == 0, steps
    pairs = {frozenset((p.chosen[0].content, p.rejected[0].content)): p for p in recipe.rows("ui_rank")}
    for other in ("384,400 km", "about 384,000 km"):
        pair = pairs[frozenset(("far", other))]
        assert (pair.verdict, pair.chosen[0].content, pair.meta["ranks"]) == ("chosen", other, [1, 2])
    assert pairs[frozenset(place) - {"far"}].verdict == "tie"
    rated = {row.reply: row.scores for row in recipe.rows("ui_rate")}
    assert rated == {a: {"help": float(h), "truth": float(t)} for a, (h, t) in points.items()}
    reviewed = {row.messages[0].content: row.reply for row in recipe.rows("ui_review")}
    assert reviewed == {"What is rain?": "Water that falls. 🌧️", "Name a city.": "Huế"}
    assert steps["ui_review"]["counts"]["dropped"] == {"review: wrong": 1}
    assert cy.amiss == []


HOSTILE = [
    "<script>window.pwned = 1; alert(1)</script>",
    '<img src=x onerror="window.pwned = 2">',
    '![x](x" onerror="window.pwned=3)',
    "![far](http://198.51.100.7/seen.png)",
    "[click](javascript:window.pwned=4)",
    '<svg onload="window.pwned = 5"><circle r=9 /></svg>',
    '<iframe srcdoc="<script>parent.pwned = 6</script>"></iframe>',
    '<a href="javascript:window.pwned = 7" autofocus onfocus="window.pwned = 8">go</a>',
    '<details open ontoggle="window.pwned = 9">d</details>',
]


def test_nothing_in_a_chat_runs(
    labeling_server: Server, browser: Any, key: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = "\n\n".join(HOSTILE)
    recipe = Recipe(tmp_path, capsys, labeling_server, careful="{step: compare, data: answers, guidelines: guide.md}")
    recipe.write("answers", [{"prompt": everything, "responses": [f"one {everything}", f"two {everything}"]}])
    (tmp_path / "guide.md").write_text(everything, encoding="utf-8")
    _, steps = recipe.run()
    labeling_server.person("ui-careful")
    reader = arrives(browser, labeling_server, "ui-careful")
    reader.opens(steps["careful"]["hint"])
    shown = reader.fields()["Prompt"].replace("\u200b", "")
    for text in (HOSTILE[0], HOSTILE[1], HOSTILE[5], HOSTILE[6]):
        assert text in shown, "it is seen as it was written"
    reader.reads_guidelines()
    for link in reader.page.get_by_text("click", exact=True).all():
        link.click()
    reader.page.locator("[aria-label='Switch to Bulk Mode']").click()
    reader.page.locator("[class*=bulk]").first.wait_for()
    reader.page.wait_for_timeout(500)
    assert reader.page.evaluate("window.pwned") is None
    assert reader.amiss == [], "nobody learns that the chat was read"
    # The wall behind it: even what does get onto the page has no right to run, or to call out.
    reader.page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.pwned = 10';"
        " document.body.append(s); document.body.insertAdjacentHTML('beforeend',"
        " '<img src=http://198.51.100.7/x.png onerror=\"window.pwned = 11\">') }"
    )
    reader.page.wait_for_timeout(300)
    assert reader.page.evaluate("window.pwned") is None
    assert reader.amiss == []
