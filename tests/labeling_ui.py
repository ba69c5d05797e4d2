"""A person at the Argilla UI: what they see and do, through a real browser that reaches this machine alone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labeling_server import PASSWORD, Server

FORM = "form[aria-label='Annotation Questions']"
SHOWN = ".chat, .text_field_component"
SIZE = {"width": 1280, "height": 800}


class Person:
    """Someone who has logged in."""

    def __init__(self, page: Any, server: Server) -> None:
        self.page, self.server = page, server
        self.strokes = 0
        """Keys that were pressed so far."""
        self.amiss: list[str] = []
        """What no page should do: ask another machine (none was let through), open a dialog."""

    # What they see

    def fields(self) -> dict[str, str]:
        """Title of each part of the record -> its text."""
        found: dict[str, str] = {}
        for text in self.page.locator(SHOWN).all_inner_texts():
            title, _, rest = text.partition("\n")
            found[title.strip()] = rest.strip()
        return found

    def side(self, text: str) -> str:
        """`A` or `B`: where this text stands."""
        return next(side for side in "AB" if text in self.fields()[f"Answer {side}"])

    def total(self) -> int:
        """Records in the queue that is looked at."""
        return int(self.page.locator("[aria-label='Total Records']").inner_text().removeprefix("of "))

    def says(self, text: str) -> None:
        """Waits until a text stands somewhere on the page."""
        self.page.get_by_text(text).first.wait_for()

    # What they do

    def opens(self, where: str, status: str = "pending") -> None:
        """Goes to a data set's address, as `rlhf run` prints it."""
        self.page.goto(f"{where}?page=1&status={status}")
        self.page.locator(FORM).wait_for()
        self.page.locator(SHOWN).first.wait_for()

    def presses(self, *keys: str) -> None:
        """As fast as the page follows: a new record takes keys once the note of the last one has let go of them, and
        Enter once the answer is whole.
        """
        free = "() => !document.activeElement?.closest(\"[aria-label='Question: note']\")"
        self.until(lambda: bool(self.page.evaluate(free)))
        for key in keys:
            if key == "Enter":
                self.page.locator("button[type=submit]:enabled").wait_for()
            self.page.keyboard.press(key)
            self.strokes += 1

    def until(self, happens: Callable[[], bool], seconds: float = 15.0) -> None:
        """Waits for something that no selector says."""
        ends = time.monotonic() + seconds
        while not happens():
            assert time.monotonic() < ends, self.page.locator("body").inner_text()
            self.page.wait_for_timeout(10)

    @contextmanager
    def answering(self, moves: bool = True) -> Iterator[None]:
        """What is done in the block answers the record: waits until the server has it and another one is there."""
        before = self.fields()
        with self.page.expect_response(_is_an_answer) as got:
            yield
        assert got.value.ok, got.value.text()
        if moves:
            self.until(lambda: self.fields() != before)

    def prefers(self, text: str) -> None:
        """By keyboard: the side where this text stands."""
        key = "1" if self.side(text) == "A" else "2"
        with self.answering():
            self.presses(key, "Enter")

    def discards(self) -> None:
        with self.answering():
            self.presses("Backspace")

    def leafs_to(self, text: str) -> None:
        """Goes on through the queue to the record in which a text stands."""
        for _ in range(self.total()):
            before = self.fields()
            if any(text in shown for shown in before.values()):
                return
            self.page.keyboard.press("ArrowRight")
            self.until(lambda: self.fields() != before)  # noqa: B023
        raise AssertionError(f"{text} is in no record")

    def ranks(self, places: dict[str, int]) -> None:
        """Drags each answer to its place: `{"A": 2, "B": 1, "C": 1}`. From below, for a place grows as it fills."""
        mouse = self.page.mouse
        for answer, place in sorted(places.items(), key=lambda pair: -pair[1]):
            slot = self.page.locator(".draggable__slot-box").nth(place - 1)
            card = self.page.locator(f"#answer_{answer.lower()}").bounding_box()
            to = slot.bounding_box()
            x, y = card["x"] + 20, card["y"] + 10
            mouse.move(x, y)
            mouse.down()
            for step in range(1, 9):  # a hand has a path; a jump is no drag
                far = step / 8
                mouse.move(x + far * (to["x"] + 40 - x), y + far * (to["y"] + to["height"] / 2 - y))
                self.page.wait_for_timeout(20)
            mouse.up()
            self.until(lambda: f"Answer {answer}" in slot.inner_text())  # noqa: B023

    def writes(self, question: str, text: str) -> None:
        """Puts a text in place of what stands in the box of a question."""
        self.page.locator(f"[aria-label='Question: {question}'] [contenteditable]").click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)

    def reads_guidelines(self) -> None:
        """Unfolds them below the record. The keys follow the focus, which is no longer in the form then."""
        self.page.locator(".panel__header").filter(has_text="Guidelines").first.click()

    def searches(self, text: str) -> None:
        box = self.page.locator("input[role=search]")
        if not box.is_visible():
            self.page.locator(".search-area__icon.--search").click()
        with self.page.expect_response(_is_a_search):
            box.fill(text)
            box.press("Enter")
        self.page.wait_for_load_state("networkidle")

    def chooses_status(self, status: str) -> None:
        """By the menu over the records."""
        self.page.locator("[aria-label='Filter Records by Status'] button").first.click()
        with self.page.expect_response(_is_a_search):
            self.page.locator(f"li.option.{status}").click()
        self.page.wait_for_load_state("networkidle")

    def filters_by(self, question: str, answer: str) -> None:
        """Those records alone that were answered so."""
        self.page.get_by_role("button", name="Filters").click()
        self.page.get_by_role("button", name="Responses").last.click()
        self.page.locator(".responses-filter .category__item").filter(has_text=question).click()
        with self.page.expect_response(_is_a_search):
            self.page.locator(".responses-filter").get_by_text(answer).click()
        self.page.wait_for_load_state("networkidle")

    def picture(self, path: Path) -> None:
        self.page.screenshot(path=path)


def _is_an_answer(response: Any) -> bool:
    return "/responses" in response.url and response.request.method in ("POST", "PUT")


def _is_a_search(response: Any) -> bool:
    return "/records/search" in response.url


def arrives(browser: Any, server: Server, name: str, password: str = PASSWORD) -> Person:
    """Opens a window of one's own and logs in, as a person does."""
    context = browser.new_context(viewport=SIZE, base_url=server.url)
    context.set_default_timeout(20_000)
    page = context.new_page()
    person = Person(page, server)

    def only_here(route: Any) -> None:
        if route.request.url.startswith((server.url, "data:", "blob:")):
            route.continue_()
        else:
            person.amiss.append(route.request.url)
            route.abort()

    context.route("**/*", only_here)
    page.on("dialog", lambda dialog: (person.amiss.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.goto("/")
    page.locator("input[type=text]").fill(name)
    page.locator("input[type=password]").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile(r"/(\?.*)?$"))
    page.get_by_text("Your datasets").wait_for()
    return person
