"""Whatever stands in a text, no page of the labeling server runs it or asks another machine for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

pytestmark = pytest.mark.heavy


class Elsewhere(BaseHTTPRequestHandler):
    """A site that would like to know who reads what."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(404)
        self.end_headers()

    def log_message(self, *what: Any) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """(its address, what it was asked)."""
    handler = type("Handler", (Elsewhere,), {"asked": []})
    site = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{site.server_port}", handler.asked
    site.shutdown()
    thread.join()
    site.server_close()


def payload(site: str) -> str:
    run = "top.ran=1;document.title='ran';alert(1)"
    return "\n\n".join(
        [
            "before",
            f"<script>{run}</script>",
            f'<img src=x onerror="{run}">',
            f'<svg onload="{run}"><script>{run}</script></svg>',
            f'<object data="data:text/html,<script>alert(1)</script>"></object><object data="{site}/object"></object>',
            f'<embed src="javascript:{run}"><embed src="{site}/embed">',
            f'<iframe srcdoc="<script>{run}</script>"></iframe><iframe src="{site}/frame"></iframe>',
            f"![picture]({site}/picture) <img src='{site}/image'><link rel=stylesheet href='{site}/style'>",
            f"<div style='background:url({site}/background)'>a</div><base href='{site}/'>",
            f'<form action="{site}/form"><input autofocus onfocus="{run}"></form>',
            f"[press](javascript:{run})",
            "after",
        ]
    )


def made(server: Any, name: str, texts: dict[str, Any], guidelines: str) -> str:
    """A data set of one record."""
    workspace = server.made("GET", "me/workspaces")["items"][0]["id"]
    overlap = {"strategy": "overlap", "min_submitted": 1}
    body = {"name": name, "workspace_id": workspace, "guidelines": guidelines, "distribution": overlap}
    dataset = str(server.made("POST", "datasets", body)["id"])
    for kind, markdown in (("text", True), ("text", False), ("chat", True), ("chat", False)):
        field = f"{kind}_{'markdown' if markdown else 'plain'}"
        settings = {"type": kind, "use_markdown": markdown}
        body = {"name": field, "title": field, "required": True, "settings": settings}
        server.made("POST", f"datasets/{dataset}/fields", body)
    note = {"name": "note", "title": "note", "required": True, "settings": {"type": "text"}}
    server.made("POST", f"datasets/{dataset}/questions", note)
    server.made("PUT", f"datasets/{dataset}/publish")
    server.made("POST", f"datasets/{dataset}/records/bulk", {"items": [{"fields": texts}]})
    return dataset


def fields(text: str) -> dict[str, Any]:
    chat = [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
    return {"text_markdown": text, "text_plain": text, "chat_markdown": chat, "chat_plain": chat}


def test_texts_are_inert_in_the_ui(server: Any, browser: Any, elsewhere: tuple[str, list[str]]) -> None:
    site, asked = elsewhere
    plain = made(server, "plain", fields("**strong** words\n\n- one\n- two"), "# Read\n\nthis")
    loud = made(server, "loud", fields(payload(site)), payload(site))
    context = browser.new_context()
    page = context.new_page()
    dialogs: list[str] = []
    refused: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda said: refused.append(said.text) if "Content Security Policy" in said.text else None)
    page.goto(server.url)
    page.fill("input[type=text]", server.owner.username)
    page.fill("input[type=password]", server.owner.password)
    page.click("button:has-text('Sign in')")
    page.get_by_text("plain").first.wait_for()

    def opened(dataset: str, word: str) -> str:
        page.goto(f"{server.url}/dataset/{dataset}/annotation-mode?page=1&status=pending")
        page.locator("form[aria-label='Annotation Questions']").wait_for()
        page.get_by_text(word).first.wait_for()
        page.wait_for_timeout(1000)
        return str(page.locator("body").inner_text())

    opened(plain, "strong")
    assert page.locator("strong:has-text('strong')").count() >= 3, "Markdown is rendered"
    scripts = [said for said in refused if "font" not in said]
    assert scripts == [], "the UI needs nothing that is forbidden"

    said = opened(loud, "before")
    assert "after" in said
    for press in page.get_by_text("press", exact=True).all():
        press.click(timeout=2000, no_wait_after=True)
    page.wait_for_timeout(500)
    assert dialogs == []
    assert page.evaluate("window.ran") is None
    assert page.title() != "ran"
    assert page.url.startswith(server.url)
    assert asked == [], "nobody elsewhere learns who reads this"
    context.close()


def test_every_answer_carries_the_policy_and_the_scripts_of_the_page_are_known_by_digest(server: Any) -> None:
    from urllib.request import urlopen

    for place in ("", "api/v1/version", "datasets"):
        with urlopen(f"{server.url}/{place}", timeout=30) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "object-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            script = next(rule for rule in policy.split("; ") if rule.startswith("script-src"))
            assert "unsafe" not in script
            assert script.count("sha256-") == 2
