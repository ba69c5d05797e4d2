"""The page as a whole: complete, self-contained, inert, and whole in a real browser at both widths."""

from __future__ import annotations

import html.parser
from pathlib import Path
from typing import Any

import made_up_run as made_up
import pytest

from rlhf.report import build
from rlhf.report.page import render

PAGES = {
    "done": lambda: (made_up.record(chats="cached"), made_up.manifests()),
    "failed": made_up.failed,
    "waiting": made_up.waiting,
}


class Elements(html.parser.HTMLParser):
    """All start tags with their attributes, the text, and its words with a space wherever a tag stood."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.pieces: list[str] = []
        self.feed(text)
        self.words = " ".join(" ".join(self.pieces).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data
        self.pieces.append(data)


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest) -> str:
    return render(*PAGES[request.param]())


def test_a_page_holds_no_script_no_handler_and_loads_nothing(page):
    for tag, attributes in Elements(page).found:
        assert tag not in ("script", "iframe", "object", "embed", "link", "img", "form", "base")
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "style", "srcdoc")]
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "http://127.0.0.1:6900/"))


def test_the_policy_of_the_page_forbids_scripts_and_the_net(page):
    policies = [a["content"] for tag, a in Elements(page).found if tag == "meta" and "http-equiv" in a]
    assert len(policies) == 1
    assert "default-src 'none'" in str(policies[0])
    assert "script-src" not in str(policies[0])
    assert "unsafe" not in str(policies[0])


def test_hostile_text_is_shown_as_it_is():
    text = Elements(render(*PAGES["done"]())).text
    for hostile in made_up.HOSTILE:
        assert hostile in text


def test_ids_are_unique_and_every_link_within_the_page_leads_somewhere(page):
    elements = Elements(page).found
    ids = [a["id"] for _, a in elements if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {str(a["href"])[1:] for _, a in elements if str(a.get("href", "")).startswith("#")}
    assert targets <= set(ids)


def test_the_same_run_gives_the_same_page():
    assert render(*PAGES["done"]()) == render(*PAGES["done"]())


def test_the_headline_names_the_judge_and_what_kind_it_is():
    text = Elements(render(*PAGES["done"]())).words
    assert "win rate 0.77 [0.70, 0.83]" in text
    assert "Judged by brevity , a rule · 64 prompts" in text
    assert "finished answers 3% → 58% words 36.1 → 22.4 repetition 3% → 2% perplexity 6.2 → 8.91 Judged by" in text
    assert "decided by brevity, a rule · 118 rows" in text
    assert "finished share of answers that ended by themselves, before the length limit 3% 58%" in text


def test_a_failed_run_says_what_failed_and_what_to_do():
    text = Elements(render(*made_up.failed())).text
    assert "The run stopped: sft failed" in text
    assert "lower `per_device_train_batch_size`" in text
    assert "not_json" in text or "bad_json" in text  # what was finished is still told


def test_a_waiting_run_says_where_to_go():
    page = render(*made_up.waiting())
    assert "38 of 200 answered" in page
    assert '<a href="http://127.0.0.1:6900/dataset/pairs"' in page


def test_a_hint_that_is_no_plain_address_is_no_link():
    record, manifests = made_up.waiting()
    record["steps"]["pairs"]["hint"] = "javascript:alert(1)"
    assert 'href="javascript' not in render(record, manifests)


def test_a_run_without_any_manifest_has_a_page():
    record = made_up.record(**dict.fromkeys(made_up.NEEDS, "skipped"))
    assert "0 of 17 steps are done" in render(record, {})
    assert "<main>" in render({"recipe": "empty"}, {})


def test_settings_show_what_was_written_not_a_digest():
    text = Elements(render(*PAGES["done"]())).words
    assert "data curated.train" in text
    assert "learning_rate 0.0002" in text


def test_dropped_rows_are_shown_with_who_dropped_them_and_why():
    record, manifests = made_up.record(), made_up.manifests()
    manifests["curated"]["examples"] = [
        {"dropped by": "roles", "reason": "first_not_user", "text": "assistant: <b>Hi</b>"}
    ]
    assert "roles first_not_user 1 row assistant: <b>Hi</b>" in Elements(render(record, manifests)).words


def test_what_weakens_a_verdict_stands_beside_it():
    record, manifests = made_up.record(), made_up.manifests()
    manifests["report"]["warnings"] = ["every judge also decided the training pairs"]
    verdict = Elements(render(record, manifests)).words.partition("By every judge")[0]
    assert "every judge also decided the training pairs" in verdict


def test_money_is_shown_once_it_was_spent():
    record, manifests = made_up.record(), made_up.manifests()
    assert "dollars" not in render(record, manifests)
    manifests["report"]["usd"] = 1.25
    assert "1.25 dollars" in render(record, manifests)


def test_a_lone_surrogate_does_not_cost_the_page(tmp_path):
    record, manifests = made_up.record(), made_up.manifests()
    manifests["report"]["examples"] = [
        {"prompt": "a\ud800b", "answers": {"sft": "\x00", "dpo": "ok"}, "verdict": "dpo"}
    ]
    build(record, manifests, tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_huge_answer_is_cut_and_says_so():
    record, manifests = made_up.record(), made_up.manifests()
    manifests["report"]["examples"] = [{"prompt": "x", "answers": {"sft": "y" * 100_000, "dpo": "z"}, "verdict": "dpo"}]
    page = render(record, manifests)
    assert len(page) < 100_000
    assert "96,000 more characters" in page


def test_the_file_is_replaced_whole(tmp_path):
    out = build(*PAGES["done"](), tmp_path / "deep" / "page.html")
    assert build(*PAGES["failed"](), out) == out
    assert [p.name for p in out.parent.iterdir()] == ["page.html"]
    assert "The run stopped" in out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def measured(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Each page as wide as a desktop and a phone, with everything unfolded, measured from outside."""
    folder = tmp_path_factory.mktemp("pages")
    script = """() => {
      document.querySelectorAll("details").forEach(d => d.open = true);
      const wide = document.documentElement.clientWidth;
      const out = [...document.querySelectorAll("main *")].filter(e => {
        if (e.closest(".scroll") || e.closest("svg")) return false;
        const box = e.getBoundingClientRect(); return box.width > 0 && (box.right > wide + 1 || box.left < -1); });
      return {title: document.title, scroll: document.documentElement.scrollWidth, wide,
        outside: out.slice(0, 5).map(e => e.outerHTML.slice(0, 120)), ink: getComputedStyle(document.body).fontSize,
        bold: document.querySelectorAll(".text b, .prompt b").length, height: document.documentElement.scrollHeight};
    }"""
    found: dict[str, Any] = {}
    for name, made in PAGES.items():
        build(*made(), folder / f"{name}.html")
        for kind, width in {"desktop": 1200, "phone": 360}.items():
            with browser.new_page(viewport={"width": width, "height": 900}) as page:
                page.goto((folder / f"{name}.html").as_uri())
                found[f"{name}-{kind}"] = page.evaluate(script)
    return found


def test_nothing_runs_in_a_browser(measured):
    for name, found in measured.items():
        assert "owned" not in found["title"], name
        assert found["bold"] == 0, name


def test_the_style_is_applied_in_a_browser(measured):
    """The policy names the style by its hash: one byte apart, and the page would be bare."""
    assert {found["ink"] for found in measured.values()} == {"16px"}


def test_nothing_sticks_out_at_either_width(measured):
    assert {name.rpartition("-")[2] for name in measured} == {"desktop", "phone"}
    for name, found in measured.items():
        assert found["outside"] == [], name
        assert found["scroll"] <= found["wide"], name


def test_templates_travel_with_the_package():
    folder = Path(__file__).parents[3] / "rlhf" / "report" / "templates"
    assert {p.name for p in folder.iterdir()} == {"page.html", "page.css"}
