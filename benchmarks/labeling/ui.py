"""How fast one person gets on in the real UI: from Enter to the next record, measured in the page, and keys a decision.

`--pictures FOLDER` also takes the pictures of docs/labeling.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from labeling_server import Server, served
from labeling_ui import Person, arrives

DECISIONS = 50
ASKED = [
    (
        "How do I keep bread from going stale?",
        "Slice it, freeze it, and toast the slices from frozen.",
        "Put it in the fridge.",
    ),
    (
        "Why does ice float?",
        "Water expands as it freezes, so ice is lighter than the water that it lies in.",
        "Because it is cold.",
    ),
    ("Name three rivers of Vietnam.", "The Red River, the Mekong and the Perfume River.", "Mekong."),
]
RANKED = [
    "Sleep at the same hours each day.",
    "Drink coffee at night.",
    "Keep the room dark, cool and quiet.",
    "Sleep more.",
]
GUIDELINES = "# Which answer helps more?\n\nPrefer what is **right**, then what is short. No points for flattery."
WATCH = """() => {
  window.waits = [];
  const text = () => [...document.querySelectorAll(".chat")].map(e => e.innerText).join("|");
  addEventListener("keydown", pressed => {
    if (pressed.key !== "Enter") return;
    const before = text(), began = performance.now();
    const look = () => {
      const now = text();
      if (now && now !== before) window.waits.push(performance.now() - began); else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }, true);
}"""


def pushed(folder: Path, server: Server, name: str, rows: list[dict[str, Any]], question: str) -> str:
    """Puts rows up as `rlhf label push` does; the address."""
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "guide.md").write_text(GUIDELINES)
    words = ["label", "push", f"{name}.jsonl", "--question", question, "--guidelines", "guide.md"]
    command = [sys.executable, "-m", "rlhf.cli", *words, "--api-url", server.url, "--json"]
    environment = {"ARGILLA_API_KEY": server.owner.api_key}
    done = subprocess.run(command, cwd=folder, env=surrounded(environment), capture_output=True, text=True, check=True)
    address: str = json.loads(done.stdout)["url"]
    return address


def surrounded(more: dict[str, str]) -> dict[str, str]:
    """This process's own, where the project can be imported from any folder."""
    root = str(Path(__file__).parents[2])
    return {**os.environ, **more, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))}


def decides(person: Person, count: int) -> list[float]:
    """Milliseconds from Enter to the next record."""
    person.page.evaluate(WATCH)
    for number in range(count):
        person.presses("1", "Enter")
        person.until(lambda: person.page.evaluate("window.waits.length") > number)  # noqa: B023
    waits: list[float] = person.page.evaluate("window.waits")
    return waits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=DECISIONS)
    parser.add_argument("--pictures", type=Path, help="folder for the pictures of the documentation")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, served(Path(temporary) / "home") as server:
        folder = Path(temporary)
        pairs = [{"prompt": q, "chosen": a, "rejected": b} for q, a, b in ASKED]
        many = [
            {**row, "prompt": f"{row['prompt']} ({n})"}
            for n in range(given.decisions)
            for row in pairs[n % 3 : n % 3 + 1]
        ]
        many.append({"prompt": "The last one.", "chosen": "a", "rejected": "b"})
        where = pushed(folder, server, "answers", many, "compare")
        server.person("ann")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            person = arrives(browser, server, "ann")
            person.opens(where)
            waits = decides(person, given.decisions)
            keys = person.strokes / given.decisions
            print(f"{given.decisions} decisions, {keys:.1f} keys each; from Enter to the next record:")
            shares = np.percentile(waits, [50, 95, 100])
            print("  median {:.0f} ms, 95% {:.0f} ms, most {:.0f} ms".format(*shares))
            if given.pictures:
                pictures(folder, server, person, pairs, given.pictures)
            browser.close()


def pictures(folder: Path, server: Server, person: Person, pairs: list[dict[str, Any]], out: Path) -> None:
    """Three questions as a person sees them."""
    person.opens(pushed(folder, server, "help", pairs, "compare"))
    person.page.keyboard.press("1")
    person.page.wait_for_timeout(600)
    person.picture(out / "label-compare.png")
    ranked = [{"prompt": "How can I sleep better?", "answers": RANKED}]
    person.opens(pushed(folder, server, "sleep", ranked, "compare"))
    sides = {side: person.fields()[f"Answer {side}"].rpartition("\n")[2] for side in "ABCD"}
    place = dict(zip(RANKED, (1, 3, 1, 2), strict=True))
    person.ranks({side: place[text] for side, text in sides.items()})
    person.picture(out / "label-rank.png")
    chat = [
        {"role": "user", "content": "What is rain?"},
        {"role": "assistant", "content": "Water that fals from clouds."},
    ]
    person.opens(pushed(folder, server, "chats", [{"messages": chat}], "review"))
    person.page.get_by_text("accept as edited below").click()
    person.writes("edited", "Water that falls from clouds.")
    person.picture(out / "label-review.png")


if __name__ == "__main__":
    main()
